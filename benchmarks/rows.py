"""The rows of the table: what is measured, on which libraries, and the bounds to reach.

This is the one place that holds the bounds and the sizes of the workloads. A row compares its subject with
its peers; a ratio below 1 means that the subject is cheaper.
"""

import dataclasses
from typing import Literal

CLIENT_WARM_MS = 250
CLIENT_WINDOW_MS = 1000

Unit = Literal["us", "bytes"]


@dataclasses.dataclass(frozen=True, slots=True)
class Contender:
    """One library doing one scenario.

    library: a module `benchmarks.on_<library>`; arguments: handed to its scenario.
    bound, stretch: what the ratio subject ÷ this peer must not, and should not, exceed; None for none.
    """

    label: str
    library: str
    scenario: str
    arguments: tuple[int, ...] = ()
    bound: float | None = None
    stretch: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, or one per peer.

    connections: of the echo client, None for a scenario that needs no client.
    fastest_peer_only: the peers are ways to do one thing; only the cheapest is compared.
    linux_only: the row reads figures that only Linux offers.
    """

    name: str
    title: str
    unit: Unit
    subject: Contender
    peers: tuple[Contender, ...]
    connections: int | None = None
    fastest_peer_only: bool = False
    linux_only: bool = False

    def contenders(self) -> tuple[Contender, ...]:
        """Return the subject and its peers, in the order in which a round measures them."""
        return (self.subject, *self.peers)


Limits = tuple[float | None, float | None]
NONE: Limits = (None, None)


def _echo(connections: int, gevent: Limits = NONE, streams: Limits = NONE, protocol: Limits = NONE) -> Row:
    return Row(
        name=f"echo-{connections}",
        title=f"server CPU per request, 1 KiB ping-pong, connections: {connections}",
        unit="us",
        subject=Contender("coro", "coro", "echo"),
        peers=(
            Contender("gevent", "gevent", "echo", (), *gevent),
            Contender("uvloop streams", "uvloop", "echo_streams", (), *streams),
            Contender("uvloop Protocol", "uvloop", "echo_protocol", (), *protocol),
        ),
        connections=connections,
        linux_only=True,
    )


def _yield(threads: int, rounds: int, gevent: Limits) -> Row:
    return Row(
        name=f"yield-{threads}",
        title=f"CPU per yield, {threads} threads: yield_slice(), gevent.sleep(0), asyncio.sleep(0) on uvloop",
        unit="us",
        subject=Contender("coro", "coro", "yields", (threads, rounds)),
        peers=(
            Contender("gevent", "gevent", "yields", (threads, rounds), *gevent),
            Contender("uvloop", "uvloop", "yields", (threads, rounds)),
        ),
    )


def _spawn(batches: int, size: int) -> Row:
    # Two shapes, because the answer depends on it: small batches are a server's life; one big batch grows the
    # heap and wakes the garbage collector, which costs the libraries unequally.
    shape = f"{batches} batches of {size}" if batches > 1 else f"one batch of {size}"
    arguments = (batches, size)
    return Row(
        name=f"spawn-{size}",
        title=f"CPU per spawn + run + end + join, {shape}",
        unit="us",
        subject=Contender("coro", "coro", "spawns", arguments),
        peers=(
            Contender("gevent", "gevent", "spawns", arguments, 0.22, 0.15),
            Contender("asyncio", "asyncio", "spawns", arguments, 0.45, 0.35),
            Contender("asyncio on uvloop", "uvloop", "spawns", arguments, 0.45, 0.35),
        ),
    )


def _wake(threads: int, wakes: int) -> Row:
    return Row(
        name=f"wake-{threads}",
        title=f"CPU per wake of a sleeping thread, {threads} threads that sleep 1 to 10 ms again and again",
        unit="us",
        subject=Contender("coro", "coro", "wakes", (threads, wakes)),
        peers=(Contender("gevent", "gevent", "wakes", (threads, wakes), 1.0, 0.8),),
    )


ROWS: tuple[Row, ...] = (
    _echo(1),
    _echo(100, gevent=(0.58, 0.48), streams=(0.90, 0.75), protocol=(1.75, 1.4)),
    _echo(1000, gevent=(0.72, 0.55)),
    _yield(2, 100_000, gevent=(0.58, 0.45)),
    _yield(1000, 200, gevent=(0.56, 0.40)),
    Row(
        name="yield-depth",
        title="CPU per yield, 2 threads, from recursion depth 100 (pure-Python frames) against depth 0",
        unit="us",
        subject=Contender("coro, depth 100", "coro", "yields", (2, 100_000, 100)),
        peers=(Contender("coro, depth 0", "coro", "yields", (2, 100_000, 0), 1.1),),
    ),
    _spawn(100, 1000),
    _spawn(1, 100_000),
    Row(
        name="fifo",
        title="CPU per hand-off between two threads: fifo push/pop, gevent.queue.SimpleQueue put/get",
        unit="us",
        subject=Contender("coro", "coro", "hand_offs", (75_000,)),
        peers=(Contender("gevent", "gevent", "hand_offs", (75_000,), 0.42, 0.33),),
    ),
    Row(
        name="timeout",
        title="CPU per timeout armed and cancelled: with_timeout, the cheaper of gevent's two ways",
        unit="us",
        subject=Contender("coro", "coro", "timeouts", (150_000,)),
        peers=(
            Contender("gevent with Timeout", "gevent", "timeouts_by_with", (150_000,), 0.5, 0.35),
            Contender("gevent.with_timeout", "gevent", "timeouts_by_call", (150_000,), 0.5, 0.35),
        ),
        fastest_peer_only=True,
    ),
    Row(
        name="sleepers",
        title="CPU per thread (spawn, sleep, wake, end, join), 50 000 threads sleeping random 0 to 2 s",
        unit="us",
        subject=Contender("coro", "coro", "sleepers", (50_000, 2000)),
        peers=(Contender("gevent", "gevent", "sleepers", (50_000, 2000), 0.72, 0.6),),
    ),
    _wake(100, 200),
    _wake(1000, 100),
    Row(
        name="memory",
        title="resident bytes per idle thread, 20 000 threads asleep",
        unit="bytes",
        subject=Contender("coro", "coro", "memory", (20_000,)),
        peers=(Contender("gevent", "gevent", "memory", (20_000,), 0.95, 0.9),),
        linux_only=True,
    ),
)
