"""The workloads on asyncio, in the plain style of its documentation; `on_uvloop` runs them on uvloop.

The same shapes stand in `on_coro` and `on_gevent`: change them together, or the ratios mean nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from itertools import repeat
from typing import Any, cast

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


SCENARIOS: dict[str, Callable[..., Coroutine[Any, Any, Sample]]] = {
    "echo_streams": echo_streams,
    "echo_protocol": echo_protocol,
    "yields": yields,
    "spawns": spawns,
}
