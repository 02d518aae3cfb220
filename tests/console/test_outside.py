"""What /proc shows of a process."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coro.console.outside import Outside, Watcher, command_line, is_alive, listener_of, process_age

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")


def test_stopped_process_is_seen_as_stopped() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        watcher = Watcher(process.pid)
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        time.sleep(Watcher.SHORTEST_S)
        seen = watcher.look()
        process.kill()

    assert (seen.state, seen.tracer) == ("T", None)
    assert seen.cpu is not None
    assert "is stopped by a signal (state T), CPU " in seen.text()


def test_spinning_process_uses_its_cpu() -> None:
    # Over so long a time even a busy machine gives it a share.
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        watcher = Watcher(process.pid)
        time.sleep(0.4)
        seen = watcher.look()
        process.kill()

    assert seen.cpu is not None
    assert 0.1 < seen.cpu < 1.5


def test_process_that_is_gone_is_told_without_failing() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    seen = Watcher(process.pid).look()

    assert seen == Outside(process.pid, None, None, None, None, None)
    assert seen.text() == f"pid {process.pid}, of which the system shows nothing"
    assert not is_alive(process.pid)


def test_zombie_is_not_alive() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(process.pid)
    assert is_alive(os.getpid())


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["-c", "input()"], None),
        (["-u", "/dev/stdin"], "stdin"),
        (["-m", "code"], "code"),
    ],
)
def test_script_stands_for_python(arguments: list[str], shown: str | None) -> None:
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        # Empty for a moment after exec.
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
            time.sleep(0.001)
        found = command_line(process.pid)
        process.kill()

    assert found == (shown or Path(sys.executable).name)


def test_listener_is_found_by_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "x.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        # Bound is not yet listening.
        assert listener_of(path, time.monotonic() + 5) is None
        server.listen()
        assert listener_of(path, time.monotonic() + 5) == os.getpid()
        assert listener_of(path, 0.0) is None


def test_age_of_this_process() -> None:
    age = process_age()

    assert age is not None
    assert 0.05 < age < 86400
