"""Loops of other kinds that run inside threads, for whoever looks.

An asyncio loop in a thread has tasks, which to the runtime are nothing but this thread's doing.  Whoever runs such
a loop enters it here, so that an observer can name the tasks without knowing, or importing, what runs them.

Written by the threads that run such loops; anybody may read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import CodeType
from typing import Literal, NoReturn, Protocol, cast

from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["Guest", "GuestStep", "GuestTask", "GuestWait", "TaskState", "current_step", "guests"]

TaskState = Literal["running", "runnable", "waiting"]


@dataclass(frozen=True, slots=True)
class GuestTask:
    """One task of a guest.

    waiting_for: what it waits for, in a few words; None unless waiting.
    places: its calls, outermost first, as (code, line).
    """

    name: str
    state: TaskState
    waiting_for: str | None
    places: tuple[tuple[CodeType, int | None], ...]


class Guest(Protocol):
    """A loop inside a thread."""

    def view_tasks(self) -> Iterator[GuestTask | None]:
        """Its tasks that have not ended, in no order; None is a pause after a bit of work.

        Runs none of the application's code.  Does not yield to other threads.
        """
        ...


class GuestWait:
    """What a thread waits on while all tasks of its guest wait."""

    def wait_text(self) -> str:
        """In a few words, what for.  From any OS thread; does not yield."""
        raise NotImplementedError


class GuestStep(Protocol):
    """A step of a guest's task, in the middle of which nobody may park.

    limit_s: how long a suspended() wait may take.
    """

    limit_s: float

    def __call__(self, thread: ThreadState) -> NoReturn:
        """Raise the error for who would park."""

    def suspended(self) -> AbstractContextManager[None]:
        """For `with`: the thread may park in the block, for a short while, and is not interrupted there."""
        ...


def current_step() -> GuestStep | None:
    """The step that the current thread is in the middle of; None if it may park.  Does not yield."""
    refusal = scheduler.collecting
    return None if isinstance(refusal, bool) else cast(GuestStep, refusal)


# The id of the thread -> what runs in it.
guests: dict[int, Guest] = {}
