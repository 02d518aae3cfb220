"""What look-ups came to, for a while.

Invariant: no more than `size` entries; the one that was asked for longest ago goes first.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from coro.clock import ticks_per_sec

__all__ = ["Cache", "Outcome"]


class Outcome:
    """What a look-up came to: a value, or an error.

    ttl_s: how long that holds, in seconds; None for whatever the cache's owner thinks right.
    """

    __slots__ = ("error", "ttl_s", "value")

    def __init__(self, value: Any = None, error: Exception | None = None, ttl_s: float | None = None) -> None:
        # Without the frames that it came through: whoever takes it has frames of his own.
        self.error = None if error is None else error.with_traceback(None)
        self.value = value
        self.ttl_s = ttl_s

    def take(self) -> Any:
        """A copy of the value, which the caller may change; or raises a copy of the error."""
        if self.error is not None:
            raise copy.copy(self.error)
        # Lists are what callers sort and shorten in place; what is in them cannot be changed, or is a list again.
        value = self.value
        if isinstance(value, list):
            return list(value)
        if isinstance(value, tuple):
            return tuple(list(part) if isinstance(part, list) else part for part in value)
        return value


class Cache:
    """Outcomes by question, each until its time is over.

    size: how many entries there may be; 0 keeps nothing.
    clock: returns ticks.
    """

    __slots__ = ("_clock", "_entries", "size")

    def __init__(self, size: int, clock: Callable[[], int]) -> None:
        self.size = size
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[int, Outcome]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, question: Hashable) -> Outcome | None:
        """The outcome, unless there is none or its time is over."""
        entry = self._entries.get(question)
        if entry is None:
            return None
        due, outcome = entry
        if due <= self._clock():
            del self._entries[question]
            return None
        self._entries.move_to_end(question)
        return outcome

    def put(self, question: Hashable, outcome: Outcome, seconds: float) -> None:
        """Keep an outcome for so many seconds; for 0 or less, or with a size of 0, not at all."""
        if self.size <= 0 or seconds <= 0:
            return
        self._entries[question] = (self._clock() + int(seconds * ticks_per_sec), outcome)
        self._entries.move_to_end(question)
        self.shrink()

    def shrink(self) -> None:
        """Drop what is over the size."""
        while len(self._entries) > self.size:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
