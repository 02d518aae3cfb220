"""Stacks as records, and threads that stand at the same place counted once."""

from __future__ import annotations

from collections.abc import Callable

from coro.inspect.frames import Place, frame_records, places_of
from coro.inspect.names import safe_name
from coro.inspect.slices import sliced
from coro.records import StackGroupRecord, StackRecord
from coro.runtime import get_thread_by_id
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["stack", "stack_groups", "stack_record", "stacks"]

# A group names so many of its threads.
IDS_PER_GROUP = 100

Walk = Callable[..., list[StackRecord]]


def stack(thread_id: int) -> StackRecord:
    """Where one thread stands.  Raises KeyError if it has ended or never was.  Does not yield."""
    return stack_record(get_thread_by_id(thread_id))


def stack_record(thread: ThreadState) -> StackRecord:
    """Where a thread stands.  From any OS thread; does not yield."""
    return StackRecord(thread.id, safe_name(thread), frame_records(places_of(thread)))


def _live_record(thread: ThreadState) -> StackRecord | None:
    return None if thread.dead else stack_record(thread)


def stacks(give_up: Callable[[], object] | None = None) -> list[StackRecord]:
    """Where all threads stand.  Yields, in slices.

    give_up: see coro.inspect.slices.sliced().
    """
    return sliced(list(scheduler.all_threads.values()), _live_record, give_up)


def stack_groups(give_up: Callable[[], object] | None = None) -> list[StackGroupRecord]:
    """Threads at the same place counted once, the biggest group first.  Yields, in slices.

    give_up: see coro.inspect.slices.sliced().
    """
    groups: dict[tuple[Place, ...], list[int]] = {}

    def look(thread: ThreadState) -> None:
        if not thread.dead:
            groups.setdefault(places_of(thread), []).append(thread.id)

    sliced(list(scheduler.all_threads.values()), look, give_up)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[1][0]))
    return sliced(ordered, _group_record, give_up)


def _group_record(group: tuple[tuple[Place, ...], list[int]]) -> StackGroupRecord:
    places, ids = group
    return StackGroupRecord(len(ids), tuple(sorted(ids)[:IDS_PER_GROUP]), frame_records(places))
