"""Working beside a daemon: some 0.1 ms at a time, and nineteen times as long asleep as at work.

For results of any length: records are taken and encoded one by one, and between two of them the clock is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from coro.inspect.slices import DUTY, SLICE_NS
from coro.scheduler import scheduler
from coro.timed import sleep_until

__all__ = ["Pace", "Rows"]

T = TypeVar("T")


# Of a longer piece of work, or a wait, no more than this is paid for with sleep.
MAX_COUNTED_NS = 20 * SLICE_NS


class Rows(list[T]):
    """A command's list that is made while Pace.walk() hands it out, so that few of its records live at a time.

    It is a list because that is how a command says that it answers with one; of its own it holds nothing.
    records: None among them is a pause.  report: called at the pauses before the first record; may raise.
    """

    __slots__ = ("records", "report")

    def __init__(self, records: Iterator[T | None], report: Callable[[], object]) -> None:
        super().__init__()
        self.records = records
        self.report = report


class Pace:
    """One observer's pace.  For one thread.

    slice_ns: how much work is done at a time.  duty: the share of the time that is work.
    """

    __slots__ = ("_begin", "_rest", "_slice_ns")

    def __init__(self, slice_ns: int = SLICE_NS, duty: float = DUTY) -> None:
        self._slice_ns = slice_ns
        self._rest = 1 / duty - 1
        self._begin = scheduler.clock()

    def restart(self) -> None:
        """The thread has just waited: nothing is to be paid for."""
        self._begin = scheduler.clock()

    def breathe(self) -> None:
        """Sleep if a slice's worth of work has been done.  Yields.

        What the thread waited for in between, such as a slow peer, counts as work: then the sleep is a long one,
        but not longer than one for 20 slices of 0.1 ms.
        """
        now = scheduler.clock()
        worked = now - self._begin
        if worked >= self._slice_ns:
            sleep_until(now + int(min(worked, MAX_COUNTED_NS) * self._rest))
            self._begin = scheduler.clock()

    def walk(self, things: Iterable[T]) -> Iterator[T]:
        """Hand out `things`, breathing in between.  Yields to other threads.

        Of Rows, the records, without their pauses.
        """
        if isinstance(things, Rows):
            yield from self._walk_rows(things)
            return
        for thing in things:
            yield thing
            self.breathe()

    def _walk_rows(self, rows: Rows[T]) -> Iterator[T]:
        begun = False
        for record in rows.records:
            if record is not None:
                begun = True
                yield record
            elif not begun:
                rows.report()
            self.breathe()
