"""Deadlines: a binary heap with cancellation that frees memory.

A daemon arms and cancels millions of timeouts and lets few of them expire.  So cancelling drops the payload at
once; the newest timer, which is usually also the latest, is popped off the end of the heap; and when more than
half of the heap is cancelled entries, it is rebuilt without them.  Each costs O(1) on average.

A timer is a list [deadline, order, action, argument] so that heapq compares it in C: by deadline, then by the
order of arming, so equal deadlines fire in the order in which they were armed.  `action` is None once the timer
was cancelled or has fired.

Invariant: whatever stands in `heap` with an action fires exactly once.  Knows nothing of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

__all__ = ["Timer", "Timers"]

# [deadline, order, action, argument]; a type alias, for a list cannot name its columns.
Timer = list[Any]

_ACTION = 2
# Below this many entries a rebuild is not worth its walk.
_REBUILD_AT = 64


class Timers:
    """Deadlines in ticks, and what to call when they pass."""

    __slots__ = ("_cancelled", "_order", "heap")

    def __init__(self) -> None:
        # The loop reads heap[0][0], the next deadline; a cancelled head only makes it look once in vain.
        self.heap: list[Timer] = []
        self._order = 0
        self._cancelled = 0

    def __len__(self) -> int:
        """How many timers are armed."""
        return len(self.heap) - self._cancelled

    def arm(self, deadline: int, action: Callable[[Any], object], argument: Any = None) -> Timer:
        """Have `action(argument)` called by the loop once `deadline` (in ticks) has passed.

        Returns the timer, for cancel().  Does not yield.
        """
        self._order = order = self._order + 1
        timer = [deadline, order, action, argument]
        heappush(self.heap, timer)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Make sure that a timer does not fire (any more).  Cancelling twice, or a fired one, is harmless."""
        if timer[2] is None:
            return
        timer[2] = timer[3] = None
        heap = self.heap
        if heap[-1] is timer:
            heap.pop()
            return
        self._cancelled = cancelled = self._cancelled + 1
        if cancelled > _REBUILD_AT and cancelled * 2 > len(heap):
            # In place: the loop may be iterating over this very list object.
            heap[:] = [entry for entry in heap if entry[_ACTION] is not None]
            heapify(heap)
            self._cancelled = 0

    def expire(self, now: int) -> int:
        """Call the action of every timer whose deadline is at or before `now`; returns how many fired.

        An action must not raise, and what it arms must lie beyond `now`, or expiry would never end.
        """
        heap = self.heap
        fired = 0
        while heap and heap[0][0] <= now:
            timer = heappop(heap)
            action = timer[2]
            if action is None:
                self._cancelled -= 1
                continue
            argument = timer[3]
            timer[2] = timer[3] = None
            fired += 1
            action(argument)
        return fired

    def pending(self) -> list[Timer]:
        """The armed timers, soonest first; a copy for inspection."""
        return sorted(entry for entry in self.heap if entry[_ACTION] is not None)

    def clear(self) -> None:
        """Forget all timers without firing them."""
        for timer in self.heap:
            timer[2] = timer[3] = None
        self.heap.clear()
        self._cancelled = 0
