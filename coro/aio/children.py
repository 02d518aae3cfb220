"""Waiting for the children of one asyncio loop, without signals and OS threads.

A child's pidfd is one more descriptor of the asyncio loop: so it is watched as long as the loop lives, also while
threads are being shut down.  Where the system has no pidfd, a thread waits for the child.

Invariant: no zombie and no descriptor is left; a child that outlives the loop gets a thread that waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable
from subprocess import Popen
from typing import Any, Protocol

from coro.loop import loop as coro_loop
from coro.process import waitpid
from coro.shield import shielded
from coro.thread import coro

__all__ = ["Children"]

# What asyncio says of a child that somebody else has waited for.
_UNKNOWN = 255

# asyncio's own, so that what it logs of children stands in one place.
logger = logging.getLogger("asyncio")

_pidfd_open: Callable[[int], int] | None = getattr(os, "pidfd_open", None)


class Transport(Protocol):
    """What is needed of asyncio's transport of a child."""

    _proc: Popen[bytes]

    def get_pid(self) -> int: ...

    def _process_exited(self, returncode: int) -> None: ...


class Children:
    """The children of one asyncio loop."""

    __slots__ = ("_watched",)

    def __init__(self) -> None:
        # pidfd -> transport.
        self._watched: dict[int, Transport] = {}

    def watch(self, loop: asyncio.AbstractEventLoop, transport: Any) -> None:
        """Tell the transport when its child has ended.  Raises OSError.  Does not yield."""
        if _pidfd_open is None:
            coro(self._attend, (loop, transport), name=f"asyncio child {transport.get_pid()}").start()
            return
        pidfd = _pidfd_open(transport.get_pid())
        self._watched[pidfd] = transport
        loop.add_reader(pidfd, self._ended, loop, pidfd)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch no more; a thread waits for each child that still runs.  Does not yield."""
        while self._watched:
            pidfd, transport = self._watched.popitem()
            loop.remove_reader(pidfd)
            os.close(pidfd)
            child = transport._proc
            if child.poll() is None and coro_loop.running:
                coro(_reap, (child,), name=f"asyncio child {child.pid}").start()

    def _ended(self, loop: asyncio.AbstractEventLoop, pidfd: int) -> None:
        transport = self._watched.pop(pidfd)
        loop.remove_reader(pidfd)
        os.close(pidfd)
        transport._process_exited(_exit_code(transport._proc))

    @staticmethod
    def _attend(loop: asyncio.AbstractEventLoop, transport: Transport) -> None:
        """A thread that waits for a child; while threads are shut down, tasks may still wait for their children."""
        with shielded(math.inf):
            _reap(transport._proc)
            # Inside: at the end of the block an interrupt that waited is raised.
            if not loop.is_closed():
                loop.call_soon_threadsafe(transport._process_exited, _exit_code(transport._proc))


def _reap(child: Popen[bytes]) -> None:
    """Wait for the end of a child, in a thread.  Yields."""
    try:
        _, status = waitpid(child.pid)
    except ChildProcessError:
        # Whoever asked Popen was told.
        return
    child.returncode = os.waitstatus_to_exitcode(status)


def _exit_code(child: Popen[bytes]) -> int:
    """The exit code of a child that has ended; sending it a signal, or asking Popen, may have reaped it already."""
    if child.returncode is not None:
        return int(child.returncode)
    try:
        _, status = os.waitpid(child.pid, os.WNOHANG)
    except ChildProcessError:
        logger.warning("somebody else waited for child process %d: its exit code is reported as 255", child.pid)
        return _UNKNOWN
    return os.waitstatus_to_exitcode(status)
