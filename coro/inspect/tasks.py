"""The tasks of asyncio loops that run in threads, each below its thread.

For threads of the loop only: a task is seen between its steps, while no other OS thread's look would be safe.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from coro.guests import GuestTask, guests
from coro.inspect.names import safe_name
from coro.inspect.stacks import KnownFrames, stack_record, stack_records
from coro.inspect.threads import thread_records
from coro.loop import loop
from coro.records import StackRecord, ThreadRecord
from coro.runtime import get_thread_by_id

__all__ = ["stack_and_task_records", "stacks_and_task_records", "thread_and_task_records"]


def thread_and_task_records() -> Iterator[ThreadRecord | None]:
    """As coro.inspect.threads.thread_records(), each thread followed by the tasks that run in it."""
    for record in thread_records():
        yield record
        if record is not None and record.id in guests:
            for task in _tasks(record.id):
                yield None if task is None else _task_record(record.id, record.name, task)


def stacks_and_task_records() -> Iterator[StackRecord | None]:
    """As coro.inspect.stacks.stack_records(), each thread's stack followed by those of the tasks that run in it."""
    known = KnownFrames()
    for record in stack_records():
        yield record
        if record is not None and record.id in guests:
            yield from _task_stacks(record.id, record.name, known)


def stack_and_task_records(thread_id: int) -> Iterator[StackRecord | None]:
    """Where one thread stands, and the tasks that run in it.  Raises KeyError if it has ended or never was."""
    thread = get_thread_by_id(thread_id)
    return _of_one(stack_record(thread), safe_name(thread))


def _of_one(record: StackRecord, name: str) -> Iterator[StackRecord | None]:
    yield record
    yield from _task_stacks(record.id, name, KnownFrames())


def _tasks(thread_id: int) -> Iterator[GuestTask | None]:
    guest = guests.get(thread_id)
    return iter(()) if guest is None else guest.view_tasks()


def _task_stacks(thread_id: int, name: str, known: KnownFrames) -> Iterator[StackRecord | None]:
    for task in _tasks(thread_id):
        if task is None:
            yield None
        else:
            frames = known.records(task.places)
            yield StackRecord(thread_id, name, frames, task=task.name, task_state=_state_text(task))


def _state_text(task: GuestTask) -> str:
    return task.state if task.waiting_for is None else f"waiting for {task.waiting_for}"


def _task_record(thread_id: int, name: str, task: GuestTask) -> ThreadRecord:
    return ThreadRecord(
        id=thread_id,
        name=name,
        state=task.state,
        waiting_for=task.waiting_for,
        waiting_on=_place_text(task) if task.waiting_for is not None else None,
        waiting_s=None,
        run_time_s=0.0,
        share=0.0,
        switches=0,
        longest_slice_s=0.0,
        selfish_acts=0,
        max_selfish_acts=0,
        spawned_by=thread_id,
        spawn_line=None,
        turn=loop.iterations,
        task=task.name,
    )


def _place_text(task: GuestTask) -> str:
    """Where a task waits: in the innermost of its calls, "serve (server.py:88)"; "" if that is not known."""
    if not task.places:
        return ""
    code, line = task.places[-1]
    return f"in {code.co_qualname} ({os.path.basename(code.co_filename)}:{line or code.co_firstlineno})"
