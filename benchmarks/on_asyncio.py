"""The workloads on asyncio, in the plain style of its documentation; `on_uvloop` runs them on uvloop.

The same shapes stand in the other modules `on_…`: change them together, or the ratios mean nothing.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Sequence
from itertools import repeat
from typing import Any, cast

from benchmarks.durations import durations
from benchmarks.machine import resident_bytes
from benchmarks.report import Sample, announce
from benchmarks.stopwatch import Stopwatch

WARM_TURNS = 3
WARM_SPAWNS = 1000


def run(scenario: str, arguments: Sequence[int]) -> Sample:
    """Run one scenario of this module to its end on asyncio's own loop."""
    return asyncio.run(SCENARIOS[scenario](*arguments))


async def echo_streams() -> Sample:
    """Echo what arrives on TCP connections, with streams; never returns."""
    return await _serve(await asyncio.start_server(_echo_connection, "127.0.0.1", 0, backlog=1024))


async def _echo_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        data = await reader.read(65536)
        if not data:
            break
        writer.write(data)
        await writer.drain()
    writer.close()


async def echo_protocol() -> Sample:
    """Echo what arrives on TCP connections, with protocol callbacks; never returns."""
    loop = asyncio.get_running_loop()
    return await _serve(await loop.create_server(EchoProtocol, "127.0.0.1", 0, backlog=1024))


class EchoProtocol(asyncio.Protocol):
    """Send back what arrives, from the callback itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        # A cast, not isinstance: uvloop's transports do not derive from asyncio's.
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer at once."""
        self.transport.write(data)


async def _serve(server: asyncio.Server) -> Sample:
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()
    raise RuntimeError("the asyncio echo server stopped")


async def yields(threads: int, rounds: int) -> Sample:
    """Tasks that yield `rounds` times each."""
    watch = Stopwatch(threads)

    async def turn() -> None:
        for _ in repeat(None, WARM_TURNS):
            await asyncio.sleep(0)
        watch.start()
        for _ in repeat(None, rounds):
            await asyncio.sleep(0)
        watch.stop()

    for task in [asyncio.create_task(turn()) for _ in range(threads)]:
        await task
    return watch.sample(threads * rounds)


async def spawns(batches: int, size: int) -> Sample:
    """Create `size` tasks, await each, and that `batches` times."""
    watch = Stopwatch()
    ran = 0

    async def count() -> None:
        nonlocal ran
        ran += 1

    async def batch(batch_size: int) -> None:
        for task in [asyncio.create_task(count()) for _ in range(batch_size)]:
            await task

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
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

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

    for task in [asyncio.create_task(ask()), asyncio.create_task(answer())]:
        await task
    return watch.sample(2 * rounds)


async def timeouts(rounds: int) -> Sample:
    """Arm a timeout of 10 s, cancel it, `rounds` times; yield after every hundredth."""
    watch = Stopwatch()
    watch.start()
    for _ in repeat(None, rounds // 100):
        for _ in repeat(None, 100):
            async with asyncio.timeout(10):
                _nothing()
        await asyncio.sleep(0)
    watch.stop()
    return watch.sample(rounds)


def _nothing() -> None:
    pass


async def sleepers(threads: int, span_ms: int) -> Sample:
    """Create tasks that sleep a random time up to `span_ms` and end; await them all."""
    watch = Stopwatch()
    woken = 0

    async def sleeper(duration: float) -> None:
        nonlocal woken
        await asyncio.sleep(duration)
        woken += 1

    times = durations(threads, 0, span_ms / 1000)
    watch.start()
    for task in [asyncio.create_task(sleeper(duration)) for duration in times]:
        await task
    watch.stop()
    if woken != threads:
        raise RuntimeError(f"{woken} of {threads} tasks woke")
    return watch.sample(threads)


async def wakes(threads: int, rounds: int) -> Sample:
    """Tasks that sleep 1 to 10 ms, `rounds` times each."""
    watch = Stopwatch(threads)
    times = durations(threads + rounds, 0.001, 0.010)

    async def sleeper(offset: int) -> None:
        await asyncio.sleep(0.05)
        watch.start()
        for turn in range(offset, offset + rounds):
            await asyncio.sleep(times[turn])
        watch.stop()

    for task in [asyncio.create_task(sleeper(offset)) for offset in range(threads)]:
        await task
    return watch.sample(threads * rounds)


async def memory(threads: int) -> Sample:
    """Resident bytes that `threads` sleeping tasks add to the process."""
    asleep = 0

    async def sleeper() -> None:
        nonlocal asleep
        asleep += 1
        await asyncio.sleep(3600)

    first = asyncio.create_task(sleeper())
    await asyncio.sleep(0.01)
    gc.collect()
    before = resident_bytes()
    kept = [asyncio.create_task(sleeper()) for _ in range(threads)]
    while asleep <= len(kept):
        await asyncio.sleep(0.01)
    sample = Sample(resident_bytes() - before, threads)
    for task in (first, *kept):
        task.cancel()
    return sample


SCENARIOS: dict[str, Callable[..., Coroutine[Any, Any, Sample]]] = {
    "echo_streams": echo_streams,
    "echo_protocol": echo_protocol,
    "yields": yields,
    "spawns": spawns,
    "hand_offs": hand_offs,
    "timeouts": timeouts,
    "sleepers": sleepers,
    "wakes": wakes,
    "memory": memory,
}
