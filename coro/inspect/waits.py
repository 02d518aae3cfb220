"""The graph of waits: who waits for whom, and the cycles in it."""

from __future__ import annotations

from collections.abc import Iterator

from coro.inspect.slices import sliced
from coro.inspect.targets import holders_of, target_text
from coro.inspect.threads import state_of
from coro.records import WaitRecord, WhyRecord
from coro.runtime import get_thread_by_id
from coro.scheduler import scheduler
from coro.thread import coro

__all__ = ["deadlocks", "why"]


def why(thread_id: int) -> WhyRecord:
    """What a thread waits for, who holds that, what that one waits for, and so on.

    Where several threads hold something (readers of a rw_lock) the chain follows one that leads to a cycle, if
    there is one, else the first.  All is looked at in one slice, so a cycle is a deadlock: none of its threads can
    go on by itself.
    Raises KeyError if the thread has ended or never was.  Does not yield.
    """
    cycle = _cycle_from(get_thread_by_id(thread_id))
    chain: list[WaitRecord] = []
    thread: coro | None = get_thread_by_id(thread_id)
    seen: set[int] = set()
    while thread is not None and thread.id not in seen and state_of(thread) == "waiting":
        seen.add(thread.id)
        record = _wait_record(thread)
        chain.append(record)
        following = next((holder for holder in record.holders if holder in cycle), None)
        if following is None and record.holders:
            following = record.holders[0]
        thread = None if following is None else scheduler.all_threads.get(following)  # type: ignore[assignment]
    return WhyRecord(tuple(chain), cycle)


def deadlocks() -> list[tuple[int, ...]]:
    """All cycles of threads that wait for each other, each once, from its lowest id on.  Yields, in slices."""
    found: set[tuple[int, ...]] = set()

    def look(thread: coro) -> None:
        if not thread.dead and holders_of(thread):
            cycle = _cycle_from(thread)
            if cycle:
                lowest = cycle.index(min(cycle))
                found.add(cycle[lowest:] + cycle[:lowest])

    sliced(list(scheduler.all_threads.values()), look)  # type: ignore[arg-type]
    return sorted(found)


def _wait_record(thread: coro) -> WaitRecord:
    return WaitRecord(
        id=thread.id,
        name=thread.name,
        waiting_for=thread.waiting_for,
        waiting_on=target_text(thread),
        waiting_s=(scheduler.clock() - thread.last_switch_ns) / 1e9,
        holders=holders_of(thread),
    )


def _held_by(thread_id: int) -> Iterator[int]:
    thread = scheduler.all_threads.get(thread_id)
    if thread is not None and thread.started and not thread.scheduled and thread is not scheduler.current:
        yield from holders_of(thread)


def _cycle_from(thread: coro) -> tuple[int, ...]:
    """The first cycle that is reached from a thread, depth first; () if there is none."""
    path: list[int] = [thread.id]
    on_path = {thread.id}
    finished: set[int] = set()
    branches = [_held_by(thread.id)]
    while branches:
        following = next(branches[-1], None)
        if following is None:
            branches.pop()
            gone = path.pop()
            on_path.discard(gone)
            finished.add(gone)
        elif following in on_path:
            return tuple(path[path.index(following) :])
        elif following not in finished:
            path.append(following)
            on_path.add(following)
            branches.append(_held_by(following))
    return ()
