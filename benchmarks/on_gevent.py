"""The workloads on gevent, in the plain style of its documentation.

The same shapes stand in the other modules `on_…`: change them together, or the ratios mean nothing.
"""

import gc
import ssl
from collections.abc import Callable, Sequence
from itertools import repeat

import gevent
import gevent.queue
import gevent.server
import gevent.socket
import gevent.ssl

from benchmarks.durations import durations
from benchmarks.machine import resident_bytes
from benchmarks.report import Sample, announce
from benchmarks.stopwatch import Stopwatch
from benchmarks.tls_echo_certificate import certified

WARM_TURNS = 3
WARM_SPAWNS = 1000


def run(scenario: str, arguments: Sequence[int]) -> Sample:
    """Run one scenario of this module to its end in a greenlet of its own."""
    # Not in the main greenlet: gevent notes up to ten frames of whoever spawns, and the frames of this harness
    # would make each of its spawns a sixth dearer.
    sample: Sample = gevent.spawn(SCENARIOS[scenario], *arguments).get()
    return sample


def echo() -> Sample:
    """Echo what arrives on TCP connections, a greenlet for each; never returns."""
    server = gevent.server.StreamServer(("127.0.0.1", 0), _echo_connection, backlog=1024)
    server.start()
    announce(server.server_port)
    server.serve_forever()
    raise RuntimeError("the gevent echo server stopped")


def _echo_connection(connection: gevent.socket.socket, _address: object) -> None:
    while True:
        data = connection.recv(65536)
        if not data:
            break
        connection.sendall(data)
    connection.close()


def tls_echo() -> Sample:
    """As echo(), over TLS."""
    context = certified(gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    server = gevent.server.StreamServer(("127.0.0.1", 0), _echo_connection, backlog=1024, ssl_context=context)
    server.start()
    announce(server.server_port)
    server.serve_forever()
    raise RuntimeError("the gevent TLS echo server stopped")


def yields(threads: int, rounds: int) -> Sample:
    """Greenlets that yield `rounds` times each."""
    watch = Stopwatch(threads)

    def turn() -> None:
        for _ in repeat(None, WARM_TURNS):
            gevent.sleep(0)
        watch.start()
        for _ in repeat(None, rounds):
            gevent.sleep(0)
        watch.stop()

    for thread in [gevent.spawn(turn) for _ in range(threads)]:
        thread.join()
    return watch.sample(threads * rounds)


def spawns(batches: int, size: int) -> Sample:
    """Spawn `size` greenlets, join each, and that `batches` times."""
    watch = Stopwatch()
    ran = 0

    def count() -> None:
        nonlocal ran
        ran += 1

    def batch(batch_size: int) -> None:
        for thread in [gevent.spawn(count) for _ in range(batch_size)]:
            thread.join()

    batch(WARM_SPAWNS)
    watch.start()
    for _ in range(batches):
        batch(size)
    watch.stop()
    if ran != WARM_SPAWNS + batches * size:
        raise RuntimeError(f"{ran} of {WARM_SPAWNS + batches * size} greenlets ran")
    return watch.sample(batches * size)


def hand_offs(rounds: int) -> Sample:
    """Two greenlets that hand a number there and back `rounds` times through two queues."""
    watch = Stopwatch(2)
    there, back = gevent.queue.SimpleQueue(), gevent.queue.SimpleQueue()

    def ask() -> None:
        watch.start()
        for number in range(rounds):
            there.put(number)
            if back.get() != number:
                raise RuntimeError(f"hand-off {number} came back changed")
        watch.stop()

    def answer() -> None:
        for _ in repeat(None, rounds):
            back.put(there.get())
        watch.stop()

    for thread in [gevent.spawn(ask), gevent.spawn(answer)]:
        thread.join()
    return watch.sample(2 * rounds)


def timeouts(rounds: int) -> Sample:
    """Arm a timeout of 10 s by `with`, cancel it, `rounds` times; yield after every hundredth."""
    watch = Stopwatch()
    watch.start()
    for _ in repeat(None, rounds // 100):
        for _ in repeat(None, 100):
            with gevent.Timeout(10):
                _nothing()
        gevent.sleep(0)
    watch.stop()
    return watch.sample(rounds)


def timeouts_by_call(rounds: int) -> Sample:
    """Arm a timeout of 10 s by `with_timeout`, cancel it, `rounds` times; yield after every hundredth."""
    watch = Stopwatch()
    watch.start()
    for _ in repeat(None, rounds // 100):
        for _ in repeat(None, 100):
            gevent.with_timeout(10, _nothing)
        gevent.sleep(0)
    watch.stop()
    return watch.sample(rounds)


def _nothing() -> None:
    pass


def sleepers(threads: int, span_ms: int) -> Sample:
    """Spawn greenlets that sleep a random time up to `span_ms` and end; join them all."""
    watch = Stopwatch()
    woken = 0

    def sleeper(duration: float) -> None:
        nonlocal woken
        gevent.sleep(duration)
        woken += 1

    times = durations(threads, 0, span_ms / 1000)
    watch.start()
    for thread in [gevent.spawn(sleeper, duration) for duration in times]:
        thread.join()
    watch.stop()
    if woken != threads:
        raise RuntimeError(f"{woken} of {threads} greenlets woke")
    return watch.sample(threads)


def wakes(threads: int, rounds: int) -> Sample:
    """Greenlets that sleep 1 to 10 ms, `rounds` times each."""
    watch = Stopwatch(threads)
    times = durations(threads + rounds, 0.001, 0.010)

    def sleeper(offset: int) -> None:
        gevent.sleep(0.05)
        watch.start()
        for turn in range(offset, offset + rounds):
            gevent.sleep(times[turn])
        watch.stop()

    for thread in [gevent.spawn(sleeper, offset) for offset in range(threads)]:
        thread.join()
    return watch.sample(threads * rounds)


def memory(threads: int) -> Sample:
    """Resident bytes that `threads` sleeping greenlets add to the process."""
    asleep = 0

    def sleeper() -> None:
        nonlocal asleep
        asleep += 1
        gevent.sleep(3600)

    first = gevent.spawn(sleeper)
    gevent.sleep(0.01)
    gc.collect()
    before = resident_bytes()
    kept = [gevent.spawn(sleeper) for _ in range(threads)]
    while asleep <= len(kept):
        gevent.sleep(0.01)
    if first.dead:
        raise RuntimeError("the first sleeping greenlet ended")
    return Sample(resident_bytes() - before, threads)


SCENARIOS: dict[str, Callable[..., Sample]] = {
    "echo": echo,
    "tls_echo": tls_echo,
    "yields": yields,
    "spawns": spawns,
    "hand_offs": hand_offs,
    "timeouts": timeouts,
    "timeouts_by_call": timeouts_by_call,
    "sleepers": sleepers,
    "wakes": wakes,
    "memory": memory,
}
