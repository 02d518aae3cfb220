"""The workloads on curio, in the plain style of its documentation.

The same shapes stand in the other modules `on_…`: change them together, or the ratios mean nothing.
"""

import gc
from collections.abc import Awaitable, Callable, Sequence
from itertools import repeat
from typing import Any

import curio
import curio.network

from benchmarks.durations import durations
from benchmarks.machine import resident_bytes
from benchmarks.report import Sample, announce
from benchmarks.stopwatch import Stopwatch

WARM_TURNS = 3
WARM_SPAWNS = 1000


def run(scenario: str, arguments: Sequence[int]) -> Sample:
    """Run one scenario of this module to its end."""
    sample: Sample = curio.run(SCENARIOS[scenario], *arguments)
    return sample


async def echo() -> Sample:
    """Echo what arrives on TCP connections, a task for each; never returns."""
    listener = curio.network.tcp_server_socket("127.0.0.1", 0, backlog=1024)
    announce(listener.getsockname()[1])
    await curio.network.run_server(listener, _echo_connection)
    raise RuntimeError("the curio echo server stopped")


async def _echo_connection(client: Any, _address: object) -> None:
    while True:
        data = await client.recv(65536)
        if not data:
            break
        await client.sendall(data)


async def yields(threads: int, rounds: int) -> Sample:
    """Tasks that yield `rounds` times each."""
    watch = Stopwatch(threads)

    async def turn() -> None:
        for _ in repeat(None, WARM_TURNS):
            await curio.sleep(0)
        watch.start()
        for _ in repeat(None, rounds):
            await curio.sleep(0)
        watch.stop()

    for task in [await curio.spawn(turn) for _ in range(threads)]:
        await task.join()
    return watch.sample(threads * rounds)


async def spawns(batches: int, size: int) -> Sample:
    """Spawn `size` tasks, join each, and that `batches` times."""
    watch = Stopwatch()
    ran = 0

    async def count() -> None:
        nonlocal ran
        ran += 1

    async def batch(batch_size: int) -> None:
        for task in [await curio.spawn(count) for _ in range(batch_size)]:
            await task.join()

    await batch(WARM_SPAWNS)
    watch.start()
    for _ in range(batches):
        await batch(size)
    watch.stop()
    if ran != WARM_SPAWNS + batches * size:
        raise RuntimeError(f"{ran} of {WARM_SPAWNS + batches * size} tasks ran")
    return watch.sample(batches * size)


async def hand_offs(rounds: int) -> Sample:
    """Two tasks that hand a number there and back `rounds` times through two queues."""
    watch = Stopwatch(2)
    there, back = curio.Queue(), curio.Queue()

    async def ask() -> None:
        watch.start()
        for number in range(rounds):
            await there.put(number)
            if await back.get() != number:
                raise RuntimeError(f"hand-off {number} came back changed")
        watch.stop()

    async def answer() -> None:
        for _ in repeat(None, rounds):
            await back.put(await there.get())
        watch.stop()

    for task in [await curio.spawn(ask), await curio.spawn(answer)]:
        await task.join()
    return watch.sample(2 * rounds)


async def timeouts(rounds: int) -> Sample:
    """Arm a timeout of 10 s, cancel it, `rounds` times; yield after every hundredth."""
    watch = Stopwatch()
    watch.start()
    for _ in repeat(None, rounds // 100):
        for _ in repeat(None, 100):
            async with curio.timeout_after(10):
                _nothing()
        await curio.sleep(0)
    watch.stop()
    return watch.sample(rounds)


def _nothing() -> None:
    pass


async def sleepers(threads: int, span_ms: int) -> Sample:
    """Spawn tasks that sleep a random time up to `span_ms` and end; join them all."""
    watch = Stopwatch()
    woken = 0

    async def sleeper(duration: float) -> None:
        nonlocal woken
        await curio.sleep(duration)
        woken += 1

    times = durations(threads, 0, span_ms / 1000)
    watch.start()
    for task in [await curio.spawn(sleeper, duration) for duration in times]:
        await task.join()
    watch.stop()
    if woken != threads:
        raise RuntimeError(f"{woken} of {threads} tasks woke")
    return watch.sample(threads)


async def wakes(threads: int, rounds: int) -> Sample:
    """Tasks that sleep 1 to 10 ms, `rounds` times each."""
    watch = Stopwatch(threads)
    times = durations(threads + rounds, 0.001, 0.010)

    async def sleeper(offset: int) -> None:
        await curio.sleep(0.05)
        watch.start()
        for turn in range(offset, offset + rounds):
            await curio.sleep(times[turn])
        watch.stop()

    for task in [await curio.spawn(sleeper, offset) for offset in range(threads)]:
        await task.join()
    return watch.sample(threads * rounds)


async def memory(threads: int) -> Sample:
    """Resident bytes that `threads` sleeping tasks add to the process."""
    asleep = 0

    async def sleeper() -> None:
        nonlocal asleep
        asleep += 1
        await curio.sleep(3600)

    first = await curio.spawn(sleeper)
    await curio.sleep(0.01)
    gc.collect()
    before = resident_bytes()
    kept = [await curio.spawn(sleeper) for _ in range(threads)]
    while asleep <= len(kept):
        await curio.sleep(0.01)
    sample = Sample(resident_bytes() - before, threads)
    for task in (first, *kept):
        await task.cancel(blocking=False)
    return sample


SCENARIOS: dict[str, Callable[..., Awaitable[Sample]]] = {
    "echo": echo,
    "yields": yields,
    "spawns": spawns,
    "hand_offs": hand_offs,
    "timeouts": timeouts,
    "sleepers": sleepers,
    "wakes": wakes,
    "memory": memory,
}
