"""The graph of waits: who waits for whom, and the cycles in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from coro.inspect.names import safe_name
from coro.inspect.slices import gathered
from coro.inspect.targets import has_holders, holders_in, holders_of, target_text
from coro.inspect.threads import state_of
from coro.records.waits import LONGEST_CHAIN, WaitRecord, WhyRecord
from coro.runtime import get_thread_by_id
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["deadlock_records", "deadlocks", "is_deadlock", "why"]

# why() looks in one slice: for a cycle among so many threads, 4 us for each.
MAX_STEPS = 5000


def why(thread_id: int) -> WhyRecord:
    """What a thread waits for, who holds that, what that one waits for, and so on.

    Where several threads hold something (readers of a rw_lock) the chain follows one that leads to a cycle, if
    there is one, else the first.  All is looked at in one slice, so a cycle is a deadlock: none of its threads can
    go on by itself.  At most 5000 threads are looked at, and the chain tells of the first 500.
    Raises KeyError if the thread has ended or never was.  Does not yield.
    """
    cycle = _cycle_from(get_thread_by_id(thread_id))
    chain: list[WaitRecord] = []
    thread: ThreadState | None = get_thread_by_id(thread_id)
    members = set(cycle)
    seen: set[int] = set()
    while thread is not None and thread.id not in seen and len(chain) < LONGEST_CHAIN:
        if state_of(thread) != "waiting":
            break
        seen.add(thread.id)
        record = _wait_record(thread)
        chain.append(record)
        following = next((holder for holder in record.holders if holder in members), None)
        if following is None and record.holders:
            following = record.holders[0]
        thread = None if following is None else scheduler.all_threads.get(following)
    return WhyRecord(tuple(chain), cycle)


def deadlocks(give_up: Callable[[], object] | None = None) -> list[tuple[int, ...]]:
    """The cycles of threads that wait for each other, each once, from its lowest id on.  Yields, in slices.

    First a picture of all waits is taken, slice by slice, then cycles are looked for in it, and each one that is
    found is looked at again, in one slice: only what holds then is a deadlock.  Of cycles that share threads,
    through a rw_lock with several readers, at least one is found.
    give_up: see coro.inspect.slices.sliced().
    """
    return sorted(set(gathered(_confirmed_cycles(), give_up)))


def deadlock_records() -> Iterator[WhyRecord | None]:
    """What why() says of each deadlock that deadlocks() finds; None is a pause.  Does not yield to others."""
    told: set[tuple[int, ...]] = set()
    for cycle in _confirmed_cycles():
        if cycle is None or cycle in told:
            yield None
        else:
            told.add(cycle)
            yield why(cycle[0])


def _confirmed_cycles() -> Iterator[tuple[int, ...] | None]:
    """The cycles in a picture of all waits that hold at the moment when they are handed out; None is a pause."""
    waits: dict[int, object] = {}
    for thread in list(scheduler.all_threads.values()):
        target = thread.waiting_on
        if has_holders(target) and state_of(thread) == "waiting":
            waits[thread.id] = target
        yield None
    for cycle in _cycles_in(waits):
        yield cycle if cycle and is_deadlock(cycle) else None


def is_deadlock(cycle: tuple[int, ...]) -> bool:
    """Whether each of these threads waits for the next now, and the last for the first.  Does not yield."""
    following = (*cycle[1:], cycle[0])
    return all(other in _held_by(member) for member, other in zip(cycle, following, strict=True))


def _wait_record(thread: ThreadState) -> WaitRecord:
    return WaitRecord(
        id=thread.id,
        name=safe_name(thread),
        waiting_for=thread.waiting_for,
        waiting_on=target_text(thread),
        waiting_s=max(0, scheduler.clock() - thread.last_switch_ns) / 1e9,
        holders=holders_of(thread),
    )


def _held_by(thread_id: int) -> tuple[int, ...]:
    """Whom a thread waits for now."""
    thread = scheduler.all_threads.get(thread_id)
    if thread is None or state_of(thread) != "waiting":
        return ()
    return holders_of(thread)


def _cycle_from(thread: ThreadState) -> tuple[int, ...]:
    """The first cycle that is reached from a thread, depth first; () if there is none."""
    path: list[int] = [thread.id]
    on_path = {thread.id}
    finished: set[int] = set()
    branches = [iter(_held_by(thread.id))]
    while branches and len(finished) + len(path) <= MAX_STEPS:
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
            branches.append(iter(_held_by(following)))
    return ()


def _cycles_in(waits: dict[int, object]) -> Iterator[tuple[int, ...]]:
    """The cycles in a picture of waits, depth first; () after each step that found none.

    waits: thread id -> what it waits on.  A lock's holders are followed once, however many threads wait for it: a
    thousand writers behind a thousand readers are no million steps.
    """
    # What was waited on, by its id: its place on the path while that goes on, None when all behind it was seen.
    seen: dict[int, int | None] = {}
    for start in waits:
        if id(waits[start]) in seen:
            continue
        path = [start]
        seen[id(waits[start])] = 0
        branches = [iter(holders_in(waits[start]))]
        while branches:
            following = next(branches[-1], None)
            if following is None:
                branches.pop()
                seen[id(waits[path.pop()])] = None
            elif following in waits:
                target = waits[following]
                if id(target) not in seen:
                    seen[id(target)] = len(path)
                    path.append(following)
                    branches.append(iter(holders_in(target)))
                elif (place := seen[id(target)]) is not None:
                    # It waits on what path[place] waits on, which the next one holds.
                    cycle = [*path[place + 1 :], following]
                    lowest = cycle.index(min(cycle))
                    yield tuple(cycle[lowest:] + cycle[:lowest])
            yield ()
