"""Waits that end by themselves: sleeping, and parking with a timeout.

A timeout travels as `Interrupted(its own token)`; the frame that armed it, and no other, turns that into
TimeoutError.  So an inner `except TimeoutError` never catches an outer timeout, however deep they nest.
The full scopes (`with_timeout`, `coro.timeout`) are services; the waits of the core need only this much.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from coro.clock import FOREVER_TICKS, seconds_to_ticks, ticks_per_sec
from coro.exceptions import Interrupted, TimeoutError
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timers import Timer, Timers

__all__ = ["Deadline", "park_timed", "sleep_relative", "sleep_until", "timers"]

timers = Timers()

# Looked up once: sleeping is on the hot path.
_arm = timers.arm
_park = scheduler.park
_LONG_SLEEP_S = 1e9


class Deadline:
    """A deadline of one frame of one thread: its token, its timer and its undelivered interrupt.

    arm() and close() stand in the frame; between them the thread may be interrupted once, by `exception`.
    """

    __slots__ = ("exception", "seconds", "thread", "timer")

    def __init__(self, thread: ThreadState, seconds: float | None = None) -> None:
        self.thread = thread
        self.seconds = seconds
        self.exception: Interrupted | None = None
        self.timer: Timer | None = None

    def arm(self, deadline: int) -> None:
        """Interrupt the thread at `deadline` (ticks); one that has passed interrupts it when it first parks."""
        if deadline <= scheduler.now:
            self.exception = Interrupted(self)
            scheduler.postpone(self.thread, self.exception)
        else:
            self.timer = timers.arm(deadline, self._fire)

    def close(self) -> None:
        """The frame is left: disarm the timer and withdraw an interrupt that was not delivered yet."""
        timer = self.timer
        if timer is not None:
            timers.cancel(timer)
        if self.exception is not None:
            scheduler.withdraw(self.thread, self.exception)
            # The interrupt refers to its token, which is this: no cycle is left behind.
            self.exception = None

    def timeout_error(self) -> TimeoutError:
        """The error that the owning frame raises."""
        if self.seconds is None:
            return TimeoutError("the deadline has passed")
        error = TimeoutError(f"timed out after {self.seconds} s")
        error.seconds = self.seconds
        return error

    def _fire(self, _: object) -> None:
        self.exception = Interrupted(self)
        scheduler.interrupt_politely(self.thread, self.exception)


def park_timed(kind: str, target: Any, seconds: float | None, done: Callable[[], bool] | None = None) -> Any:
    """As scheduler.park(), but for `seconds` at most; None waits for ever.

    done: goes on waiting until this is true, whoever schedules the thread meanwhile.
    Yields.  Raises coro.TimeoutError when the time is over; a value that came at the same moment wins.
    """
    if seconds is None:
        value = scheduler.park(kind, target)
        while done is not None and not done():
            value = scheduler.park(kind, target)
        return value
    deadline = Deadline(scheduler.current_thread(kind), seconds)
    ticks = seconds_to_ticks(seconds, what="timeout")
    deadline.arm(scheduler.clock() + ticks if ticks else 0)
    try:
        value = scheduler.park(kind, target)
        while done is not None and not done():
            value = scheduler.park(kind, target)
        return value
    except Interrupted as interrupt:
        if interrupt is not deadline.exception:
            raise
        raise deadline.timeout_error() from None
    finally:
        deadline.close()


def _wake_sleeper(thread: ThreadState) -> None:
    if not thread.scheduled:
        thread.scheduled = True
        scheduler.ready.append(thread)


def sleep_until(deadline: int) -> None:
    """Park the current thread until `deadline` (ticks); one that has passed yields like yield_slice().

    Yields.  A thread that is scheduled or interrupted meanwhile stops sleeping.
    """
    if deadline <= scheduler.now:
        scheduler.yield_slice()
        return
    timer = _arm(deadline, _wake_sleeper, scheduler.current_thread("sleeping"))
    try:
        _park("sleep", timer)
    finally:
        if timer[2] is not None:
            timers.cancel(timer)


def sleep_relative(seconds: float) -> None:
    """Sleep for a period of time.

    seconds: negative counts as 0, and 0 lets the others run, as yield_slice().
    Yields.  Outside the loop this is time.sleep().  Raises what interrupted the thread; a thread that is scheduled
    by another stops sleeping.
    """
    try:
        me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        # The usual case in one piece; anything odd (0, NaN, no number) fails one of the comparisons.
        usual = 0 < seconds < _LONG_SLEEP_S
    except (AttributeError, TypeError):
        usual = False
    if not usual:
        _sleep_unusual(seconds)
        return
    timer = _arm(scheduler.clock() + int(seconds * ticks_per_sec), _wake_sleeper, me)
    try:
        _park("sleep", timer)
    finally:
        if timer[2] is not None:
            timers.cancel(timer)


def _sleep_unusual(seconds: float) -> None:
    ticks = seconds_to_ticks(seconds)
    if scheduler.loop_greenlet is None:
        time.sleep(ticks / ticks_per_sec)
    elif ticks == 0:
        scheduler.yield_slice()
    else:
        sleep_until(min(scheduler.clock() + ticks, FOREVER_TICKS))
