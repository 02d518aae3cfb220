"""Working beside a daemon: 0.1 ms at a time, and nineteen times as long asleep as at work.

For results of any length: `coro.inspect` takes records at the same pace, and here they are encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from coro.inspect.slices import DUTY, SLICE_NS
from coro.scheduler import scheduler
from coro.timed import sleep_until

__all__ = ["Pace"]

T = TypeVar("T")


class Pace:
    """One observer's pace.  For one thread."""

    __slots__ = ("_begin",)

    def __init__(self) -> None:
        self._begin = scheduler.clock()

    def breathe(self) -> None:
        """Sleep if a slice's worth of work has been done.  Yields.

        What the thread waited for in between, such as a slow peer, counts as work: then the sleep is a long one, but
        not longer than 20 slices.
        """
        now = scheduler.clock()
        worked = now - self._begin
        if worked >= SLICE_NS:
            sleep_until(now + int(min(worked, 20 * SLICE_NS) * (1 / DUTY - 1)))
            self._begin = scheduler.clock()

    def walk(self, things: Iterable[T]) -> Iterator[T]:
        """Hand out `things`, breathing in between.  Yields to other threads."""
        for thing in things:
            yield thing
            self.breathe()
