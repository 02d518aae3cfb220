"""websockets' asyncio server, giving back what it gets; prints its port."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection) -> None:
    """Until the client closes."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Serve for ever."""
    async with serve(echo, "127.0.0.1", 0, open_timeout=60) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
