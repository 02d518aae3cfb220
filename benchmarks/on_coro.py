"""The workloads on `coro`, in the plain style of its documentation.

The same shapes stand in the other modules `on_…`: change them together, or the ratios mean nothing.
"""

import gc
import ssl
from collections.abc import Callable, Sequence
from itertools import repeat

import coro
import coro.ssl
from benchmarks.durations import durations
from benchmarks.machine import resident_bytes
from benchmarks.report import Sample, announce
from benchmarks.stopwatch import Stopwatch
from benchmarks.tls_echo_certificate import certified

WARM_TURNS = 3
WARM_SPAWNS = 1000


def run(scenario: str, arguments: Sequence[int]) -> Sample:
    """Run one scenario of this module to its end in a `coro` thread."""
    samples: list[Sample] = []
    coro.install_signal_handlers = False
    coro.set_print_exit_string(False)
    coro.run(lambda: samples.append(SCENARIOS[scenario](*arguments)))
    if not samples:
        raise RuntimeError(f"scenario {scenario} on coro ended without a sample")
    return samples[0]


def echo() -> Sample:
    """Echo what arrives on TCP connections, a thread for each; never returns."""
    listener = coro.tcp_sock()
    listener.set_reuse_addr()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    announce(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        coro.spawn(_echo_connection, connection)


def _echo_connection(connection: "coro.sock") -> None:
    while True:
        data = connection.recv(65536)
        if not data:
            break
        connection.send(data)
    connection.close()


def tls_echo() -> Sample:
    """As echo(), over TLS."""
    context = certified(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    server = coro.ssl.tls_server(("127.0.0.1", 0), _echo_over_tls, ssl_context=context)
    announce(server.address[1])
    server.join()
    raise RuntimeError("the coro TLS echo server stopped")


def _echo_over_tls(connection: "coro.ssl.SSLSocket", _address: object) -> None:
    while True:
        data = connection.recv(65536)
        if not data:
            break
        connection.send(data)


def yields(threads: int, rounds: int, depth: int = 0) -> Sample:
    """Threads that yield `rounds` times each, from `depth` calls below their function."""
    watch = Stopwatch(threads)

    def turn() -> None:
        for _ in repeat(None, WARM_TURNS):
            coro.yield_slice()
        watch.start()
        for _ in repeat(None, rounds):
            coro.yield_slice()
        watch.stop()

    for thread in [coro.spawn(_descend, depth, turn) for _ in range(threads)]:
        thread.join()
    return watch.sample(threads * rounds)


def _descend(depth: int, function: Callable[[], None]) -> None:
    if depth:
        _descend(depth - 1, function)
    else:
        function()


def spawns(batches: int, size: int) -> Sample:
    """Spawn `size` threads, join each, and that `batches` times."""
    watch = Stopwatch()
    ran = 0

    def count() -> None:
        nonlocal ran
        ran += 1

    def batch(batch_size: int) -> None:
        for thread in [coro.spawn(count) for _ in range(batch_size)]:
            thread.join()

    batch(WARM_SPAWNS)
    watch.start()
    for _ in range(batches):
        batch(size)
    watch.stop()
    if ran != WARM_SPAWNS + batches * size:
        raise RuntimeError(f"{ran} of {WARM_SPAWNS + batches * size} threads ran")
    return watch.sample(batches * size)


def hand_offs(rounds: int) -> Sample:
    """Two threads that hand a number there and back `rounds` times through two queues."""
    watch = Stopwatch(2)
    there, back = coro.fifo(), coro.fifo()

    def ask() -> None:
        watch.start()
        for number in range(rounds):
            there.push(number)
            if back.pop() != number:
                raise RuntimeError(f"hand-off {number} came back changed")
        watch.stop()

    def answer() -> None:
        for _ in repeat(None, rounds):
            back.push(there.pop())
        watch.stop()

    for thread in [coro.spawn(ask), coro.spawn(answer)]:
        thread.join()
    return watch.sample(2 * rounds)


def timeouts(rounds: int) -> Sample:
    """Arm a timeout of 10 s, cancel it, `rounds` times; yield after every hundredth."""
    watch = Stopwatch()
    watch.start()
    for _ in repeat(None, rounds // 100):
        for _ in repeat(None, 100):
            coro.with_timeout(10, _nothing)
        coro.yield_slice()
    watch.stop()
    return watch.sample(rounds)


def _nothing() -> None:
    pass


def sleepers(threads: int, span_ms: int) -> Sample:
    """Spawn threads that sleep a random time up to `span_ms` and end; join them all."""
    watch = Stopwatch()
    woken = 0

    def sleeper(duration: float) -> None:
        nonlocal woken
        coro.sleep_relative(duration)
        woken += 1

    times = durations(threads, 0, span_ms / 1000)
    watch.start()
    for thread in [coro.spawn(sleeper, duration) for duration in times]:
        thread.join()
    watch.stop()
    if woken != threads:
        raise RuntimeError(f"{woken} of {threads} threads woke")
    return watch.sample(threads)


def wakes(threads: int, rounds: int) -> Sample:
    """Threads that sleep 1 to 10 ms, `rounds` times each."""
    watch = Stopwatch(threads)
    times = durations(threads + rounds, 0.001, 0.010)

    def sleeper(offset: int) -> None:
        coro.sleep_relative(0.05)
        watch.start()
        for turn in range(offset, offset + rounds):
            coro.sleep_relative(times[turn])
        watch.stop()

    for thread in [coro.spawn(sleeper, offset) for offset in range(threads)]:
        thread.join()
    return watch.sample(threads * rounds)


def memory(threads: int) -> Sample:
    """Resident bytes that `threads` sleeping threads add to the process."""
    asleep = 0

    def sleeper() -> None:
        nonlocal asleep
        asleep += 1
        coro.sleep_relative(3600)

    coro.spawn(sleeper)
    coro.sleep_relative(0.01)
    gc.collect()
    before = resident_bytes()
    kept = [coro.spawn(sleeper) for _ in range(threads)]
    while asleep <= len(kept):
        coro.sleep_relative(0.01)
    return Sample(resident_bytes() - before, threads)


SCENARIOS: dict[str, Callable[..., Sample]] = {
    "echo": echo,
    "tls_echo": tls_echo,
    "yields": yields,
    "spawns": spawns,
    "hand_offs": hand_offs,
    "timeouts": timeouts,
    "sleepers": sleepers,
    "wakes": wakes,
    "memory": memory,
}
