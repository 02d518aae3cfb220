"""Stacks as records, and threads that stand at the same place counted once."""

from __future__ import annotations

from collections.abc import Callable

from coro.inspect.frames import Place, frame_records, places_of
from coro.inspect.names import safe_name
from coro.inspect.slices import sliced
from coro.records import FrameRecord, StackGroupRecord, StackRecord
from coro.runtime import get_thread_by_id
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["stack", "stack_groups", "stack_record", "stacks"]

# A group names so many of its threads.
IDS_PER_GROUP = 100

_Key = tuple[tuple[int, int | None], ...]


def stack(thread_id: int) -> StackRecord:
    """Where one thread stands.  Raises KeyError if it has ended or never was.  Does not yield."""
    return stack_record(get_thread_by_id(thread_id))


def stack_record(thread: ThreadState) -> StackRecord:
    """Where a thread stands.  From any OS thread; does not yield."""
    return StackRecord(thread.id, safe_name(thread), frame_records(places_of(thread)))


def stacks(give_up: Callable[[], object] | None = None) -> list[StackRecord]:
    """Where all threads stand.  Yields, in slices.

    give_up: see coro.inspect.slices.sliced().
    """
    # Threads at the same place share their frames: records of 20 000 stacks made the collector pause for 130 ms, so
    # for 20.  The places keep the code alive by whose id they are found.
    known: dict[_Key, tuple[tuple[Place, ...], tuple[FrameRecord, ...]]] = {}

    def look(thread: ThreadState) -> StackRecord | None:
        if thread.dead:
            return None
        places = places_of(thread)
        key = _key(places)
        found = known.get(key)
        if found is None:
            found = known[key] = (places, frame_records(places))
        return StackRecord(thread.id, safe_name(thread), found[1])

    return sliced(list(scheduler.all_threads.values()), look, give_up)


def _key(places: tuple[Place, ...]) -> _Key:
    """What tells places apart: not the code itself, whose hash is computed anew each time."""
    return tuple([(id(code), line) for code, line in places])


def stack_groups(give_up: Callable[[], object] | None = None) -> list[StackGroupRecord]:
    """Threads at the same place counted once, the biggest group first.  Yields, in slices.

    give_up: see coro.inspect.slices.sliced().
    """
    groups: dict[_Key, tuple[tuple[Place, ...], list[int]]] = {}

    def look(thread: ThreadState) -> None:
        if not thread.dead:
            places = places_of(thread)
            groups.setdefault(_key(places), (places, []))[1].append(thread.id)

    sliced(list(scheduler.all_threads.values()), look, give_up)
    ordered = sorted(groups.values(), key=lambda group: (-len(group[1]), group[1][0]))
    return sliced(ordered, _group_record, give_up)


def _group_record(group: tuple[tuple[Place, ...], list[int]]) -> StackGroupRecord:
    places, ids = group
    return StackGroupRecord(len(ids), tuple(sorted(ids)[:IDS_PER_GROUP]), frame_records(places))
