"""The rows of the tables: what is measured, on which libraries, and the bounds to reach.

This is the one place that holds the bounds and the sizes of the workloads. A row compares its subject with
its peers; a ratio below 1 means that the subject is cheaper.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from benchmarks.machine import PEERS

Unit = Literal["us", "bytes"]
Limits = tuple[float | None, float | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What the echo client does: so many connections, this long unmeasured, then this long measured."""

    connections: int
    warm_ms: int = 250
    window_ms: int = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Contender:
    """One library doing one scenario.

    library: a module `benchmarks.on_<library>`; arguments: handed to its scenario.
    bound, stretch: what the ratio subject ÷ this peer must not, and should not, exceed; None for none.
    load: of the echo client, None for a scenario that needs no client.
    left_out: why it is not measured although it could be; "" for nothing of the kind.
    """

    label: str
    library: str
    scenario: str
    arguments: tuple[int, ...] = ()
    bound: float | None = None
    stretch: float | None = None
    load: Load | None = None
    left_out: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, or one per peer.

    fastest_way_only: the peers of one library are ways to do one thing; only the cheapest is compared.
    linux_only: the row reads figures that only Linux offers.
    full_only: the row is left out of the quick benchmark.
    """

    name: str
    title: str
    unit: Unit
    subject: Contender
    peers: tuple[Contender, ...]
    fastest_way_only: bool = False
    linux_only: bool = False
    full_only: bool = False

    def contenders(self) -> tuple[Contender, ...]:
        """Return the subject and its peers, in the order in which a round measures them."""
        return (self.subject, *self.peers)


NONE: Limits = (None, None)
NO_LIMITS: Mapping[str, Limits] = {}
# Label, library and scenario of each echo server.
SERVERS = (
    ("gevent", "gevent", "echo"),
    ("eventlet", "eventlet", "echo"),
    ("asyncio streams", "asyncio", "echo_streams"),
    ("uvloop streams", "uvloop", "echo_streams"),
    ("uvloop Protocol", "uvloop", "echo_protocol"),
    ("trio", "trio", "echo"),
    ("curio", "curio", "echo"),
)
# The dearest of the peers do this part of the turns: what one turn costs is the same, and a run is half as long.
SLOW_PEERS = ("eventlet", "trio", "curio")
SLOW_PART = 4
# curio 1.6 asserts, whenever a task becomes runnable, that it is not so already: a search of the whole run queue.
CURIO_RUNNABLE = 1000
CURIO_SEARCHES = "left out: it searches its whole run queue whenever a task becomes runnable"


def _peers(
    scenario: str, arguments: tuple[int, ...], limits: Mapping[str, Limits] = NO_LIMITS, slow: int | None = None
) -> tuple[Contender, ...]:
    """Return every peer doing the scenario; `slow` is the number of turns (the last argument) of slow ones."""
    contenders = []
    for library in PEERS:
        own = (*arguments[:-1], slow) if slow is not None and library in SLOW_PEERS else arguments
        contenders.append(Contender(library, library, scenario, own, *limits.get(library, NONE)))
    return tuple(contenders)


def _spare_curio(runnable: int, peers: tuple[Contender, ...]) -> tuple[Contender, ...]:
    """Return the peers; curio is left out where so many runnable tasks would take it minutes."""
    if runnable <= CURIO_RUNNABLE:
        return peers
    return tuple(
        dataclasses.replace(peer, left_out=CURIO_SEARCHES) if peer.library == "curio" else peer for peer in peers
    )


def _echo(
    connections: int,
    limits: Mapping[str, Limits] = NO_LIMITS,
    *,
    own: tuple[Contender, ...] = (),
    load: Load | None = None,
    full_only: bool = False,
) -> Row:
    load = load or Load(connections)
    peers = [
        Contender(label, library, scenario, (), *limits.get(label, NONE), load=load)
        for label, library, scenario in SERVERS
    ]
    return Row(
        name=f"echo-{connections}",
        title=f"server CPU per request, 1 KiB ping-pong, connections: {connections}",
        unit="us",
        subject=Contender("coro", "coro", "echo", load=load),
        peers=(*own, *peers),
        linux_only=True,
        full_only=full_only,
    )


def _tls_echo(connections: int) -> Row:
    load = Load(connections)
    return Row(
        name=f"tls-echo-{connections}",
        title=f"server CPU per request over TLS 1.3, 1 KiB ping-pong, connections: {connections}",
        unit="us",
        subject=Contender("coro", "coro", "tls_echo", load=load),
        peers=(Contender("gevent", "gevent", "tls_echo", (), 0.8, load=load),),
        linux_only=True,
    )


def _yield(threads: int, rounds: int, gevent: Limits = NONE, *, full_only: bool = False) -> Row:
    arguments = (threads, rounds)
    peers = _peers("yields", arguments, {"gevent": gevent}, max(rounds // SLOW_PART, 1))
    return Row(
        name=f"yield-{threads}",
        title=f"CPU per yield, {threads} threads: yield_slice(), sleep(0), trio's checkpoint()",
        unit="us",
        subject=Contender("coro", "coro", "yields", arguments),
        peers=_spare_curio(threads, peers),
        full_only=full_only,
    )


def _spawn(batches: int, size: int) -> Row:
    # Two shapes, because the answer depends on it: small batches are a server's life; one big batch grows the
    # heap and wakes the garbage collector, which costs the libraries unequally.
    shape = f"{batches} batches of {size}" if batches > 1 else f"one batch of {size}"
    tasks: Limits = (0.45, 0.35)
    limits = {"gevent": (0.22, 0.15), "asyncio": tasks, "uvloop": tasks}
    return Row(
        name=f"spawn-{size}",
        title=f"CPU per spawn + run + end + join, {shape}",
        unit="us",
        subject=Contender("coro", "coro", "spawns", (batches, size)),
        peers=_spare_curio(size, _peers("spawns", (batches, size), limits)),
    )


def _wake(threads: int, wakes: int) -> Row:
    return Row(
        name=f"wake-{threads}",
        title=f"CPU per wake of a sleeping thread, {threads} threads that sleep 1 to 10 ms again and again",
        unit="us",
        subject=Contender("coro", "coro", "wakes", (threads, wakes)),
        peers=_peers("wakes", (threads, wakes), {"gevent": (1.0, 0.8)}),
    )


def _timeout(rounds: int) -> Row:
    by_with, *others = _peers("timeouts", (rounds,), {"gevent": (0.5, 0.35)}, rounds // SLOW_PART)
    by_call = dataclasses.replace(by_with, label="gevent.with_timeout", scenario="timeouts_by_call")
    return Row(
        name="timeout",
        title="CPU per timeout armed and cancelled: with_timeout, the cheaper of gevent's two ways, with timeout()",
        unit="us",
        subject=Contender("coro", "coro", "timeouts", (rounds,)),
        peers=(dataclasses.replace(by_with, label="gevent.Timeout"), by_call, *others),
        fastest_way_only=True,
    )


def _accounting(what: str, subject: Contender, limits: Limits) -> Row:
    bare = dataclasses.replace(
        subject, label="accounting taken out", library="unaccounted", bound=limits[0], stretch=limits[1]
    )
    return Row(
        name=f"accounting-{what}",
        title=f"CPU per {what} against the same runtime without accounting",
        unit="us",
        subject=subject,
        peers=(bare,),
        linux_only=subject.load is not None,
        full_only=True,
    )


THOUSAND = Load(1000)
ROWS: tuple[Row, ...] = (
    _echo(1),
    _echo(10, full_only=True),
    _echo(100, {"gevent": (0.58, 0.48), "uvloop streams": (0.90, 0.75), "uvloop Protocol": (1.75, 1.4)}),
    _echo(1000, {"gevent": (0.72, 0.55)}),
    _echo(
        10_000,
        own=(Contender("coro, 1000 connections", "coro", "echo", (), 1.4, 1.2, THOUSAND),),
        # A turn of all connections takes most servers a tenth of a second or two, the slowest almost a second.
        load=Load(10_000, 600, 1200),
        full_only=True,
    ),
    _tls_echo(1),
    _tls_echo(100),
    _yield(2, 100_000, gevent=(0.58, 0.45)),
    _yield(10, 20_000, full_only=True),
    _yield(100, 2000, full_only=True),
    _yield(1000, 200, gevent=(0.56, 0.40)),
    _yield(10_000, 20, full_only=True),
    _yield(100_000, 4, full_only=True),
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
        title="CPU per hand-off between two threads: fifo push/pop, the peers' plain queues, trio's channels",
        unit="us",
        subject=Contender("coro", "coro", "hand_offs", (75_000,)),
        peers=_peers("hand_offs", (75_000,), {"gevent": (0.42, 0.33)}, 75_000 // SLOW_PART),
    ),
    _timeout(150_000),
    Row(
        name="sleepers",
        title="CPU per thread (spawn, sleep, wake, end, join), 50 000 threads sleeping random 0 to 2 s",
        unit="us",
        subject=Contender("coro", "coro", "sleepers", (50_000, 2000)),
        peers=_peers("sleepers", (50_000, 2000), {"gevent": (0.72, 0.6)}),
    ),
    _wake(100, 200),
    _wake(1000, 100),
    Row(
        name="memory",
        title="resident bytes per idle thread, 20 000 threads asleep",
        unit="bytes",
        subject=Contender("coro", "coro", "memory", (20_000,)),
        peers=_peers("memory", (20_000,), {"gevent": (0.95, 0.9)}),
        linux_only=True,
    ),
    _accounting("yield", Contender("coro", "coro", "yields", (1000, 200)), (1.35, 1.15)),
    _accounting("echo", Contender("coro", "coro", "echo", load=Load(100)), (1.05, 1.02)),
)

# The smallest sizes that still do the work, for `--smoke`; what the arguments mean stands with the scenarios.
SMOKE_ARGUMENTS: Mapping[str, tuple[int, ...]] = {
    "yields": (2, 200),
    "spawns": (2, 50),
    "hand_offs": (200,),
    "timeouts": (200,),
    "timeouts_by_call": (200,),
    "sleepers": (50, 20),
    "wakes": (5, 2),
    "memory": (200,),
}
SMOKE_LOAD = Load(3, 20, 40)


def smoke(row: Row) -> Row:
    """Return the row with tiny workloads: its figures mean nothing, but everything is run once."""
    subject, *peers = (smaller(contender) for contender in row.contenders())
    return dataclasses.replace(row, subject=subject, peers=tuple(peers))


def smaller(contender: Contender) -> Contender:
    """Return the contender with a tiny workload."""
    arguments = contender.arguments
    if arguments:
        small = SMOKE_ARGUMENTS[contender.scenario]
        arguments = (*small, *arguments[len(small) :])
    return dataclasses.replace(contender, arguments=arguments, load=contender.load and SMOKE_LOAD)
