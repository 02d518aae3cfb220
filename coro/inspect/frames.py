"""Reading stacks, also from another OS thread while the loop runs.

A stack is walked inside one call of C functions: between two bytecodes of ours the interpreter may run the loop's
OS thread, which may resume the very greenlet whose frames we hold and park it again.  On CPython 3.12 and later,
where greenlet mends the links of a parked stack when `gr_frame` is read and undoes that when it resumes, going on
from such a frame would follow links into a C stack that is gone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import accumulate, chain, dropwhile, islice, repeat, takewhile
from operator import attrgetter, call, is_not, itemgetter
from types import CodeType, FrameType
from typing import Any

from coro.inspect.source import source_files
from coro.records import FrameRecord
from coro.scheduler import Scheduler, scheduler
from coro.state import Carrier, ThreadState

__all__ = [
    "MAX_FRAMES",
    "Place",
    "at_once",
    "frame_records",
    "frames_of_os_thread",
    "places_of",
    "places_of_frames",
    "places_of_os_thread",
    "walk_os_thread",
]

# The innermost calls of a deeper stack are kept.
MAX_FRAMES = 500

# A call: its code and line; code None stands for the calls that were left out.
Place = tuple[CodeType | None, int]

_CARRY = Scheduler.carry.__code__
# As code objects name their files.
_OUR_DIRECTORY = os.path.join(os.path.dirname((lambda: None).__code__.co_filename), "")
_is_there = partial(is_not, None)
_code_and_line = attrgetter("f_code", "f_lineno")


def at_once(*steps: Callable[[], object]) -> list[Any]:
    """The results of functions written in C, called without a bytecode of ours in between."""
    return list(map(call, steps))


def _walk(first: Iterable[Any], depth: int) -> Iterator[Any]:
    """`first`, then frame after frame outwards, `depth` at most; all of it in C."""
    return takewhile(_is_there, accumulate(chain(first, repeat("f_back", depth)), getattr))


def walk_os_thread(ident: int, depth: int = MAX_FRAMES + 1) -> Iterator[FrameType]:
    """The frames of an OS thread, innermost first, `depth` at most; read when they are asked for.

    Raises KeyError then if there is no such OS thread.
    """
    return _walk(islice(map(itemgetter(ident), iter(sys._current_frames, None)), 1), depth - 1)


def frames_of_os_thread(ident: int, depth: int = MAX_FRAMES + 1) -> list[FrameType]:
    """The frames of an OS thread, innermost first, `depth` at most; [] if there is no such OS thread."""
    try:
        return list(walk_os_thread(ident, depth))
    except KeyError:
        return []


def _frames_of_carrier(carrier: Carrier) -> list[FrameType]:
    return list(_walk((carrier, "gr_frame"), MAX_FRAMES))[1:]


def places_of_frames(frames: list[FrameType]) -> tuple[Place, ...]:
    """(code, line) of each call, outermost first, from frames that stand innermost first.

    The carrier's own call, which tells nothing, is left out.
    """
    places: list[Place] = list(map(_code_and_line, frames))
    if len(places) > MAX_FRAMES:
        places[MAX_FRAMES:] = [(None, 0)]
    elif places and places[-1][0] is _CARRY:
        places.pop()
    places.reverse()
    return tuple(places)


def places_of_os_thread(ident: int) -> tuple[Place, ...]:
    """Where an OS thread stands, outermost call first."""
    return places_of_frames(frames_of_os_thread(ident))


def places_of(thread: ThreadState) -> tuple[Place, ...]:
    """Where a thread stands, outermost call first; () if it has no stack.  From any OS thread; does not yield."""
    # A thread that is switching while another OS thread looks is looked at again.
    for _ in range(3):
        carrier = thread.carrier
        if carrier is None:
            return ()
        switches = thread.switches
        if thread is not scheduler.current:
            frames = _frames_of_carrier(carrier)
        elif scheduler.in_loop_os_thread():
            frames = list(dropwhile(_is_ours, _walk((sys._getframe(1),), MAX_FRAMES)))
        else:
            frames = frames_of_os_thread(scheduler.os_thread_ident)
        if frames and thread.switches == switches and thread.carrier is carrier:
            return places_of_frames(frames)
    return ()


def _is_ours(frame: FrameType) -> bool:
    """Whether a call is that of somebody who looks."""
    return frame.f_code.co_filename.startswith(_OUR_DIRECTORY)


def frame_records(places: tuple[Place, ...]) -> tuple[FrameRecord, ...]:
    """Places as records, with their source lines.  Reads the disk; does not yield."""
    return tuple([_record(code, line) for code, line in places])


def _record(code: CodeType | None, line: int | None) -> FrameRecord:
    if code is None:
        return FrameRecord("", 0, "(outer calls left out)", None)
    # The interpreter says None for code without lines.
    number = line or code.co_firstlineno
    source, newer = source_files.line(code.co_filename, number)
    return FrameRecord(code.co_filename, number, code.co_qualname, source, newer)
