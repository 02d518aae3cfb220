"""The commands that only look.  Each returns records; how they are shown is not decided here.

Those that may be many are Rows: taken one by one, at the pace of whoever sends them, and never all kept.
"""

from __future__ import annotations

from typing import Any

from coro import inspect
from coro.backdoor.commands.progress import Progress
from coro.backdoor.commands.registry import CommandError, implements
from coro.backdoor.pace import Rows
from coro.backdoor.session import Session
from coro.inspect.dead import dead_records
from coro.inspect.resources import descriptor_records, lock_records, timer_records
from coro.inspect.stacks import stack_group_records
from coro.inspect.tasks import stack_and_task_records, stacks_and_task_records, thread_and_task_records
from coro.inspect.threads import thread_records
from coro.inspect.waits import deadlock_records
from coro.records import (
    DeadRecord,
    DescriptorRecord,
    LagRecord,
    LockRecord,
    StackGroupRecord,
    StackRecord,
    StallRecord,
    ThreadDetailRecord,
    ThreadRecord,
    TimerRecord,
    WhyRecord,
)

__all__ = ["no_such_thread"]


def no_such_thread(thread_id: int) -> CommandError:
    """The error for an id that no live thread has."""
    ended = next((dead for dead in inspect.dead() if dead.id == thread_id), None)
    if ended is None:
        return CommandError(f"there is no thread {thread_id}")
    how = ended.error or "its function returned"
    return CommandError(f"thread {thread_id} {ended.name!r} ended {ended.ended_s_ago:.1f} s ago: {how}")


@implements("ps")
def ps(session: Session, **presentation: Any) -> list[ThreadRecord]:
    """All threads."""
    return Rows(thread_records(), Progress(session))


@implements("tree")
def tree(session: Session, **presentation: Any) -> list[ThreadRecord]:
    """All threads, and the asyncio tasks that run in them; whoever shows them makes a tree."""
    return Rows(thread_and_task_records(), Progress(session))


@implements("where")
def where(
    session: Session, target: int | str, group: bool = False, **presentation: Any
) -> list[StackRecord] | list[StackGroupRecord]:
    """Stacks: of one thread, of all, or of all in groups; without groups those of asyncio tasks, too."""
    if target != "all":
        try:
            return Rows(stack_and_task_records(int(target)), Progress(session))
        except KeyError:
            raise no_such_thread(int(target)) from None
    if group:
        return Rows(stack_group_records(), Progress(session))
    return Rows(stacks_and_task_records(), Progress(session))


@implements("info")
def info(session: Session, id: int) -> ThreadDetailRecord:
    """Everything about one thread."""
    try:
        return inspect.info(id)
    except KeyError:
        raise no_such_thread(id) from None


@implements("why")
def why(session: Session, target: int | str) -> list[WhyRecord]:
    """The chain of waits of one thread, or all deadlocks."""
    if target == "all":
        return Rows(deadlock_records(), Progress(session))
    try:
        return [inspect.why(int(target))]
    except KeyError:
        raise no_such_thread(int(target)) from None


@implements("fds")
def fds(session: Session, **presentation: Any) -> list[DescriptorRecord]:
    """The descriptors that the poller knows."""
    return Rows(descriptor_records(), Progress(session))


@implements("timers")
def timers(session: Session, **presentation: Any) -> list[TimerRecord]:
    """The armed timers."""
    return Rows(timer_records(), Progress(session))


@implements("locks")
def locks(session: Session, **presentation: Any) -> list[LockRecord]:
    """What somebody waits for."""
    return Rows(lock_records(), Progress(session))


@implements("dead")
def dead(session: Session, **presentation: Any) -> list[DeadRecord]:
    """The recently dead."""
    return Rows(dead_records(), Progress(session))


@implements("lag")
def lag(session: Session) -> LagRecord:
    """How late the loop is."""
    return inspect.lag()


@implements("stalls")
def stalls(session: Session, **presentation: Any) -> list[StallRecord]:
    """The latest stalls."""
    return inspect.stalls()
