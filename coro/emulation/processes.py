"""The emulated waits for child processes: os.waitpid() and its kin, os.system(), and with them `subprocess`.

The kernel is always asked by the original, without waiting.  Until there is something to be had the thread waits
for the end of the one child (a pidfd is readable then), or else an OS thread waits, in a way that takes nothing
(WNOWAIT).  So whoever asks first gets the status, the others ChildProcessError, as ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from coro.emulation.patching import Patcher, original
from coro.emulation.place import may_park
from coro.emulation.waiting import close_waited, wait_briefly_in_steps, wait_fd
from coro.loop import loop
from coro.os_thread import OSThreadPool
from coro.poller.base import READ
from coro.socket.base import spend_act
from coro.timed import sleep_relative

__all__ = ["install", "system", "wait", "wait3", "wait4", "waitid", "waitpid"]

_waitpid = original("os", "waitpid")
_wait3 = original("os", "wait3")
_wait4 = original("os", "wait4")
_waitid: Any = original("os", "waitid") if hasattr(os, "waitid") else None
_system = original("os", "system")
_pidfd_open: Any = getattr(os, "pidfd_open", None)

# Its OS threads wait for several children at once, or for stopped ones; or for os.system()'s shell.
_pool = OSThreadPool(1000, name="waits for child processes", report_late_failures=False)
loop.at_close.append(_pool.dismiss_idle)

# Without waitid(2), the kernel is asked again after a pause.
_PAUSE_S = 0.02


def waitpid(pid: int, options: int, /) -> tuple[int, int]:
    """As os.waitpid().  Yields until a child has ended, unless WNOHANG.

    Raises as the original.  An interrupted caller takes no status with it.
    """
    if options & os.WNOHANG or not may_park():
        return _waitpid(pid, options)  # type: ignore[no-any-return]
    return _asked(lambda: _waitpid(pid, options | os.WNOHANG), lambda: _wait_for(pid, options))  # type: ignore[no-any-return]


def wait() -> tuple[int, int]:
    """As os.wait().  Yields; as waitpid()."""
    return waitpid(-1, 0)


def wait3(options: int) -> tuple[int, int, Any]:
    """As os.wait3().  Yields; as waitpid()."""
    if options & os.WNOHANG or not may_park():
        return _wait3(options)  # type: ignore[no-any-return]
    return _asked(lambda: _wait3(options | os.WNOHANG), lambda: _wait_for(-1, options))  # type: ignore[no-any-return]


def wait4(pid: int, options: int) -> tuple[int, int, Any]:
    """As os.wait4().  Yields; as waitpid()."""
    if options & os.WNOHANG or not may_park():
        return _wait4(pid, options)  # type: ignore[no-any-return]
    return _asked(lambda: _wait4(pid, options | os.WNOHANG), lambda: _wait_for(pid, options))  # type: ignore[no-any-return]


def waitid(idtype: int, id: int, options: int, /) -> Any:
    """As os.waitid().  Yields; as waitpid()."""
    if options & os.WNOHANG or not may_park():
        return _waitid(idtype, id, options)
    spend_act()
    while True:
        found = _waitid(idtype, id, options | os.WNOHANG)
        if found is not None:
            return found
        if idtype == os.P_PID and options & ~os.WNOWAIT == os.WEXITED and _pidfd_open is not None:
            _wait_for_end(id)
        else:
            _wait_without_taking(idtype, id, options)


def system(command: Any) -> int:
    """As os.system().  Yields until the command has ended.  An interrupted caller leaves it running."""
    if not may_park():
        return _system(command)  # type: ignore[no-any-return]
    return _pool.call(_system, command)  # type: ignore[no-any-return]


def _asked(ask: Callable[[], Any], wait_for_news: Callable[[], None]) -> Any:
    """Ask until there is an answer other than "nobody yet"."""
    spend_act()
    while True:
        answer = ask()
        if answer[0]:
            return answer
        wait_for_news()


def _wait_for(pid: int, options: int) -> None:
    """Park until waitpid() may have an answer."""
    if pid > 0 and not options and _pidfd_open is not None:
        _wait_for_end(pid)
    elif pid == 0:
        _wait_without_taking(os.P_PGID, os.getpgrp(), options | os.WEXITED)
    elif pid == -1:
        _wait_without_taking(os.P_ALL, 0, options | os.WEXITED)
    elif pid < 0:
        _wait_without_taking(os.P_PGID, -pid, options | os.WEXITED)
    else:
        _wait_without_taking(os.P_PID, pid, options | os.WEXITED)


def _wait_for_end(pid: int) -> None:
    """Park until a child has ended.  Raises ProcessLookupError."""
    fd = _pidfd_open(pid)
    try:
        wait_briefly_in_steps(lambda limit: wait_fd(fd, READ, limit))
    finally:
        close_waited(fd)


def _wait_without_taking(idtype: int, id: int, options: int) -> None:
    """Park until one of several children has ended, stopped or gone on.  Raises ChildProcessError."""
    if _waitid is None:
        sleep_relative(_PAUSE_S)
    else:
        _pool.call(_waitid, idtype, id, options | os.WNOWAIT)


def install(patcher: Patcher) -> None:
    """Put the emulated calls in the place of the originals.  Does not yield."""
    patcher.replace_everywhere(
        os, waitpid=waitpid, wait=wait, wait3=wait3, wait4=wait4, waitid=waitid, system=system
    )
