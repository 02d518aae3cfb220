"""The workloads on trio, in the plain style of its documentation.

The same shapes stand in the other modules `on_…`: change them together, or the ratios mean nothing. Tasks are
waited for as trio has it, by the end of their nursery.
"""

import gc
import math
from collections.abc import Awaitable, Callable, Sequence
from itertools import repeat

import trio

from benchmarks.durations import durations
from benchmarks.machine import resident_bytes
from benchmarks.report import Sample, announce
from benchmarks.stopwatch import Stopwatch

WARM_TURNS = 3
WARM_SPAWNS = 1000


def run(scenario: str, arguments: Sequence[int]) -> Sample:
    """Run one scenario of this module to its end."""
    sample: Sample = trio.run(SCENARIOS[scenario], *arguments)
    return sample


async def echo() -> Sample:
    """Echo what arrives on TCP connections, a task for each; never returns."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    announce(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(_echo_connection, listeners)
    raise RuntimeError("the trio echo server stopped")


async def _echo_connection(stream: trio.SocketStream) -> None:
    while True:
        data = await stream.receive_some(65536)
        if not data:
            break
        await stream.send_all(data)


async def yields(threads: int, rounds: int) -> Sample:
    """Tasks that yield `rounds` times each."""
    watch = Stopwatch(threads)

    async def turn() -> None:
        for _ in repeat(None, WARM_TURNS):
            await trio.lowlevel.checkpoint()
        watch.start()
        for _ in repeat(None, rounds):
            await trio.lowlevel.checkpoint()
        watch.stop()

    async with trio.open_nursery() as nursery:
        for _ in range(threads):
            nursery.start_soon(turn)
    return watch.sample(threads * rounds)


async def spawns(batches: int, size: int) -> Sample:
    """Start `size` tasks, wait for all, and that `batches` times."""
    watch = Stopwatch()
    ran = 0

    async def count() -> None:
        nonlocal ran
        ran += 1

    async def batch(batch_size: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(batch_size):
                nursery.start_soon(count)

    await batch(WARM_SPAWNS)
    watch.start()
    for _ in range(batches):
        await batch(size)
    watch.stop()
    if ran != WARM_SPAWNS + batches * size:
        raise RuntimeError(f"{ran} of {WARM_SPAWNS + batches * size} tasks ran")
    return watch.sample(batches * size)


async def hand_offs(rounds: int) -> Sample:
    """Two tasks that hand a number there and back `rounds` times through two channels."""
    watch = Stopwatch(2)
    to_there, there = trio.open_memory_channel[int](math.inf)
    to_back, back = trio.open_memory_channel[int](math.inf)

    async def ask() -> None:
        watch.start()
        for number in range(rounds):
            await to_there.send(number)
            if await back.receive() != number:
                raise RuntimeError(f"hand-off {number} came back changed")
        watch.stop()

    async def answer() -> None:
        for _ in repeat(None, rounds):
            await to_back.send(await there.receive())
        watch.stop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(answer)
    return watch.sample(2 * rounds)


async def timeouts(rounds: int) -> Sample:
    """Arm a timeout of 10 s, cancel it, `rounds` times; yield after every hundredth."""
    watch = Stopwatch()
    watch.start()
    for _ in repeat(None, rounds // 100):
        for _ in repeat(None, 100):
            with trio.fail_after(10):
                _nothing()
        await trio.lowlevel.checkpoint()
    watch.stop()
    return watch.sample(rounds)


def _nothing() -> None:
    pass


async def sleepers(threads: int, span_ms: int) -> Sample:
    """Start tasks that sleep a random time up to `span_ms` and end; wait for all."""
    watch = Stopwatch()
    woken = 0

    async def sleeper(duration: float) -> None:
        nonlocal woken
        await trio.sleep(duration)
        woken += 1

    times = durations(threads, 0, span_ms / 1000)
    watch.start()
    async with trio.open_nursery() as nursery:
        for duration in times:
            nursery.start_soon(sleeper, duration)
    watch.stop()
    if woken != threads:
        raise RuntimeError(f"{woken} of {threads} tasks woke")
    return watch.sample(threads)


async def wakes(threads: int, rounds: int) -> Sample:
    """Tasks that sleep 1 to 10 ms, `rounds` times each."""
    watch = Stopwatch(threads)
    times = durations(threads + rounds, 0.001, 0.010)

    async def sleeper(offset: int) -> None:
        await trio.sleep(0.05)
        watch.start()
        for turn in range(offset, offset + rounds):
            await trio.sleep(times[turn])
        watch.stop()

    async with trio.open_nursery() as nursery:
        for offset in range(threads):
            nursery.start_soon(sleeper, offset)
    return watch.sample(threads * rounds)


async def memory(threads: int) -> Sample:
    """Resident bytes that `threads` sleeping tasks add to the process."""
    asleep = 0

    async def sleeper() -> None:
        nonlocal asleep
        asleep += 1
        await trio.sleep(3600)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper)
        await trio.sleep(0.01)
        gc.collect()
        before = resident_bytes()
        for _ in range(threads):
            nursery.start_soon(sleeper)
        while asleep <= threads:
            await trio.sleep(0.01)
        sample = Sample(resident_bytes() - before, threads)
        nursery.cancel_scope.cancel()
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
