"""What every test gets: the tools of the machine, and a check that it leaves nothing behind.

A child process, an OS thread or a coroutine thread that outlives its test falls over in another test, under
another name. The check names it where it was made. It compares with what was there before the test, so one
leak makes one failure, and what a wider fixture holds is left alone.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

# How long what is ending may take to end, in seconds; spent only when something is left.
GRACE_S = 1.0


@pytest.fixture
def require_tool() -> Callable[[str], str]:
    """Give a function that returns the path of a program, for tests that drive a real client.

    Where the program is missing the test is skipped; with CI set it fails: no test is silently lost there.
    """
    return _require_tool


def _require_tool(name: str) -> str:
    path = shutil.which(name)
    if path is not None:
        return path
    reason = f"this test needs {name!r}, which is not on PATH (on Debian: make debian-packages)"
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(reason)
    pytest.fail(reason, pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def signals_are_not_ignored() -> Iterator[None]:
    """Have Ctrl-C mean what it means in a terminal: what a shell runs in the background ignores it."""
    ignored = [number for number in (signal.SIGINT, signal.SIGQUIT) if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session", autouse=True)
def runtime_directory_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have daemons put their sockets, and clients look for them, where no real daemon is."""
    former = os.environ.get("CORO_RUNTIME_DIRECTORY")
    os.environ["CORO_RUNTIME_DIRECTORY"] = str(tmp_path_factory.mktemp("run"))
    yield
    if former is None:
        del os.environ["CORO_RUNTIME_DIRECTORY"]
    else:
        os.environ["CORO_RUNTIME_DIRECTORY"] = former


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail a test that leaves a child process, an OS thread or a coroutine thread."""
    children, os_threads, threads = _children(), set(_os_threads()), set(_coroutine_threads())
    yield
    deadline = time.monotonic() + GRACE_S
    while left := [
        *(f"child process {_describe(pid)}" for pid in sorted(_children() - children)),
        *(f"OS thread {name}" for ident, name in _os_threads().items() if ident not in os_threads),
        *(f"coroutine thread {name}" for key, name in _coroutine_threads().items() if key not in threads),
    ]:
        if time.monotonic() > deadline:
            for pid in _children() - children:
                _kill(pid)
            pytest.fail("the test leaves behind: " + "; ".join(left), pytrace=False)
        time.sleep(0.01)


def _children() -> set[int]:
    """The pids of this process's children, those not waited for included."""
    # psutil reads the whole process table, some milliseconds; Linux keeps the answer in one small file per
    # OS thread.
    pids: set[int] = set()
    found = False
    for task in Path("/proc/self/task").glob("*/children"):
        # An OS thread that ends between glob and read leaves no children of its own.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pids.update(map(int, task.read_text().split()))
            found = True
    return pids if found else {child.pid for child in psutil.Process().children()}


def _describe(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        state = process.status()
        if state == psutil.STATUS_ZOMBIE:
            return f"{pid} (ended, but nobody has waited for it)"
        return f"{pid} ({' '.join(process.cmdline()) or process.name()})"
    except psutil.NoSuchProcess:
        return f"{pid} (just gone)"


def _kill(pid: int) -> None:
    """End and reap a child that its test has left, so that it holds no port for the tests that follow."""
    # Only children are passed here, and a child keeps its pid until it is waited for: no stranger can be hit.
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _os_threads() -> dict[int, str]:
    """Ident to name, of every OS thread that has run Python, also those that `threading` does not know."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {ident: names.get(ident, f"without a name, ident {ident}") for ident in sys._current_frames()}


def _coroutine_threads() -> dict[Any, str]:
    """Id to description, of the threads in `coro.all_threads`; none while the loop runs or without coro."""
    coro: Any = sys.modules.get("coro")
    all_threads = getattr(coro, "all_threads", None)
    if not all_threads or coro.coro_is_running():
        return {}
    return {
        key: f"{thread!r}, made at {getattr(thread, 'spawn_line', None)}"
        for key, thread in list(all_threads.items())
    }
