"""The emulated `_thread.lock` and `_thread.RLock`.

The state of a lock is a real lock, so taking a free one is atomic between OS threads too; who finds it taken stands
in one line, be it a coroutine thread, which parks, or an OS thread, which sleeps.  A release hands the lock to the
first in line without freeing it.  So threads that never block otherwise cannot starve each other.

Invariant: the real lock is locked exactly while somebody holds the emulated one.
"""

from __future__ import annotations

import _thread
import sys
from _thread import TIMEOUT_MAX
from _thread import RLock as OSRLock
from _thread import allocate_lock as allocate_os_lock
from collections import deque
from time import monotonic
from typing import Any, NoReturn

from greenlet import getcurrent

from coro.emulation.place import get_ident, place
from coro.emulation.waiter import Waiter, grant_next, leave
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["Lock", "RLock", "Sentinel", "allocate_lock", "allocate_sentinel"]

OSLock = _thread.LockType
# Guards the making of a lock's line of waiters, which most locks never need.
_making = allocate_os_lock()
_new_object = object.__new__


class _LockMeta(type):
    """As the type of the real locks: isinstance() holds for them too, some remain; and calling it makes none."""

    def __call__(cls, *args: object, **kwargs: object) -> Any:
        if sys.version_info < (3, 13):
            raise TypeError(f"cannot create '_thread.{cls.__name__}' instances")
        if args or kwargs:
            raise TypeError(f"lock() takes no arguments ({len(args) + len(kwargs)} given)")
        return _new_lock(cls)

    def __instancecheck__(cls, instance: object) -> bool:
        return type.__instancecheck__(cls, instance) or type(instance) is OSLock


class Lock(metaclass=_LockMeta):
    """What _thread.allocate_lock() makes; the interpreter's documentation of `threading.Lock` holds.

    An interrupted caller has not got the lock, also if it had been handed over: then the next in line gets it.
    """

    __slots__ = ("__weakref__", "_native", "_waiters")

    _native: Any
    _waiters: deque[Waiter] | None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; yields if it has to wait.  As _thread.lock.acquire()."""
        if self._native.acquire(False):
            if blocking is not True or timeout != -1:
                self._check(blocking, timeout)
            return True
        if not blocking or timeout != -1:
            # The original says what is wrong with arguments that are.
            _check_arguments(blocking, timeout)
            if not blocking or timeout == 0:
                return False
        return self._wait(None if timeout < 0 else timeout)

    def release(self) -> None:
        """Give the lock to the first in line, or to nobody.  Raises RuntimeError if it is free.  Does not yield."""
        waiters = self._waiters
        native = self._native
        if waiters and native.locked() and grant_next(waiters):
            return
        native.release()
        if self._waiters:
            self._offer()

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return bool(self._native.locked())

    def __enter__(self) -> bool:
        return self._native.acquire(False) or self._wait(None)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        # As release(), without the call, which would take a third of the time of a `with` statement.
        if self._waiters:
            self.release()
            return
        self._native.release()
        if self._waiters:
            self._offer()

    def _offer(self) -> None:
        """In another OS thread somebody has joined the line since it was looked at."""
        waiters = self._waiters
        while waiters and self._native.acquire(False):
            if grant_next(waiters):
                return
            self._native.release()

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def _at_fork_reinit(self) -> None:
        self._native = allocate_os_lock()
        self._waiters = None

    def __repr__(self) -> str:
        state = "locked" if self._native.locked() else "unlocked"
        return f"<{state} _thread.lock object at {id(self):#x}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle '_thread.lock' object")

    def _check(self, blocking: bool, timeout: float) -> None:
        try:
            _check_arguments(blocking, timeout)
        except BaseException:
            self.release()
            raise

    def _line(self) -> deque[Waiter]:
        """Who waits; the line is made when it is first needed."""
        waiters = self._waiters
        if waiters is None:
            with _making:
                waiters = self._waiters
                if waiters is None:
                    self._waiters = waiters = deque()
        return waiters

    def _wait(self, timeout: float | None) -> bool:
        waiter = Waiter("acquiring a lock")
        waiters = self._line()
        waiters.append(waiter)
        if self._native.acquire(False):
            # Released in another OS thread since it was tried, perhaps before there was a line to look at.
            leave(waiters, waiter)
            return True
        try:
            granted = waiter.wait("lock", self, timeout)
        except BaseException:
            if not leave(waiters, waiter):
                self.release()
            raise
        # Taken out of the line means granted, at this very moment.
        return granted or not leave(waiters, waiter)


def _check_arguments(blocking: bool, timeout: float) -> None:
    """Raise what the original's acquire() raises for these arguments."""
    if timeout == -1 or not (blocking and isinstance(timeout, (int, float)) and 0 <= timeout <= TIMEOUT_MAX):
        allocate_os_lock().acquire(blocking, timeout)


class Sentinel(Lock):
    """The lock that threading.Thread.join() waits for: free once it is released, whoever waits.

    The first who gets it sees to it that the Thread is marked as ended, and relies on its being free after that.
    """

    __slots__ = ()

    def release(self) -> None:
        """Free the lock; all who wait try again.  Does not yield."""
        self._native.release()
        while self._waiters:
            grant_next(self._waiters)

    def let_go(self) -> None:
        """Free the lock if it is held."""
        if self._native.locked():
            self.release()

    def _wait(self, timeout: float | None) -> bool:
        deadline = None if timeout is None else monotonic() + timeout
        while not self._native.acquire(False):
            remaining = None if deadline is None else deadline - monotonic()
            if remaining is not None and remaining <= 0:
                return False
            self._wait_once(remaining)
        return True

    def _wait_once(self, timeout: float | None) -> None:
        waiters = self._line()
        waiter = Waiter("joining a thread")
        waiters.append(waiter)
        try:
            if self._native.locked():
                waiter.wait("join", self, timeout)
        finally:
            leave(waiters, waiter)


def _new_lock(cls: Any) -> Any:
    lock = _new_object(cls)
    lock._native = allocate_os_lock()
    lock._waiters = None
    return lock


def allocate_lock() -> Lock:
    """As _thread.allocate_lock()."""
    lock: Lock = _new_object(Lock)
    lock._native = allocate_os_lock()
    lock._waiters = None
    return lock


def allocate_sentinel() -> Sentinel:
    """A new Sentinel."""
    return _new_lock(Sentinel)  # type: ignore[no-any-return]


class RLock(OSRLock):  # type: ignore[misc]
    """What threading.RLock() makes; the interpreter's documentation of it holds.

    Owned by a thread, not by an OS thread: of the original's state nothing is used.
    An interrupted caller has not got the lock, also if it had been handed over: then the next in line gets it.
    """

    __slots__ = ("_block", "_count", "_owner")

    def __init__(self) -> None:
        self._block = allocate_lock()
        self._owner = 0
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, once more if the caller has it; yields if it has to wait.  As _thread.RLock.acquire()."""
        try:
            # As get_ident(), without the call.
            thread: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
            me = thread.id if thread is not scheduler.adopted else place.home
        except (AttributeError, RuntimeError):
            me = get_ident()
        if self._owner == me:
            if not blocking or timeout != -1:
                _check_arguments(blocking, timeout)
            self._count += 1
            return True
        if self._block.acquire(blocking, timeout):
            self._owner = me
            self._count = 1
            return True
        return False

    def release(self) -> None:
        """Give the lock back once.  Raises RuntimeError if the caller does not hold it.  Does not yield."""
        try:
            thread: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
            me = thread.id if thread is not scheduler.adopted else place.home
        except (AttributeError, RuntimeError):
            me = get_ident()
        if self._owner != me or not self._count:
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = 0
            self._block.release()

    __enter__ = acquire

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return self._block.locked()

    def _is_owned(self) -> bool:
        return self._count > 0 and self._owner == get_ident()

    def _recursion_count(self) -> int:
        return self._count if self._owner == get_ident() else 0

    def _acquire_restore(self, state: tuple[int, int]) -> None:
        self._block.acquire()
        self._count, self._owner = state

    def _release_save(self) -> tuple[int, int]:
        if not self._count:
            raise RuntimeError("cannot release un-acquired lock")
        state = self._count, self._owner
        self._count = self._owner = 0
        self._block.release()
        return state

    def _at_fork_reinit(self) -> None:
        self._block._at_fork_reinit()
        self._owner = self._count = 0

    def __repr__(self) -> str:
        state = "locked" if self._block.locked() else "unlocked"
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return f"<{state} {name} object owner={self._owner} count={self._count} at {id(self):#x}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle '{type(self).__module__}.{type(self).__qualname__}' object")


def _pass_for_originals() -> None:
    for cls, name in ((Lock, "lock"), (Sentinel, "lock"), (RLock, "RLock")):
        made: Any = cls
        made.__module__ = "_thread"
        made.__name__ = made.__qualname__ = name


_pass_for_originals()
