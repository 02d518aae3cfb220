"""Descriptors, timers and locks as records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop
from operator import itemgetter
from typing import Any

from coro.descriptor_state import DescriptorState
from coro.descriptors import descriptors as descriptor_table
from coro.inspect.slices import gathered
from coro.inspect.targets import PRIMITIVES, holders_in, primitive_text
from coro.inspect.threads import state_of
from coro.records import DescriptorRecord, LockRecord, TimerRecord
from coro.scheduler import scheduler
from coro.state import ThreadState, function_name
from coro.timed import _wake_expired, _wake_sleeper
from coro.timed import timers as armed_timers
from coro.timers import Timer
from coro.wire.tables import sorted_in_slices

__all__ = ["descriptor_records", "descriptors", "lock_records", "locks", "timer_records", "timers"]

# A record names so many: encoding 100 000 ids takes 20 ms.
IDS_PER_LOCK = 1000


def descriptors() -> list[DescriptorRecord]:
    """The descriptors that the poller knows, by number; negative ones stand for processes.  Yields, in slices."""
    return gathered(descriptor_records())


def descriptor_records() -> Iterator[DescriptorRecord | None]:
    """As descriptors(), each record taken when it is asked for; None is a pause.  Does not yield to others."""
    for _, descriptor in (yield from sorted_in_slices(list(descriptor_table.table.items()), itemgetter(0))):
        yield _descriptor_record(descriptor)


def _descriptor_record(descriptor: DescriptorState) -> DescriptorRecord:
    return DescriptorRecord(
        fd=descriptor.fd,
        reader=_id(descriptor.reader),
        writer=_id(descriptor.writer),
        handler=None if descriptor.handler is None else function_name(descriptor.handler),
        readable=descriptor.readable,
        writable=descriptor.writable,
        hangup=descriptor.hangup,
    )


def _id(thread: ThreadState | None) -> int | None:
    return None if thread is None else thread.id


def timers() -> list[TimerRecord]:
    """The armed timers, soonest first.  Yields, in slices."""
    return gathered(timer_records())


def timer_records() -> Iterator[TimerRecord | None]:
    """As timers(), each record taken when it is asked for; None for one that was cancelled.  Does not yield."""
    return map(_timer_record, _soonest_first())


def _soonest_first() -> Iterator[Timer]:
    # A copy of a heap is a heap: taken apart bit by bit, it needs no sort of 100 000 entries in one slice.
    heap = list(armed_timers.heap)
    while heap:
        yield heappop(heap)


# What the core's own actions mean, to somebody who does not know them.
_KNOWN_ACTIONS: dict[Any, str] = {_wake_sleeper: "ends a sleep", _wake_expired: "ends a wait with a timeout"}


def _timer_record(timer: Timer) -> TimerRecord | None:
    deadline, _, action, argument = timer
    if action is None:
        return None
    thread: Any = argument[0] if isinstance(argument, (list, tuple)) and argument else argument
    thread = getattr(thread, "thread", thread)
    return TimerRecord(
        due_s=(deadline - scheduler.clock()) / 1e9,
        thread=thread.id if isinstance(thread, ThreadState) else None,
        what=_KNOWN_ACTIONS.get(action) or function_name(action),
    )


def locks() -> list[LockRecord]:
    """The primitives that some thread waits for, each once, the most awaited first.  Yields, in slices."""
    return gathered(lock_records())


@dataclass(slots=True)
class _Awaited:
    """A primitive, which lives as long as it stands here, and who waited for it when looked at."""

    target: Any
    waiting: int = 0
    waiters: list[int] = field(default_factory=list)


def lock_records() -> Iterator[LockRecord | None]:
    """As locks(), with None as a pause after each thread that was looked at.  Does not yield to others."""
    found: dict[int, _Awaited] = {}
    for thread in list(scheduler.all_threads.values()):
        target = thread.waiting_on
        if isinstance(target, PRIMITIVES) and state_of(thread) == "waiting":
            awaited = found.setdefault(id(target), _Awaited(target))
            awaited.waiting += 1
            if len(awaited.waiters) < IDS_PER_LOCK:
                awaited.waiters.append(thread.id)
        yield None
    for awaited in (yield from sorted_in_slices(found.values(), lambda awaited: -awaited.waiting)):
        target = awaited.target
        holders = holders_in(target)[:IDS_PER_LOCK]
        waiters = tuple(awaited.waiters)
        yield LockRecord(type(target).__name__, primitive_text(target), holders, waiters, awaited.waiting)
