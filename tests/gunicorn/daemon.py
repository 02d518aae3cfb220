"""A real gunicorn for tests: starting it, asking it, ending it."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent.parent
# For what takes a moment, on a machine that is busy with something else.
LIMIT_S = 30.0
WORKER = "coro.gunicorn.CoroWorker"


class Gunicorn:
    """A gunicorn process that serves tests/gunicorn/application.py on a port of loopback, or a Unix socket.

    address: (host, port), or the path.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        bind: str = "127.0.0.1:0",
        environment: dict[str, str] | None = None,
        worker: str = WORKER,
    ) -> None:
        self.folder = folder
        self.log_path = folder / "error.log"
        self.output = (folder / "output").open("w+")
        command = [sys.executable, "-m", "gunicorn", "-k", worker, "--bind", bind, "--no-control-socket"]
        command += ["--error-logfile", str(self.log_path), *options, "tests.gunicorn.application:app"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | (environment or {}), stdout=self.output, stderr=self.output
        )
        try:
            self.address = self._listening_at()
            wait_until(lambda: "Booting worker" in self.log(), self.log)
        except BaseException:
            self.close()
            raise

    def _listening_at(self) -> Any:
        wait_until(lambda: "Listening at" in self.log() or self.process.poll() is not None, self.log)
        found = re.search(r"Listening at: (?:https?://([\d.]+):(\d+)|unix:(\S+))", self.log())
        assert found is not None, self.log() + self.printed()
        return found[3] or (found[1], int(found[2]))

    def log(self) -> str:
        """What it has logged."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    def printed(self) -> str:
        """What it has written to stdout and stderr."""
        return (self.folder / "output").read_text()

    def wait_for_log(self, text: str) -> None:
        """Wait until it has logged this."""
        wait_until(lambda: text in self.log(), self.log)

    def workers(self) -> list[int]:
        """The pids of its workers."""
        return sorted(child.pid for child in psutil.Process(self.process.pid).children())

    def connect(self, timeout: float = LIMIT_S) -> socket.socket:
        """A plain connection to it."""
        family = socket.AF_INET if isinstance(self.address, tuple) else socket.AF_UNIX
        connection = socket.socket(family)
        connection.settimeout(timeout)
        try:
            connection.connect(self.address)
        except BaseException:
            connection.close()
            raise
        if family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def client(self) -> http.client.HTTPConnection:
        """A connection that speaks HTTP."""
        client = http.client.HTTPConnection("localhost", timeout=LIMIT_S)
        client.sock = self.connect()
        return client

    def ask(self, path: str, method: str = "GET", **options: Any) -> tuple[int, bytes]:
        """Ask on a connection of its own: (status, body)."""
        client = self.client()
        try:
            client.request(method, path, **options)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()

    def signal(self, signum: int) -> None:
        """Send the arbiter a signal."""
        self.process.send_signal(signum)

    def wait(self) -> int:
        """Wait for its end; returns the status."""
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        """End it, whatever it does, and everything that it has started."""
        try:
            left = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            left = []
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for child in left:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
        self.output.close()


def wait_until(condition: Any, explain: Any = lambda: "") -> None:
    """Wait, blocking, until the condition holds."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"the condition never became true: {explain()}"
        time.sleep(0.01)


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """Send, then read until the other side closes."""
    connection.sendall(request)
    received = b""
    while data := connection.recv(65536):
        received += data
    return received
