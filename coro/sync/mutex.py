"""mutex: one thread at a time, and that thread as often as it likes.

Invariant: `_holder` is the thread that has the lock, and being written there is the grant; while it is None
nobody waits who could have the lock.
"""

from __future__ import annotations

from collections import deque
from typing import NoReturn, cast

from greenlet import getcurrent

from coro.exceptions import LockError
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.sync.waiters import (
    as_threads,
    calling_thread,
    check_timeout,
    forget,
    name_of,
    next_waiter,
    wait_until,
    waiting_text,
)
from coro.thread import coro, main_thread

__all__ = ["mutex"]


class mutex:
    """A mutual exclusion lock; the thread that holds it may lock it again, and unlocks it as many times.

    Handed over in the order of asking.  Works in `with`.  A thread that ends without unlocking leaves it locked.
    """

    __slots__ = ("__weakref__", "_extra_locks", "_holder", "_waiters")

    def __init__(self) -> None:
        self._holder: ThreadState | None = None
        # How many times the holder has locked it beyond the first: the usual lock and unlock need not touch it.
        self._extra_locks = 0
        self._waiters: deque[ThreadState] = deque()

    def lock(self, timeout: float | None = None) -> bool:
        """Lock the mutex; waits while another thread holds it.

        timeout: seconds; None waits for ever, 0 or less does not wait.
        Returns True if it blocked, False if it had the lock at once.
        Yields if it has to wait.  Raises coro.TimeoutError; YieldFromMain outside a thread.  A caller that is
        interrupted before it runs again has not got the lock, also if it had been handed over: then the next in
        line gets it.
        """
        try:
            me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            me = scheduler.refuse("mutex.lock()")
        if timeout is not None:
            check_timeout(timeout)
        holder = self._holder
        if holder is None:
            self._holder = me
            return False
        if holder is me:
            self._extra_locks += 1
            return False
        self._wait(me, timeout)
        return True

    def trylock(self) -> bool:
        """Try to lock the mutex without waiting.

        Returns **True if it failed**, False if the caller has the lock, as Shrapnel's.
        Does not yield.  Raises YieldFromMain outside a thread.
        """
        me = scheduler.current_thread("mutex.trylock()")
        if self._holder is None:
            self._holder = me
        elif self._holder is me:
            self._extra_locks += 1
        else:
            return True
        return False

    def unlock(self) -> bool:
        """Unlock the mutex once.

        Returns True if it was handed over to another thread, else False.
        Does not yield.  Raises LockError if the caller does not hold it; YieldFromMain from another OS thread.
        """
        try:
            me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            me = calling_thread("mutex.unlock()")
        if self._holder is not me:
            self._refuse_unlock(me)
        if self._extra_locks:
            self._extra_locks -= 1
            return False
        if self._waiters:
            return self._hand_over()
        self._holder = None
        return False

    def locked(self) -> bool:
        """Whether any thread holds the mutex.  Does not yield."""
        return self._holder is not None

    def has_lock(self, thread: coro | None = None) -> bool:
        """Whether a thread, None for the current one, holds the mutex.  Does not yield."""
        if thread is None:
            thread = getattr(getcurrent(), "thread", main_thread)
        elif not isinstance(thread, ThreadState):
            raise TypeError(f"mutex.has_lock() needs a thread, got {thread!r}")
        return self._holder is thread

    # `with m as blocked:` is Shrapnel's.
    __enter__ = lock

    def __exit__(self, *exc_info: object) -> None:
        self.unlock()

    @property
    def holder(self) -> coro | None:
        """The thread that holds the mutex, or None."""
        return cast("coro | None", self._holder)

    @property
    def waiters(self) -> tuple[coro, ...]:
        """The threads that wait for the lock, first come first."""
        return as_threads(self._waiters)

    def __repr__(self) -> str:
        if self._holder is None:
            state = "unlocked"
        else:
            times = f" {self._extra_locks + 1} times" if self._extra_locks else ""
            state = f"held{times} by {name_of(self._holder)}"
        return f"<mutex {state}{waiting_text(self._waiters)} at {id(self):#x}>"

    def _wait(self, me: ThreadState, timeout: float | None) -> None:
        self._waiters.append(me)
        try:
            wait_until(lambda _: self._holder is me, "mutex", self, timeout)
        except BaseException:
            if self._holder is me:
                self._hand_over()
            else:
                forget(self._waiters, me)
            raise

    def _hand_over(self) -> bool:
        """Give the lock to the next in line, or to nobody; returns whether there was one."""
        self._holder = waiter = next_waiter(self._waiters)
        if waiter is None:
            return False
        scheduler.wake(waiter)
        return True

    def _refuse_unlock(self, me: ThreadState) -> NoReturn:
        raise LockError(f"{name_of(me)} cannot unlock {self!r}: it does not hold it", self, me)
