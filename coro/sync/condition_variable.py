"""condition_variable: threads wait to be told something; who tells them decides how many hear it.

Invariant: a _Waiter in `_waiters` has been told nothing yet; being taken out and given an outcome is its grant.
"""

from __future__ import annotations

import copy
from collections import deque
from typing import Any

from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.sync.waiters import as_threads, check_count, check_timeout, forget, is_leaving, wait_until, waiting_text
from coro.thread import coro

__all__ = ["condition_variable"]


class _Waiter:
    """One wait: what the thread is to return or raise once it is `told`."""

    __slots__ = ("error", "passes_on", "thread", "told", "value")

    def __init__(self, thread: ThreadState) -> None:
        self.thread = thread
        self.told = False
        self.value: Any = None
        self.error: BaseException | None = None
        # Whether somebody else must hear it if this thread cannot: one wake-up, one thread.
        self.passes_on = False


class condition_variable:
    """Threads wait() until another thread wakes one, some or all of them, or raises an exception in all.

    It remembers nothing: a wake-up that finds nobody waiting is over.  `len()` is the number of waiters.
    """

    __slots__ = ("__weakref__", "_waiters")

    def __init__(self) -> None:
        self._waiters: deque[_Waiter] = deque()

    def wait(self, timeout: float | None = None) -> Any:
        """Wait until this thread is woken; returns the `args` of the wake-up, () by default.

        timeout: seconds; None waits for ever, 0 or less does not wait.
        Yields.  Raises coro.TimeoutError; an exception that raise_all() sent; YieldFromMain outside a thread.
        A caller that is interrupted stops waiting.  If wake_one() or wake_n() had chosen it already, its wake-up
        goes to the next in line, with the same `args`; what wake_all() and raise_all() sent was for it alone.
        """
        me = scheduler.current_thread("condition_variable.wait()")
        if timeout is not None:
            check_timeout(timeout)
        waiter = _Waiter(me)
        self._waiters.append(waiter)
        try:
            wait_until(lambda _: waiter.told, "condition", self, timeout)
        except BaseException:
            if not waiter.told:
                forget(self._waiters, waiter)
            elif waiter.passes_on:
                self._wake(1, waiter.value)
            raise
        if waiter.error is not None:
            raise waiter.error
        return waiter.value

    def wake_one(self, args: Any = ()) -> bool:
        """Wake the thread that has waited longest; its wait() returns `args`.

        Returns whether there was one.  Does not yield.  Raises YieldFromMain from another OS thread.
        """
        scheduler.refuse_foreign("condition_variable.wake_one()")
        return self._wake(1, args) == 1

    def wake_all(self, args: Any = ()) -> None:
        """Wake all threads that wait now; their wait() returns `args`.

        Does not yield.  Raises YieldFromMain from another OS thread.
        """
        scheduler.refuse_foreign("condition_variable.wake_all()")
        while self._waiters:
            waiter = self._waiters.popleft()
            if not is_leaving(waiter.thread):
                self._tell(waiter, args)

    def wake_n(self, count: int, args: Any = ()) -> int:
        """Wake up to `count` threads, 0 or more, those that have waited longest; their wait() returns `args`.

        Returns how many there were.  Does not yield.  Raises YieldFromMain from another OS thread.
        """
        check_count(count, "the count of condition_variable.wake_n()", 0)
        scheduler.refuse_foreign("condition_variable.wake_n()")
        return self._wake(count, args)

    def raise_all(self, the_exception: BaseException | type[BaseException]) -> None:
        """Raise an exception in all threads that wait now, one of its own in each.

        the_exception: a class, of which each thread gets an instance, or an exception, of which each gets a copy
            (one object raised in several threads would mix up their tracebacks).
        Does not yield.  Raises YieldFromMain from another OS thread.
        """
        a_class = isinstance(the_exception, type) and issubclass(the_exception, BaseException)
        if not a_class and not isinstance(the_exception, BaseException):
            raise TypeError(f"condition_variable.raise_all() needs an exception, got {the_exception!r}")
        scheduler.refuse_foreign("condition_variable.raise_all()")
        # All are made before anybody is told: making one is the user's code, and may raise.
        told = [(waiter, _own_exception(the_exception)) for waiter in list(self._waiters)]
        for waiter, error in told:
            # The user's code may have woken some, too.
            if not waiter.told and not is_leaving(waiter.thread):
                forget(self._waiters, waiter)
                waiter.error = error
                self._tell(waiter, None)

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def waiters(self) -> tuple[coro, ...]:
        """The threads that wait, first come first."""
        return as_threads([waiter.thread for waiter in self._waiters])

    def __repr__(self) -> str:
        state = waiting_text(self.waiters).removeprefix(", ") or "nobody waiting"
        return f"<condition_variable {state} at {id(self):#x}>"

    def _wake(self, count: int, args: Any) -> int:
        woken = 0
        while woken < count and self._waiters:
            waiter = self._waiters.popleft()
            if not is_leaving(waiter.thread):
                waiter.passes_on = True
                self._tell(waiter, args)
                woken += 1
        return woken

    def _tell(self, waiter: _Waiter, value: Any) -> None:
        waiter.told = True
        waiter.value = value
        scheduler.wake(waiter.thread)


def _own_exception(the_exception: BaseException | type[BaseException]) -> BaseException:
    """An instance of the class, or a copy of the exception with its causes and traceback so far."""
    if isinstance(the_exception, type):
        return the_exception()
    try:
        own = copy.copy(the_exception)
    except TypeError:
        # Its class wants other arguments than those in `args`, so it cannot be made again in the regular way.
        own = type(the_exception).__new__(type(the_exception), *the_exception.args)
        own.__dict__.update(the_exception.__dict__)
    own.__traceback__ = the_exception.__traceback__
    own.__context__ = the_exception.__context__
    own.__cause__ = the_exception.__cause__
    own.__suppress_context__ = the_exception.__suppress_context__
    return own
