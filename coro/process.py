"""waitpid(): wait for the end of a child process, without polling and without a signal.

The poller tells of the end (a pidfd on Linux, EVFILT_PROC on kqueue); the status is then asked of the kernel, which
keeps it until somebody does.  So a waiter that is interrupted takes nothing with it.
"""

from __future__ import annotations

import os

from coro.clock import ticks_per_usec
from coro.descriptors import descriptors
from coro.exceptions import SimultaneousError
from coro.loop import loop
from coro.poller import Poller
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timed import sleep_until

__all__ = ["waitpid"]

# The kernels' pid_t.
_MAX_PID = (1 << 31) - 1
# kqueue may tell of the end of a process a moment before it can be waited for; that moment, in ticks.
_MOMENT_TICKS = 1000 * ticks_per_usec

# pid -> the thread that waits for it.
_waiting: dict[int, ThreadState] = {}


def waitpid(pid: int) -> tuple[int, int]:
    """Wait for a child process to end.

    pid: of one child; os.waitpid()'s 0 and negative numbers, which mean several, are refused.
    Returns (pid, status), the status as of os.waitpid(), for os.waitstatus_to_exitcode(); at once if it has ended.
    A child that is stopped or continued goes on being waited for.
    Yields.  Raises ChildProcessError for what is not a child of this process, or was waited for by others
    meanwhile; SimultaneousError if a thread waits for it already; YieldFromMain outside a thread, where
    os.waitpid() serves.
    An interrupted caller stops waiting; the status stays where it is, for the next who asks.
    """
    if not isinstance(pid, int) or isinstance(pid, bool):
        raise TypeError(f"waitpid() needs a process id as an int, got {pid!r}")
    if not 1 <= pid <= _MAX_PID:
        raise ValueError(f"waitpid() waits for one process: its id must be 1 to {_MAX_PID}, got {pid}")
    me = scheduler.current_thread(f"waitpid({pid})")
    other = _waiting.get(pid)
    # A thread that its loop or a fork() abandoned never came to strike itself off.
    if other is not None and not other.dead:
        raise SimultaneousError(me, other, ("process", pid))
    ended = os.waitpid(pid, os.WNOHANG)
    if ended[0]:
        return ended
    poller: Poller = loop.poller  # type: ignore[assignment]
    key = poller.add_process(pid)
    _waiting[pid] = me
    descriptor = descriptors.adopt(key)
    try:
        descriptor.wait_readable()
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            sleep_until(scheduler.clock() + _MOMENT_TICKS)
        return ended
    finally:
        del _waiting[pid]
        descriptors.forget(descriptor)
        poller.remove_process(key)
