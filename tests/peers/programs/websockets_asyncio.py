"""websockets' asyncio client: each thread runs an event loop of its own around one connection."""

from __future__ import annotations

import websockets
from loops import in_loops, paced
from measured import Options, run
from websockets.asyncio.client import connect


def main(options: Options) -> int:
    """Each thread sends texts and gets them back."""
    url = "ws://{host}:{port}".format(**options.peer)

    async def work(number: int) -> int:
        async with connect(url, proxy=None, open_timeout=60) as websocket:
            async for request in paced(options, number):
                await websocket.send(f"{number}.{request}" * 20)
                assert await websocket.recv() == f"{number}.{request}" * 20
        return options.requests

    return in_loops(options, work)


if __name__ == "__main__":
    run(f"websockets {websockets.__version__}, asyncio", main)
