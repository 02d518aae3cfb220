"""A daemon whose loop can be held up and let go, for the tests of the sentinel."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A daemon with a thread that does whatever is pushed to `todo`, so that the whole daemon waits for it.  What spins
# does so until the file `stop` appears, or ten seconds have passed.
CULPRIT = """
import ctypes, gc, os, random, threading
todo = coro.fifo()
began = sys.argv[2] + ".began"
stop = sys.argv[2] + ".stop"
ended = []
def run(function, *args):
    open(began, "w").close()
    try:
        function(*args)
        ended.append("returned")
    except BaseException as error:
        ended.append(repr(error))
        if not isinstance(error, (Exception, coro.Interrupted)):
            raise
def work():
    while True:
        function, args = todo.pop()
        run(function, *args)
def begin(function, *args):
    todo.push((function, args))
def spin():
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not os.path.exists(stop):
        pass
def in_sleep():
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not os.path.exists(stop):
        time.sleep(0.3)
def in_lock(seconds):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=seconds)
def in_read():
    reader, writer = os.pipe()
    try:
        os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)
def hold_gil(seconds):
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
worker = coro.spawn(work, thread_name="culprit")
coro.spawn(ticker, thread_name="ticker")
"""


class Victim:
    """A daemon whose loop can be held up and let go."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon
        self.began = Path(f"{daemon.log_path}.began")
        self.stop = Path(f"{daemon.log_path}.stop")
        self._trigger = daemon.rpc()
        self._trigger.call("hello")

    def close(self) -> None:
        self.stop.touch()
        self._trigger.__exit__()

    def hold(self, what: str = "spin", *args: object) -> None:
        """Have the loop held up; returns when the sentinel has noticed."""
        self.stop.unlink(missing_ok=True)
        self.began.unlink(missing_ok=True)
        told = self.told()
        self.begin(what, *args)
        wait_until(self.began.exists)
        wait_until(lambda: self.told() > told)

    def begin(self, what: str, *args: object) -> None:
        """Have the culprit do something.  Does not wait for the eval's answer, which may come after the stall."""
        self._trigger.send("eval", code=f"begin({', '.join([what, *map(repr, args)])})")

    def told(self) -> int:
        """How many stalls stderr tells of."""
        return self.daemon.errors().count("the loop has not turned")

    def place(self, culprit: dict[str, Any]) -> set[str]:
        """The functions of the daemon's own script on a culprit's stack."""
        return {frame["function"] for frame in culprit["frames"] if frame["file"] == str(self.daemon.script)}

    def release(self) -> None:
        """Let the loop go on; returns when it turns."""
        self.stop.touch()
        wait_until(lambda: "returned" in str(self.daemon.eval("ended")) or self.daemon.eval("ended") != "[]")


def wait_until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.005)


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def result(rpc: Any, method: str, **params: Any) -> dict[str, Any]:
    answer = rpc.wait(rpc.send(method, **params))
    assert "result" in answer, answer
    whole: dict[str, Any] = answer["result"]
    return whole


def get(path: str, target: str = "/healthz") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(path)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
