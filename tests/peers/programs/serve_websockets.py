"""websockets' server without asyncio: two threads per connection; its clients are another process."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import websockets
from measured import Options, run
from websockets.sync.server import ServerConnection, serve

LOAD = Path(__file__).with_name("websockets_sync.py")


def echo(websocket: ServerConnection) -> None:
    """Give back what comes until the client closes."""
    for message in websocket:
        websocket.send(message)


def main(options: Options) -> int:
    """Serve until the clients are done."""
    with serve(echo, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, name="server").start()
        host, port = server.socket.getsockname()
        peer = f'{{"host": "{host}", "port": {port}}}'
        numbers = [f"--threads={options.threads}", f"--requests={options.requests}", f"--pause={options.pause_s}"]
        command = [sys.executable, str(LOAD), *numbers, f"--peer={peer}"]
        load = subprocess.run(command, capture_output=True, text=True, check=False)
    if load.returncode:
        raise RuntimeError(f"the clients ended with {load.returncode}: {load.stderr}")
    return options.threads * options.requests


if __name__ == "__main__":
    run(f"websockets {websockets.__version__}, server", main)
