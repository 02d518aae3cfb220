"""Threads as records."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from coro.inspect.names import safe_name
from coro.inspect.slices import gathered
from coro.inspect.spawn_lines import spawn_line
from coro.inspect.targets import target_text
from coro.loop import loop
from coro.records import ThreadRecord
from coro.records import ThreadState as StateName
from coro.runtime import get_thread_by_id
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["state_of", "thread", "thread_record", "thread_records", "threads"]


def state_of(thread: ThreadState) -> StateName:
    """Where a thread stands, in one word."""
    if thread.dead:
        return "dead"
    if thread is scheduler.current:
        return "running"
    if thread.scheduled:
        return "runnable"
    return "waiting" if thread.started else "new"


def thread_record(thread: ThreadState) -> ThreadRecord | None:
    """The record of a thread; None if it has ended.  From any OS thread; does not yield."""
    state = state_of(thread)
    if state == "dead":
        return None
    now = scheduler.clock()
    waits = state == "waiting"
    run_time_ns = thread.run_time_ns + (max(0, now - scheduler.now) if state == "running" else 0)
    age_ns = now - loop.started_ns
    waited_ns = max(0, now - thread.last_switch_ns)
    return ThreadRecord(
        id=thread.id,
        name=safe_name(thread),
        state=state,
        waiting_for=thread.waiting_for if waits else None,
        waiting_on=target_text(thread) if waits else None,
        waiting_s=waited_ns / 1e9 if state in ("waiting", "runnable") else None,
        run_time_s=run_time_ns / 1e9,
        share=min(1.0, run_time_ns / age_ns) if loop.running and age_ns > 0 else 0.0,
        switches=thread.switches,
        longest_slice_s=thread.longest_slice_ns / 1e9,
        selfish_acts=thread.selfish_acts,
        max_selfish_acts=thread.max_selfish_acts,
        spawned_by=thread.creator_id,
        spawn_line=spawn_line(thread.spawn_code, thread.spawn_lasti),
        turn=loop.iterations,
    )


def thread(thread_id: int) -> ThreadRecord:
    """The record of one thread.  Raises KeyError if it has ended or never was.  Does not yield."""
    record = thread_record(get_thread_by_id(thread_id))
    if record is None:
        raise KeyError(thread_id)
    return record


def threads(give_up: Callable[[], object] | None = None) -> list[ThreadRecord]:
    """The records of all live threads, by id.  Yields, in slices; what has ended meanwhile is left out.

    give_up: see coro.inspect.slices.sliced().
    """
    return gathered(thread_records(), give_up)


def thread_records() -> Iterator[ThreadRecord | None]:
    """As threads(), each record taken when it is asked for; None for a thread that has ended.  Does not yield."""
    return map(thread_record, list(scheduler.all_threads.values()))
