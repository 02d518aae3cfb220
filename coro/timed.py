"""Waits that end by themselves: sleeping, and parking with a timeout.

The waits of the core are woken by their timers; nothing is interrupted.  The scopes that interrupt whatever a
thread does (`with_timeout`, `coro.timeout`) are services.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from coro.clock import FOREVER_TICKS, seconds_to_ticks, ticks_per_sec
from coro.exceptions import TimeoutError
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timers import Timers

__all__ = ["park_timed", "sleep_relative", "sleep_until", "timeout_error", "timers"]

timers = Timers()

# Looked up once: sleeping is on the hot path.
_arm = timers.arm
_park = scheduler.park
_LONG_SLEEP_S = 1e9
# The resumption value of a thread whose timed wait is over.
_EXPIRED: Any = type("Expired", (), {"__slots__": (), "__repr__": lambda self: "EXPIRED"})()


def park_timed(kind: str, target: Any, seconds: float | None, done: Callable[[], bool] | None = None) -> Any:
    """As scheduler.park(), but for `seconds` at most; None waits for ever.

    done: goes on waiting until this is true, whoever schedules the thread meanwhile.
    Yields.  Raises coro.TimeoutError when the time is over; a value that came at the same moment wins.  The timeout
    is no interrupt: the timer wakes the thread, so it works inside shielded() too.
    """
    if seconds is None:
        value = _park(kind, target)
        while done is not None and not done():
            value = _park(kind, target)
        return value
    ticks = seconds_to_ticks(seconds, what="timeout")
    me = scheduler.current_thread(kind)
    timer = _arm(min(scheduler.clock() + ticks, FOREVER_TICKS), _wake_expired, me)
    try:
        while True:
            value = _park(kind, target)
            if done is None:
                if value is not _EXPIRED:
                    return value
            elif done():
                return value
            if timer[2] is None:
                raise timeout_error(seconds)
    finally:
        if timer[2] is not None:
            timers.cancel(timer)


def timeout_error(seconds: float) -> TimeoutError:
    """The error of a timeout of `seconds`."""
    error = TimeoutError(f"timed out after {seconds} s")
    error.seconds = seconds
    return error


def _wake_expired(thread: ThreadState) -> None:
    if not thread.scheduled:
        thread.scheduled = True
        thread.resumption = _EXPIRED
        scheduler.ready.append(thread)


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
