"""Stacks as records, and threads that stand at the same place counted once."""

from __future__ import annotations

import linecache
import sys
from types import CodeType, FrameType

from coro.inspect.slices import sliced
from coro.records import FrameRecord, StackGroupRecord, StackRecord
from coro.runtime import get_thread_by_id
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["stack", "stack_groups", "stacks"]

# A group names so many of its threads.
IDS_PER_GROUP = 100

Place = tuple[CodeType, int]


def _places(thread: ThreadState) -> tuple[Place, ...]:
    """(code, line) of each call of a thread, outermost first."""
    carrier = thread.carrier
    if carrier is None:
        return ()
    frame: FrameType | None = sys._getframe(1) if thread is scheduler.current else carrier.gr_frame
    places: list[Place] = []
    while frame is not None:
        places.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    places.reverse()
    # The carrier's own call tells nothing.
    return tuple(places[1:])


def _frames(places: tuple[Place, ...]) -> tuple[FrameRecord, ...]:
    return tuple(
        FrameRecord(
            file=code.co_filename,
            line=line,
            function=code.co_qualname,
            source=linecache.getline(code.co_filename, line).strip() or None,
        )
        for code, line in places
    )


def stack(thread_id: int) -> StackRecord:
    """Where one thread stands.  Raises KeyError if it has ended or never was.  Does not yield."""
    thread = get_thread_by_id(thread_id)
    return StackRecord(thread.id, thread.name, _frames(_places(thread)))


def _stack_record(thread: ThreadState) -> StackRecord | None:
    if thread.dead:
        return None
    return StackRecord(thread.id, thread.name, _frames(_places(thread)))  # type: ignore[attr-defined]


def stacks() -> list[StackRecord]:
    """Where all threads stand.  Yields, in slices."""
    return sliced(list(scheduler.all_threads.values()), _stack_record)


def stack_groups() -> list[StackGroupRecord]:
    """Threads at the same place counted once, the biggest group first.  Yields, in slices."""
    groups: dict[tuple[Place, ...], list[int]] = {}

    def look(thread: ThreadState) -> None:
        if not thread.dead:
            groups.setdefault(_places(thread), []).append(thread.id)

    sliced(list(scheduler.all_threads.values()), look)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[1][0]))
    return sliced(ordered, _group_record)


def _group_record(group: tuple[tuple[Place, ...], list[int]]) -> StackGroupRecord:
    places, ids = group
    return StackGroupRecord(len(ids), tuple(sorted(ids)[:IDS_PER_GROUP]), _frames(places))
