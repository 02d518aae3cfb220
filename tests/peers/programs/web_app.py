"""A small Flask application, and how a server program has it served."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import flask
from measured import Options

app = flask.Flask(__name__)
LOAD = Path(__file__).with_name("web_load.py")


@app.get("/hello/<name>")
def hello(name: str) -> str:
    """Wait as an application waits for its database, then greet whoever this thread serves."""
    time.sleep(0.005)
    return f"Hello {name}! You are {flask.request.args['number']}."


@app.post("/echo")
def echo() -> bytes:
    """Give back what was sent."""
    return flask.request.get_data()


def serve(options: Options, port: int, start: Callable[[], None], stop: Callable[[], None]) -> int:
    """Run `start` in a thread until clients in another process have had their answers; how many they got."""
    server = threading.Thread(target=start, name="server")
    server.start()
    numbers = [options.threads, options.requests, options.pause_s]
    command = [sys.executable, str(LOAD), str(port), *map(str, numbers)]
    load = subprocess.run(command, capture_output=True, text=True, check=False)
    stop()
    server.join()
    if load.returncode:
        raise RuntimeError(f"the clients ended with {load.returncode}: {load.stderr}")
    return int(load.stdout)
