"""What leaves the process when somebody looks into it: frozen records of raw values.

Numbers are numbers (`run_time_s=12.5`, never "12.5 s"); only whoever shows them formats them.  Ages are in seconds,
relative to the moment at which the record was taken.

Invariant: a record refers to nothing that is alive: no thread, frame or lock.  Knows nothing else of coro.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "DescriptorRecord",
    "FrameRecord",
    "LockRecord",
    "LoopRecord",
    "StackGroupRecord",
    "StackRecord",
    "ThreadRecord",
    "TimerRecord",
    "WaitRecord",
    "WhyRecord",
]

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


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One call on a stack.  source: the line as it is on disk now; None if it cannot be read."""

    file: str
    line: int
    function: str
    source: str | None


@dataclass(frozen=True, slots=True)
class StackRecord:
    """Where one thread stands, outermost call first; () for a thread that has no stack."""

    id: int
    name: str
    frames: tuple[FrameRecord, ...]


@dataclass(frozen=True, slots=True)
class StackGroupRecord:
    """Threads at the same place.  count: how many; ids: of some of them, lowest first."""

    count: int
    ids: tuple[int, ...]
    frames: tuple[FrameRecord, ...]


@dataclass(frozen=True, slots=True)
class WaitRecord:
    """One step of a chain of waits: a thread, what it waits for, and who could end that wait.

    holders: ids of the threads that hold it, or whose end is awaited; () where nobody in particular does.
    """

    id: int
    name: str
    waiting_for: str
    waiting_on: str
    waiting_s: float
    holders: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WhyRecord:
    """Why a thread waits: its chain of waits, each held by the next.

    cycle: ids of the threads that wait for each other, in order, if the chain ends in a deadlock; else ().
    """

    chain: tuple[WaitRecord, ...]
    cycle: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DescriptorRecord:
    """One descriptor that the poller knows, and who waits for it (ids)."""

    fd: int
    reader: int | None
    writer: int | None
    handler: str | None
    readable: bool
    writable: bool
    hangup: bool


@dataclass(frozen=True, slots=True)
class TimerRecord:
    """One armed timer.  due_s: in how many seconds, negative if overdue; thread: whom it wakes or interrupts."""

    due_s: float
    thread: int | None
    what: str


@dataclass(frozen=True, slots=True)
class LockRecord:
    """One primitive that somebody waits for.  holders, waiters: ids, in order."""

    kind: str
    text: str
    holders: tuple[int, ...]
    waiters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LoopRecord:
    """The loop.

    age_s: since it started.  poll_time_s: spent waiting for descriptors and timers.
    lag_p50_s, lag_p99_s, lag_max_s: for so long a due timer or ready descriptor went unnoticed, upper bounds; None
        before the first turn.
    """

    running: bool
    turn: int
    age_s: float
    poll_time_s: float
    collector_s: float
    threads: int
    runnable: int
    ended: int
    switches: int
    uncaught: int
    parked_carriers: int
    timers: int
    descriptors: int
    lag_p50_s: float | None
    lag_p99_s: float | None
    lag_max_s: float | None
