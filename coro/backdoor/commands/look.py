"""The commands that only look.  Each returns records; how they are shown is not decided here."""

from __future__ import annotations

from typing import Any

from coro import inspect
from coro.backdoor.commands.registry import CommandError, implements
from coro.backdoor.session import Session
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
    """All threads.  Yields, in slices."""
    return inspect.threads()


@implements("tree")
def tree(session: Session, **presentation: Any) -> list[ThreadRecord]:
    """All threads; whoever shows them makes a tree.  Yields, in slices."""
    return inspect.threads()


@implements("where")
def where(
    session: Session, target: int | str, group: bool = False, **presentation: Any
) -> list[StackRecord] | list[StackGroupRecord]:
    """Stacks: of one thread, of all, or of all in groups.  Yields, in slices."""
    if target != "all":
        try:
            return [inspect.stack(int(target))]
        except KeyError:
            raise no_such_thread(int(target)) from None
    return inspect.stack_groups() if group else inspect.stacks()


@implements("info")
def info(session: Session, id: int) -> ThreadDetailRecord:
    """Everything about one thread."""
    try:
        return inspect.info(id)
    except KeyError:
        raise no_such_thread(id) from None


@implements("why")
def why(session: Session, target: int | str) -> list[WhyRecord]:
    """The chain of waits of one thread, or all deadlocks.  Yields, in slices."""
    if target == "all":
        return [inspect.why(cycle[0]) for cycle in inspect.deadlocks()]
    try:
        return [inspect.why(int(target))]
    except KeyError:
        raise no_such_thread(int(target)) from None


@implements("fds")
def fds(session: Session, **presentation: Any) -> list[DescriptorRecord]:
    """The descriptors that the poller knows.  Yields, in slices."""
    return inspect.descriptors()


@implements("timers")
def timers(session: Session, **presentation: Any) -> list[TimerRecord]:
    """The armed timers.  Yields, in slices."""
    return inspect.timers()


@implements("locks")
def locks(session: Session, **presentation: Any) -> list[LockRecord]:
    """What somebody waits for.  Yields, in slices."""
    return inspect.locks()


@implements("dead")
def dead(session: Session, **presentation: Any) -> list[DeadRecord]:
    """The recently dead."""
    return inspect.dead()


@implements("lag")
def lag(session: Session) -> LagRecord:
    """How late the loop is."""
    return inspect.lag()


@implements("stalls")
def stalls(session: Session, **presentation: Any) -> list[StallRecord]:
    """The latest stalls."""
    return inspect.stalls()
