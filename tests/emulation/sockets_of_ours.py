"""What the tests of emulated sockets, files and processes share; the functions are called in a thread.

The classes are used as they are, nothing is installed: so these tests run in the process of the test runner.
"""

import contextlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import coro
from coro.emulation.sockets import EmulatedSocket

# Scripts import, start processes and make certificates on a loaded machine.
SCRIPT_LIMIT_S = 50


@contextlib.contextmanager
def connected(family: str = "tcp") -> Iterator[tuple[EmulatedSocket, EmulatedSocket]]:
    """Two ends of a connection, closed at the end."""
    if family == "unix":
        ours = coro.socketpair()
        left, right = (EmulatedSocket(fileno=one.detach()) for one in ours)
    else:
        with listening() as listener:
            left = EmulatedSocket()
            left.connect(listener.getsockname())
            right = listener.accept()[0]
    with left, right:
        yield left, right


@contextlib.contextmanager
def listening(backlog: int = 128) -> Iterator[EmulatedSocket]:
    """A socket that listens at a free port of loopback."""
    with EmulatedSocket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener


@contextlib.contextmanager
def piped() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe, closed at the end unless the test has closed them."""
    ends = os.pipe()
    identities = [os.fstat(end).st_ino for end in ends]
    try:
        yield ends
    finally:
        for end, identity in zip(ends, identities, strict=True):
            with contextlib.suppress(OSError):
                if os.fstat(end).st_ino == identity:
                    os.close(end)


def let_others_wait() -> None:
    """Return when all other threads have parked, some turns and polls later."""
    for _ in range(5):
        coro.sleep_relative(0.001)


def outcome_of(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, or the type and the text of what it raises."""
    try:
        return function(*arguments)
    except Exception as error:
        return type(error), str(error)


@contextlib.contextmanager
def running_script(text: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a script with the whole emulation installed; it must end well, its stderr empty."""
    program = "import coro.emulation\ncoro.emulation.install()\n" + textwrap.dedent(text)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As for most users: what is printed to a pipe is buffered.
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    ) as child:
        try:
            yield child
            rest, complaints = child.communicate(timeout=SCRIPT_LIMIT_S)
            assert (child.returncode, complaints) == (0, ""), rest + complaints
        finally:
            child.kill()


def run_script(text: str, *arguments: str) -> str:
    """Run a script with the whole emulation installed; returns its stdout."""
    with running_script(text, *arguments) as child:
        assert child.stdout is not None
        return child.stdout.read()
