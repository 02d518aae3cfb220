"""The workloads on eventlet, in the plain style of its documentation.

The same shapes stand in the other modules `on_…`: change them together, or the ratios mean nothing.
"""

import gc
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import eventlet
import eventlet.queue

from benchmarks.durations import durations
from benchmarks.machine import resident_bytes
from benchmarks.report import Sample, announce
from benchmarks.stopwatch import Stopwatch

WARM_TURNS = 3
WARM_SPAWNS = 1000
# A pool of green threads, as in eventlet's own example of an echo server, holds 10 000 connections only if told so.
CONNECTIONS = 20_000


def run(scenario: str, arguments: Sequence[int]) -> Sample:
    """Run one scenario of this module to its end in a green thread of its own."""
    sample: Sample = eventlet.spawn(SCENARIOS[scenario], *arguments).wait()
    return sample


def echo() -> Sample:
    """Echo what arrives on TCP connections, a green thread for each; never returns."""
    listener = eventlet.listen(("127.0.0.1", 0), backlog=1024)
    pool = eventlet.GreenPool(CONNECTIONS)
    announce(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        pool.spawn_n(_echo_connection, connection)


def _echo_connection(connection: Any) -> None:
    while True:
        data = connection.recv(65536)
        if not data:
            break
        connection.sendall(data)
    connection.close()


def yields(threads: int, rounds: int) -> Sample:
    """Green threads that yield `rounds` times each."""
    watch = Stopwatch(threads)

    def turn() -> None:
        for _ in repeat(None, WARM_TURNS):
            eventlet.sleep(0)
        watch.start()
        for _ in repeat(None, rounds):
            eventlet.sleep(0)
        watch.stop()

    for thread in [eventlet.spawn(turn) for _ in range(threads)]:
        thread.wait()
    return watch.sample(threads * rounds)


def spawns(batches: int, size: int) -> Sample:
    """Spawn `size` green threads, join each, and that `batches` times."""
    watch = Stopwatch()
    ran = 0

    def count() -> None:
        nonlocal ran
        ran += 1

    def batch(batch_size: int) -> None:
        for thread in [eventlet.spawn(count) for _ in range(batch_size)]:
            thread.wait()

    batch(WARM_SPAWNS)
    watch.start()
    for _ in range(batches):
        batch(size)
    watch.stop()
    if ran != WARM_SPAWNS + batches * size:
        raise RuntimeError(f"{ran} of {WARM_SPAWNS + batches * size} green threads ran")
    return watch.sample(batches * size)


def hand_offs(rounds: int) -> Sample:
    """Two green threads that hand a number there and back `rounds` times through two queues."""
    watch = Stopwatch(2)
    there, back = eventlet.queue.LightQueue(), eventlet.queue.LightQueue()

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

    for thread in [eventlet.spawn(ask), eventlet.spawn(answer)]:
        thread.wait()
    return watch.sample(2 * rounds)


def timeouts(rounds: int) -> Sample:
    """Arm a timeout of 10 s cancel it, `rounds` times; yield after every hundredth."""
    watch = Stopwatch()
    watch.start()
    for _ in repeat(None, rounds // 100):
        for _ in repeat(None, 100):
            with eventlet.Timeout(10):
                _nothing()
        eventlet.sleep(0)
    watch.stop()
    return watch.sample(rounds)


def _nothing() -> None:
    pass


def sleepers(threads: int, span_ms: int) -> Sample:
    """Spawn green threads that sleep a random time up to `span_ms` and end; join them all."""
    watch = Stopwatch()
    woken = 0

    def sleeper(duration: float) -> None:
        nonlocal woken
        eventlet.sleep(duration)
        woken += 1

    times = durations(threads, 0, span_ms / 1000)
    watch.start()
    for thread in [eventlet.spawn(sleeper, duration) for duration in times]:
        thread.wait()
    watch.stop()
    if woken != threads:
        raise RuntimeError(f"{woken} of {threads} green threads woke")
    return watch.sample(threads)


def wakes(threads: int, rounds: int) -> Sample:
    """Green threads that sleep 1 to 10 ms, `rounds` times each."""
    watch = Stopwatch(threads)
    times = durations(threads + rounds, 0.001, 0.010)

    def sleeper(offset: int) -> None:
        eventlet.sleep(0.05)
        watch.start()
        for turn in range(offset, offset + rounds):
            eventlet.sleep(times[turn])
        watch.stop()

    for thread in [eventlet.spawn(sleeper, offset) for offset in range(threads)]:
        thread.wait()
    return watch.sample(threads * rounds)


def memory(threads: int) -> Sample:
    """Resident bytes that `threads` sleeping green threads add to the process."""
    asleep = 0

    def sleeper() -> None:
        nonlocal asleep
        asleep += 1
        eventlet.sleep(3600)

    eventlet.spawn(sleeper)
    eventlet.sleep(0.01)
    gc.collect()
    before = resident_bytes()
    kept = [eventlet.spawn(sleeper) for _ in range(threads)]
    while asleep <= len(kept):
        eventlet.sleep(0.01)
    return Sample(resident_bytes() - before, threads)


SCENARIOS: dict[str, Callable[..., Sample]] = {
    "echo": echo,
    "yields": yields,
    "spawns": spawns,
    "hand_offs": hand_offs,
    "timeouts": timeouts,
    "sleepers": sleepers,
    "wakes": wakes,
    "memory": memory,
}
