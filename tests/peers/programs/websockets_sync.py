"""websockets without asyncio: each connection has a thread that writes and one that reads."""

from __future__ import annotations

import threading

import websockets
from measured import Options, in_threads, paced, run
from websockets.sync.client import ClientConnection, connect


def main(options: Options) -> int:
    """Each thread sends texts and has a second thread receive them."""
    url = "ws://{host}:{port}".format(**options.peer)

    def work(number: int) -> int:
        heard: list[str] = []
        with connect(url, proxy=None, open_timeout=60) as websocket:
            reader = threading.Thread(target=read, args=(websocket, options.requests, heard))
            reader.start()
            for request in paced(options, number):
                websocket.send(f"{number}.{request}" * 20)
            reader.join()
            assert websocket.ping().wait(60)
        assert heard == [f"{number}.{request}" * 20 for request in range(options.requests)]
        return len(heard)

    return in_threads(options, work)


def read(websocket: ClientConnection, count: int, heard: list[str]) -> None:
    """Collect what comes."""
    for _ in range(count):
        heard.append(str(websocket.recv(timeout=60)))


if __name__ == "__main__":
    run(f"websockets {websockets.__version__}, sync", main)
