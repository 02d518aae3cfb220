"""Threads as records: what one is, and what is known of one that ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coro.records.stacks import StackRecord

__all__ = ["DeadRecord", "ThreadDetailRecord", "ThreadRecord", "ThreadState"]

ThreadState = Literal["new", "runnable", "running", "waiting", "dead"]


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """One thread, as `ps` shows it.

    state: "new" was not started; "runnable" waits for its turn; "waiting" waits for `waiting_for`.
    waiting_for, waiting_on: the kind of the wait, such as "read", and what for, such as "descriptor 7"; None unless
        waiting.
    waiting_s: since when it has been in its state (runnable or waiting); None for a new or running one.
    share: run time divided by the loop's age, 0 to 1.
    spawned_by: the id of the thread that made it, -1 for the main greenlet.
    spawn_line: "file:line".
    turn: the loop's iteration at which the record was taken.
    task: the name of an asyncio task that runs in this thread, and that state, waiting_for and waiting_on speak of;
        what is counted for threads only is 0 then.  None for the thread itself.
    """

    id: int
    name: str
    state: ThreadState
    waiting_for: str | None
    waiting_on: str | None
    waiting_s: float | None
    run_time_s: float
    share: float
    switches: int
    longest_slice_s: float
    selfish_acts: int
    max_selfish_acts: int
    spawned_by: int
    spawn_line: str | None
    turn: int
    task: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadDetailRecord:
    """Everything about one thread.

    spawn_chain: (id, name, spawn line) of its spawner, the spawner's spawner and so on, as far as they live.
    shielded: whether interrupts wait.  pending: the class names of exceptions that wait to be raised in it.
    """

    thread: ThreadRecord
    stack: StackRecord
    spawn_chain: tuple[tuple[int, str, str | None], ...]
    shielded: bool
    pending: tuple[str, ...]
    joined_by: tuple[int, ...]
    function: str


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """One thread that ended lately.

    error: what ended it, "ValueError: bad port"; None when its function returned.
    ended_s_ago: seconds since.
    """

    id: int
    name: str
    error: str | None
    ended_s_ago: float
    run_time_s: float
    switches: int
    longest_slice_s: float
    spawned_by: int
    spawn_line: str | None
