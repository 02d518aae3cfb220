"""Descriptors, timers and locks as records."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop
from typing import Any

from coro.descriptor_state import DescriptorState
from coro.descriptors import descriptors as descriptor_table
from coro.inspect.slices import sliced
from coro.inspect.targets import PRIMITIVES, holders_of, target_text
from coro.records import DescriptorRecord, LockRecord, TimerRecord
from coro.scheduler import scheduler
from coro.state import ThreadState, function_name
from coro.timed import _wake_expired, _wake_sleeper
from coro.timed import timers as armed_timers
from coro.timers import Timer

__all__ = ["descriptors", "locks", "timers"]


def descriptors() -> list[DescriptorRecord]:
    """The descriptors that the poller knows, by number; negative ones stand for processes.  Yields, in slices."""
    table = sorted(descriptor_table.table.items())
    return sliced([descriptor for _, descriptor in table], _descriptor_record)


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
    return sliced(_soonest_first(), _timer_record)


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
    found: dict[int, tuple[Any, ThreadState, list[int]]] = {}

    def look(thread: ThreadState) -> None:
        target = thread.waiting_on
        if thread.started and not thread.scheduled and not thread.dead and isinstance(target, PRIMITIVES):
            found.setdefault(id(target), (target, thread, []))[2].append(thread.id)

    sliced(list(scheduler.all_threads.values()), look)
    ordered = sorted(found.values(), key=lambda entry: -len(entry[2]))
    return [
        LockRecord(type(target).__name__, target_text(thread), holders_of(thread), tuple(ids))
        for target, thread, ids in ordered
    ]
