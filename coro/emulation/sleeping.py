"""Area "time": time.sleep() lets the other threads run."""

from __future__ import annotations

import time

from coro.clock import FOREVER_TICKS, seconds_to_ticks
from coro.emulation.patching import Patcher, original
from coro.emulation.place import in_foreign_os_thread
from coro.scheduler import scheduler
from coro.timed import timers

__all__ = ["install", "sleep"]

_os_sleep = original("time", "sleep")


def sleep(seconds: float, /) -> None:
    """As time.sleep(): sleep for at least so long, whoever schedules the thread meanwhile.

    Yields, also for 0 seconds.  Raises what interrupted the thread.
    """
    if in_foreign_os_thread() or not (isinstance(seconds, (int, float)) and 0 <= seconds < _LONGEST_S):
        # The original says what is wrong with an argument that is none.
        _os_sleep(seconds)
        return
    if seconds == 0:
        # A finaliser, or a task of an asyncio loop in the middle of a step, goes on: nothing is to be waited for.
        if not scheduler.collecting:
            scheduler.yield_slice()
        return
    thread = scheduler.current_thread("time.sleep()")
    timer = timers.arm(min(scheduler.clock() + seconds_to_ticks(seconds), FOREVER_TICKS), scheduler.wake, thread)
    try:
        # A timer that has fired has no action any more.
        while timer[2] is not None:
            scheduler.park("sleep", timer)
    finally:
        timers.cancel(timer)


_LONGEST_S = FOREVER_TICKS / 1e9


def install(patcher: Patcher) -> None:
    """Replace time.sleep, also where it was imported from there before."""
    patcher.replace_everywhere(time, sleep=sleep)
