"""Reading stacks, also from another OS thread while the loop runs.

A stack is read by C functions alone, with the collector off, so that the loop's OS thread cannot run meanwhile:
- A frame that returns while we hold it hands its variables to us, and their finalisers would run here, in the wrong
  OS thread.  So no frame outlives the reading: what comes out is code and lines.
- On CPython 3.11 a collection inside `f_back` lets the other OS thread run, and the new frame object is then tied
  to a stack entry that is gone: reading beside a busy loop for 20 s once got a str for a frame.
- On CPython 3.12 and later greenlet mends the links of a parked stack when `gr_frame` is read, and undoes that when
  it resumes; going on from such a frame would follow links into a C stack that is gone.
"""

from __future__ import annotations

import gc
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import accumulate, chain, compress, dropwhile, islice, repeat, takewhile
from operator import attrgetter, call, is_not, methodcaller
from types import CodeType
from typing import Any

from coro.inspect.source import source_files
from coro.records import FrameRecord
from coro.scheduler import Scheduler, scheduler
from coro.state import ThreadState

__all__ = [
    "MAX_FRAMES",
    "Place",
    "StackReading",
    "at_once",
    "frame_records",
    "places_of",
    "places_of_os_thread",
]

# The innermost calls of a deeper stack are kept.
MAX_FRAMES = 500

# A call: its code and line; code None stands for the calls that were left out.
Place = tuple[CodeType | None, int | None]

_CARRY = Scheduler.carry.__code__
_SWITCHES = frozenset(
    [function.__code__ for function in (Scheduler.park, Scheduler.yield_slice, Scheduler._to_loop)]
)
# As code objects name their files.
_OUR_DIRECTORY = os.path.join(os.path.dirname((lambda: None).__code__.co_filename), "")
_is_there = partial(is_not, None)
_code_and_line = attrgetter("f_code", "f_lineno")


def at_once(*steps: Callable[[], object]) -> list[Any]:
    """The results of functions written in C, with nothing of any OS thread's in between.

    The steps should not raise.
    """
    results: list[Any] = []
    # Only what was on is switched on again, as its last step finds out by itself.
    switch_on = compress((gc.enable,), map(results.__getitem__, (0,)))
    try:
        results.extend(map(call, chain((gc.isenabled, gc.disable), steps, switch_on)))
    except BaseException:
        if results and results[0]:
            gc.enable()
        raise
    return results[2 : 2 + len(steps)]


class StackReading:
    """The reading of one stack, as steps for at_once().

    places: what was read, innermost call first.
    """

    def __init__(self, first: Iterable[Any], left_out: int = 0, limit: int = MAX_FRAMES) -> None:
        """Read from what `first` leads to: an object and names of attributes; `left_out` of them are no frames."""
        frames = takewhile(_is_there, accumulate(chain(first, repeat("f_back")), getattr))
        reading: Iterator[Place] = map(_code_and_line, islice(frames, left_out, None))
        self.places: list[Place] = []
        # To the very end, or the last frame that was read would live on.
        self.steps: tuple[Callable[[], object], ...] = (
            partial(self.places.extend, islice(reading, limit + 1)),
            partial(deque, reading, 0),
        )

    @classmethod
    def of_os_thread(cls, ident: int, limit: int = MAX_FRAMES) -> StackReading:
        """Of an OS thread; finds nothing if there is none with this identifier."""
        innermost = map(methodcaller("get", ident), iter(sys._current_frames, None))
        return cls(islice(innermost, 1), limit=limit)

    def outermost_first(self) -> tuple[Place, ...]:
        """What was read, outermost call first, without what tells nothing: the carrier's own call, and those with
        which the scheduler switched away; by which way it did so would tear groups of stacks apart.
        """
        places = self.places
        if len(places) > MAX_FRAMES:
            places[MAX_FRAMES:] = [(None, 0)]
        elif places and places[-1][0] is _CARRY:
            places.pop()
        while len(places) > 1 and places[0][0] in _SWITCHES:
            del places[0]
        places.reverse()
        return tuple(places)


def places_of_os_thread(ident: int, limit: int = MAX_FRAMES) -> list[Place]:
    """(code, line) of each call of an OS thread, innermost first; of `limit` calls and one more at most."""
    reading = StackReading.of_os_thread(ident, limit)
    at_once(*reading.steps)
    return reading.places


def places_of(thread: ThreadState) -> tuple[Place, ...]:
    """Where a thread stands, outermost call first; () if it has no stack.  From any OS thread; does not yield."""
    # A thread that is switching while another OS thread looks is looked at again.
    for _ in range(3):
        carrier = thread.carrier
        if carrier is None:
            return ()
        switches = thread.switches
        runs = thread is scheduler.current
        if not runs:
            reading = StackReading((carrier, "gr_frame"), left_out=1)
        elif scheduler.in_loop_os_thread():
            reading = StackReading((sys._getframe(1),))
        else:
            reading = StackReading.of_os_thread(scheduler.os_thread_ident)
        at_once(*reading.steps)
        if reading.places and thread.switches == switches and thread.carrier is carrier:
            if runs:
                reading.places[:] = dropwhile(_is_ours, reading.places)
            return reading.outermost_first()
    return ()


def _is_ours(place: Place) -> bool:
    """Whether a call is that of somebody who looks."""
    code = place[0]
    return code is not None and code.co_filename.startswith(_OUR_DIRECTORY)


def frame_records(places: Iterable[Place]) -> tuple[FrameRecord, ...]:
    """Places as records, with their source lines.  Reads the disk; does not yield."""
    return tuple([_record(code, line) for code, line in places])


def _record(code: CodeType | None, line: int | None) -> FrameRecord:
    if code is None:
        return FrameRecord("", 0, "(outer calls left out)", None)
    # The interpreter says None for code without lines.
    number = line or code.co_firstlineno
    source, newer = source_files.line(code.co_filename, number)
    return FrameRecord(code.co_filename, number, code.co_qualname, source, newer)
