"""What a running process is doing: live state, as frozen records.

    coro.inspect.threads()        every thread, with what it waits for and its account
    coro.inspect.stacks()         where each one stands; stack_groups() counts threads at the same place once
    coro.inspect.why(id)          what a thread waits for, who holds that, and so on; a deadlock is named
    coro.inspect.deadlocks()      all of them
    coro.inspect.descriptors(), timers(), locks(), loop()

In a thread, the functions that walk over all threads work in slices of 0.1 ms and sleep between them, so that the
daemon loses 5 % of its time at most; such a list is no single moment, and each thread's record says at which turn
of the loop it was taken.  Outside the loop they work in one go.
"""

from __future__ import annotations

from coro.inspect.loop import loop
from coro.inspect.resources import descriptors, locks, timers
from coro.inspect.stacks import stack, stack_groups, stacks
from coro.inspect.threads import thread, threads
from coro.inspect.waits import deadlocks, why

__all__ = [
    "deadlocks",
    "descriptors",
    "locks",
    "loop",
    "stack",
    "stack_groups",
    "stacks",
    "thread",
    "threads",
    "timers",
    "why",
]
