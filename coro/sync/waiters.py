"""What the primitives have in common: how to wait for a grant, choose a waiter, check arguments, name threads.

Knows nothing of any primitive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Any, cast

from coro.clock import seconds_to_ticks
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.thread import coro, main_thread
from coro.timed import timeout_error, timers

__all__ = [
    "as_threads",
    "calling_thread",
    "check_count",
    "check_timeout",
    "forget",
    "is_leaving",
    "name_of",
    "next_waiter",
    "wait_until",
    "waiting_text",
]

# So many waiters are named in a repr; the rest are counted.
NAMED_WAITERS = 5


def wait_until(granted: Callable[[Any], bool], kind: str, target: Any, timeout: float | None) -> None:
    """Park the current thread until `granted()`, whoever schedules it meanwhile.

    granted: gets what the thread was resumed with.
    kind, target: what it waits for, for whoever looks.
    timeout: seconds; None waits for ever, 0 or less does not even park.
    Yields.  Raises coro.TimeoutError, and whatever interrupted the thread; the caller then undoes its registration
    and hands on what it was granted at the same moment.  What is granted in the instant in which the time is over
    wins: the timeout is no interrupt, only a wake-up, so it works in shielded() as well.
    """
    if timeout is None:
        while not granted(scheduler.park(kind, target)):
            pass
        return
    me = scheduler.current_thread(kind)
    ticks = seconds_to_ticks(timeout, what="timeout")
    if ticks == 0:
        raise timeout_error(timeout)
    timer = timers.arm(scheduler.clock() + ticks, scheduler.wake, me)
    try:
        while not granted(scheduler.park(kind, target)):
            # A timer that has fired has no action any more.
            if timer[2] is None:
                raise timeout_error(timeout)
    finally:
        timers.cancel(timer)


def calling_thread(what: str) -> ThreadState:
    """The current thread; in the main greenlet a stub that holds nothing.

    Raises YieldFromMain, naming `what`, in another OS thread and on a greenlet of the user's own.
    """
    scheduler.refuse_foreign(what)
    return main_thread if scheduler.current is None else scheduler.current_thread(what)


def is_leaving(thread: ThreadState) -> bool:
    """Whether a waiter cannot use a grant any more: it is about to be interrupted, or will never run again."""
    return thread.exception is not None or thread.dead


def next_waiter(waiters: deque[ThreadState]) -> ThreadState | None:
    """Take the first waiter that can use a grant out of the queue; None if there is none.

    Those before it that are leaving are dropped: they look for themselves with forget().
    """
    while waiters:
        thread = waiters.popleft()
        if not is_leaving(thread):
            return thread
    return None


def forget(waiters: deque[Any], waiter: object) -> None:
    """Take a waiter that leaves out of the queue, if it still stands there."""
    try:
        waiters.remove(waiter)
    except ValueError:
        # next_waiter() has passed it over.
        return


def check_count(count: object, what: str, minimum: int) -> None:
    """Raise TypeError unless `count` is an int, ValueError if it is below `minimum`; `what` names it."""
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"{what} must be an int, got {count!r}")
    if count < minimum:
        raise ValueError(f"{what} must be {minimum} or more, got {count}")


def check_timeout(timeout: float) -> None:
    """Raise TypeError or ValueError for what is no timeout, also when nobody has to wait."""
    seconds_to_ticks(timeout, what="timeout")


def as_threads(threads: Collection[ThreadState]) -> tuple[coro, ...]:
    """The threads as users see them.  Every thread is a coro."""
    return cast("tuple[coro, ...]", tuple(threads))


def name_of(thread: ThreadState) -> str:
    """A thread in a few words, for a repr: its number and name, and whether it has ended."""
    ended = " (dead)" if thread.dead else ""
    return f"#{thread.id} {cast(coro, thread).get_name()!r}{ended}"


def waiting_text(threads: Collection[ThreadState]) -> str:
    """Who waits, as a repr goes on: ", 2 waiting: #7 'a', #8 'b'"; empty if nobody does."""
    if not threads:
        return ""
    names = [name_of(thread) for thread in list(threads)[:NAMED_WAITERS]]
    if len(threads) > NAMED_WAITERS:
        names.append("…")
    return f", {len(threads)} waiting: {', '.join(names)}"
