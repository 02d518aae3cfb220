"""A real daemon with a backdoor, in a process of its own, and the simplest of clients."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backdoor.stalling import CULPRIT, Victim

# What every daemon of the tests begins and ends with; the test's own code stands in between.
_BEFORE = """\
import logging, sys, time
import coro, coro.backdoor
logging.basicConfig(filename=sys.argv[2], level=logging.DEBUG, format="%(name)s %(levelname)s %(message)s")
BACKDOOR = dict(unix_path=sys.argv[1])
def ticker():
    # How late a thread that sleeps a millisecond is, at worst: what sessions do to others.
    global worst_lag
    worst_lag = 0.0
    while True:
        before = time.monotonic()
        coro.sleep_relative(0.001)
        worst_lag = max(worst_lag, time.monotonic() - before - 0.001)
"""
_AFTER = """
def _serve():
    global backdoor
    backdoor = coro.backdoor.start(**BACKDOOR)
    print(backdoor.addresses[-1][1] if "port" in BACKDOOR else "ready", flush=True)
coro.spawn(_serve)
coro.event_loop()
"""
START_S = 20.0


class Daemon:
    """A running daemon.  path: its Unix socket.  port: its TCP port, if it was asked for one."""

    def __init__(self, folder: Path, code: str, env: dict[str, str] | None = None) -> None:
        self.path = str(folder / "s.sock")
        self.log_path = folder / "daemon.log"
        self.err_path = folder / "daemon.err"
        script = folder / "daemon.py"
        script.write_text(_BEFORE + textwrap.dedent(code) + _AFTER)
        self.script = script
        with self.err_path.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(script), self.path, str(self.log_path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                cwd=Path(__file__).parents[2],
                env={**os.environ, "TMPDIR": str(folder), "XDG_RUNTIME_DIR": str(folder / "run"), **(env or {})},
            )
        assert self.process.stdout is not None
        first = self.process.stdout.readline().decode().strip()
        if not first:
            self.stop()
            raise AssertionError(f"the daemon did not start:\n{self.errors()}")
        self.port = int(first) if first.isdigit() else 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def errors(self) -> str:
        return self.err_path.read_text(errors="replace")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def connect(self, timeout: float = 10.0) -> socket.socket:
        """A plain connection to the Unix socket."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(self.path)
        return sock

    def connect_tcp(self, timeout: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def rpc(self, timeout: float = 10.0) -> "Rpc":
        return Rpc(self.connect(timeout))

    def eval(self, code: str) -> str | None:
        """The repr of an expression in the daemon; raises AssertionError with the traceback."""
        with self.rpc() as rpc:
            return rpc.eval(code)

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def stop(self) -> int:
        """End it; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.returncode


class Rpc:
    """One JSON-RPC connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._file = sock.makefile("rb")
        self._last = 0
        self.notifications: list[dict[str, Any]] = []

    def __enter__(self) -> "Rpc":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
        self.sock.close()

    def send(self, method: str, **params: Any) -> int:
        self._last += 1
        message = {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}
        self.sock.sendall(json.dumps(message).encode() + b"\n")
        return self._last

    def receive(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise EOFError("the daemon closed the connection")
        message: dict[str, Any] = json.loads(line)
        return message

    def wait(self, number: int) -> dict[str, Any]:
        """The answer to a request, whole; notifications that come before it are kept."""
        while True:
            message = self.receive()
            if message.get("id") == number and "method" not in message:
                return message
            self.notifications.append(message)

    def call(self, method: str, **params: Any) -> Any:
        """The value of a result; raises AssertionError for an error."""
        answer = self.wait(self.send(method, **params))
        assert "result" in answer, answer
        return answer["result"]["value"]

    def error(self, method: str, **params: Any) -> dict[str, Any]:
        """The error of a request that must fail."""
        answer = self.wait(self.send(method, **params))
        assert "error" in answer, answer
        error: dict[str, Any] = answer["error"]
        return error

    def eval(self, code: str) -> str | None:
        value = self.call("eval", code=code)
        assert value["error"] is None, value["error"]
        result: str | None = value["value"]
        return result

    def output(self) -> str:
        """What evals have printed so far."""
        return "".join(note["params"]["text"] for note in self.notifications if note["method"] == "output")


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Give a function that starts a daemon with some code of its own; they are ended after the test.

    The code runs before the backdoor starts; it may change the dict BACKDOOR, the backdoor's parameters.
    """
    daemons: list[Daemon] = []

    def start(code: str = "", **env: str) -> Daemon:
        folder = tmp_path / f"d{len(daemons)}"
        folder.mkdir()
        daemons.append(Daemon(folder, code, env))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def daemon(start_daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon with three sleeping workers, and a ticker that measures lag in `worst_lag`."""
    return start_daemon(
        """
        def worker(seconds):
            while True:
                coro.sleep_relative(seconds)
        for number in range(3):
            coro.spawn(worker, 0.1 + number, thread_name=f"worker-{number}")
        coro.spawn(ticker, thread_name="ticker")
        """
    )


@pytest.fixture
def start_victim(start_daemon: Callable[..., Any]) -> Iterator[Callable[..., Victim]]:
    """Start daemons with CULPRIT and more code; they are let go after the test, so that they end at once."""
    victims: list[Victim] = []

    def start(code: str = "") -> Victim:
        victims.append(Victim(start_daemon(CULPRIT + textwrap.dedent(code))))
        return victims[-1]

    yield start
    for victim in victims:
        victim.close()


@pytest.fixture
def victim(start_victim: Callable[..., Victim]) -> Victim:
    return start_victim()


def until(condition: Callable[[], object], timeout: float = 5.0) -> None:
    """Wait for a condition; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.01)
