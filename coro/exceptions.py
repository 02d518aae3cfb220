"""Every exception that coro raises, in one tree.

Ordinary errors derive from Exception.  What travels through a thread to interrupt it derives from
BaseException, so that no `except Exception` swallows it on its way; only TimeoutError, which the frame
that owns the timeout raises, is an ordinary error as well (a builtins.TimeoutError, so an OSError).

Invariant: every exception keeps its facts as attributes; this module knows nothing else of coro.
"""

from __future__ import annotations

import builtins
from typing import Any

__all__ = [
    "ClosedError",
    "DeadCoroutine",
    "InParallelError",
    "Interrupted",
    "LockError",
    "NotStartedError",
    "ScheduleError",
    "Shutdown",
    "SimultaneousError",
    "TimeoutError",
    "WakeUp",
    "YieldFromMain",
]


class ScheduleError(Exception):
    """A thread was scheduled that is scheduled already, or that is the current one.

    thread: the thread that could not be scheduled.
    """

    def __init__(self, thread: Any, message: str = "") -> None:
        super().__init__(thread, message)
        self.thread = thread
        self.message = message

    def __str__(self) -> str:
        return f"{self.message}: {self.thread!r}" if self.message else repr(self.thread)


class DeadCoroutine(ScheduleError):
    """The thread has ended."""


class NotStartedError(ScheduleError):
    """A thread was interrupted that has not run yet; `cancel_start=True` or `shutdown()` cancels it."""


class SimultaneousError(Exception):
    """Two threads attempted a conflicting blocking operation, such as reading one descriptor.

    co: the thread that came second and got this error.
    other: the thread (or handler) that waits already.
    event: what both wait for, such as ("read", 7).
    """

    def __init__(self, co: Any, other: Any, event: Any) -> None:
        super().__init__(co, other, event)
        self.co = co
        self.other = other
        self.event = event

    def __str__(self) -> str:
        return f"{self.co!r} cannot wait for {self.event}: {self.other!r} waits for it already"


class ClosedError(Exception):
    """Another thread closed this descriptor while it was waited for, or it was closed before.

    fd: the descriptor's number, -1 when it is no longer known.
    """

    def __init__(self, message: str = "the descriptor is closed", fd: int = -1) -> None:
        super().__init__(message)
        self.fd = fd


class WakeUp(Exception):
    """For users: raise it on a sleeping thread to wake it up."""


class YieldFromMain(Exception):
    """A call that blocks was made where no thread can be parked: outside the loop, or on a foreign stack."""


class LockError(Exception):
    """A lock was misused: unlocked by a thread that does not hold it, released more often than taken …

    lock: the lock.  thread: the thread that misused it.
    """

    def __init__(self, message: str, lock: Any = None, thread: Any = None) -> None:
        super().__init__(message)
        self.lock = lock
        self.thread = thread


class InParallelError(Exception):
    """One or more functions of in_parallel() raised.

    result_list: one (status, result) tuple per function, in order: (SUCCESS, value), or (FAILURE, exc_info)
    with exc_info as of sys.exc_info().
    """

    def __init__(self, result_list: list[tuple[str, Any]]) -> None:
        super().__init__(result_list)
        self.result_list = result_list

    def __str__(self) -> str:
        failures = [result for status, result in self.result_list if status != "SUCCESS"]
        first = failures[0][1] if failures else None
        return f"{len(failures)} of {len(self.result_list)} functions failed, the first with {first!r}"


class Interrupted(BaseException):
    """The thread was interrupted while it waited.

    A BaseException: it passes every `except Exception` on its way through a thread.
    """


class TimeoutError(Interrupted, builtins.TimeoutError):
    """A timeout has expired; raised by the frame that owns it.

    Also a builtins.TimeoutError, as asyncio's, so `except TimeoutError` and `except OSError` catch it.
    seconds: the timeout that was asked for, or None for an absolute deadline.
    """

    seconds: float | None = None


class Shutdown(Interrupted):
    """The thread is shutting down.  Silent when it ends a thread."""
