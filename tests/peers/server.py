"""Starting and ending the servers that the programs talk to: each a process in its own folder, ended by pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

START_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0
# Another process may take the port between its choice and the server's start.
ATTEMPTS = 3
HOST = "127.0.0.1"
SERVERS = Path(__file__).with_name("servers")


class MissingProgram(Exception):
    """A server's program is not installed."""


def find_program(name: str, *folders: str) -> str:
    """Where a program is; Debian keeps servers outside of a user's PATH."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *folders]))
    if path is None:
        raise MissingProgram(f"{name} is not installed; `make debian-peers` installs the servers (Debian, Ubuntu)")
    return path


def free_port() -> int:
    """A port of the loopback that nobody has at the moment."""
    with socket.socket() as chosen:
        chosen.bind((HOST, 0))
        return int(chosen.getsockname()[1])


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that servers under another user's name can look into."""
    with tempfile.TemporaryDirectory(prefix="coro-peer-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextlib.contextmanager
def listening(
    command: Callable[[int], list[str]], folder: Path, *, end_signal: int = signal.SIGTERM
) -> Iterator[int]:
    """Run `command(port)` until it accepts connections on that port; yields the port, and ends the process."""
    log = folder / "server.log"
    for _ in range(ATTEMPTS):
        port = free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(
                command(port),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        with ended(process, end_signal):
            if accepts(process, port):
                yield port
                return
    raise RuntimeError(f"{command(0)[0]} did not start: {log.read_text(errors='replace')}")


def accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a process accepts connections; False if it ends before."""
    deadline = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=5):
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def ended(process: subprocess.Popen[Any], end_signal: int = signal.SIGTERM) -> Iterator[None]:
    """End a process when the block ends: politely, and after a while by force."""
    try:
        yield
    finally:
        process.send_signal(end_signal)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def python_server(name: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """Run a server of the folder `servers`, in plain Python; it prints its port, the kernel's choice."""
    command = [sys.executable, str(SERVERS / f"{name}.py"), *arguments]
    with (
        # What it complains of while clients come and go says nothing; why it does not start does.
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log) as process,
        ended(process),
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            log.seek(0)
            raise RuntimeError(f"{command[1]} ended with {code} before it listened: {log.read().decode()}")
        yield {"host": HOST, "port": int(line)}
