"""Where a caller of an emulated function runs: in a thread, the main greenlet, the loop, or another OS thread.

Invariant: `place.home` is the OS thread of the loop, which is the main one; a fork in another OS thread moves it.
"""

from __future__ import annotations

from _thread import get_ident as os_get_ident
from _thread import get_native_id as _os_get_native_id

from greenlet import getcurrent

from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["get_ident", "get_native_id", "in_foreign_os_thread", "may_park", "os_get_ident", "place"]


class _Place:
    """home: the number of the OS thread of the loop.

    main: the thread that is the main thread; None while that is the main greenlet, and no thread.
    """

    __slots__ = ("home", "main")

    def __init__(self) -> None:
        self.home = os_get_ident()
        self.main: ThreadState | None = None


place = _Place()


def in_foreign_os_thread() -> bool:
    """Whether the caller runs in another OS thread than the loop, where blocking is as it always was."""
    return os_get_ident() != place.home


def get_ident() -> int:
    """As _thread.get_ident(): a number that no other thread has.

    A coroutine thread has its own `id`, the main thread the number of its OS thread.
    """
    try:
        thread: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
    except AttributeError:
        return _ident_of_no_thread()
    except RuntimeError:
        # The interpreter is being finalised: only this OS thread is left.
        return os_get_ident()
    return thread.id if thread is not scheduler.adopted else place.home


def _ident_of_no_thread() -> int:
    ident = os_get_ident()
    if ident != place.home:
        return ident
    if scheduler.current is not None:
        # A user's own greenlet inside a thread belongs to that thread.
        return place.home if scheduler.current is scheduler.adopted else scheduler.current.id
    # The loop in a greenlet of its own is not the main thread: it must not pass for the owner of the main thread's
    # locks.
    return ident if scheduler.adopted is None else ident + 1


def get_native_id() -> int:
    """As _thread.get_native_id(): the kernel's number in the main thread and in other OS threads.

    A coroutine thread has none; it gets one that no process ever has, so no system call can hit another by it.
    """
    thread = None if in_foreign_os_thread() else scheduler.current
    if thread is None or thread is scheduler.adopted:
        return _os_get_native_id()
    return _NO_PROCESS_BELOW + thread.id % _NO_PROCESS_BELOW


# Linux's PID_MAX_LIMIT.
_NO_PROCESS_BELOW = 1 << 22


def may_park() -> bool:
    """Whether a caller that would have to wait can park: it is a thread, or the main greenlet outside any loop.

    Not in another OS thread, in the loop, on a greenlet of the user's own, inside the collector and while the
    interpreter is finalised.
    """
    try:
        current = getcurrent()
    except RuntimeError:
        return False
    if scheduler.collecting is True:
        # In a step of an asyncio task parking raises, and says why.
        return False
    if getattr(current, "thread", None) is not None:
        return True
    return current.parent is None and scheduler.loop_greenlet is None and not in_foreign_os_thread()
