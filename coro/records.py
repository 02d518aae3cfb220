"""What leaves the process when somebody looks into it: frozen records of raw values.

Numbers are numbers (`run_time_s=12.5`, never "12.5 s"); only whoever shows them formats them.  Ages are in seconds,
relative to the moment at which the record was taken.

Invariant: a record refers to nothing that is alive: no thread, frame or lock.  Knows nothing else of coro.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ActionRecord",
    "CheckRecord",
    "CommandRecord",
    "CulpritRecord",
    "DaemonRecord",
    "DeadRecord",
    "DescriptorRecord",
    "EvaluationRecord",
    "FrameRecord",
    "HealthRecord",
    "HistoryRecord",
    "LagRecord",
    "LagWindowRecord",
    "LockRecord",
    "LoopHealthRecord",
    "LoopRecord",
    "ParameterRecord",
    "SessionRecord",
    "SettingRecord",
    "StackGroupRecord",
    "StackRecord",
    "StallRecord",
    "ThreadDetailRecord",
    "ThreadRecord",
    "ThreadsHealthRecord",
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
    """One call on a stack.

    source: the line as it is on disk now; None if it cannot be read.
    newer: the file was changed after the process started, so `source` may not be what runs.
    """

    file: str
    line: int
    function: str
    source: str | None
    newer: bool = False


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


@dataclass(frozen=True, slots=True)
class LagWindowRecord:
    """Loop lag in one window of time.  window_s: None for all since the loop started; turns: how often it polled.

    p50_s, p90_s, p99_s, max_s: upper bounds, above 0.07 s as measured; None if there was no turn.
    covered_s: for how much of the window there are numbers; 0 if nobody has sampled.
    """

    window_s: float | None
    turns: int
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    max_s: float | None
    covered_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LagRecord:
    """How late the loop is.

    current_s: for how long it has not polled, now; queue_s: for how long the first runnable thread has waited.
    collector_s: what the garbage collector took since the start.
    """

    current_s: float
    queue_s: float
    runnable: int
    collector_s: float
    windows: tuple[LagWindowRecord, ...]


@dataclass(frozen=True, slots=True)
class CulpritRecord:
    """Who held up the loop.  id: None when no thread ran (a handler, or the loop itself).

    torn: the stack was read while the thread ran on, and may mix two moments.
    """

    id: int | None
    name: str
    run_s: float
    frames: tuple[FrameRecord, ...]
    torn: bool = False


@dataclass(frozen=True, slots=True)
class StallRecord:
    """The loop did not turn for longer than the threshold.

    began: seconds since the epoch.  ongoing: it has not ended.  collector_s: the garbage collector's share.
    kind: "slice" is one thread that did not yield; "queue" many short slices that added up.
    culprits: the thread that ran, or the three that ran longest, with its stack half-way.
    interrupted: the sentinel interrupted the culprit.
    """

    began: float
    duration_s: float
    ongoing: bool
    kind: Literal["slice", "queue"]
    collector_s: float
    culprits: tuple[CulpritRecord, ...]
    interrupted: bool


Status = Literal["ok", "warning", "critical", "unknown"]


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """One check.  value, warn, crit: numbers in `unit`, None where there are none; text: one line for people."""

    name: str
    status: Status
    value: float | None
    warn: float | None
    crit: float | None
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class LoopHealthRecord:
    """The loop in a health record.  stalled_s: how long the present stall has lasted; None when there is none."""

    running: bool
    turn: int
    lag_p99_s: float | None
    lag_max_s: float | None
    stalled_s: float | None
    stalls: int
    culprit: CulpritRecord | None


@dataclass(frozen=True, slots=True)
class ThreadsHealthRecord:
    """Threads, counted.  deadlocked: ids of threads in a confirmed deadlock."""

    alive: int
    runnable: int
    waiting: int
    ended: int
    uncaught: int
    deadlocked: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HealthRecord:
    """Is the daemon well?

    schema: "coro.health/1".  code: 0 ok, 1 warning, 2 critical, 3 unknown, as monitoring plugins exit.
    answered_by: "loop"; "sentinel" while the loop was stuck; None when nobody answered and the client judged by
        what it sees from outside: then pid, uptime_s, loop and threads are None where they are not known.
    """

    schema: str
    status: Status
    code: int
    pid: int | None
    uptime_s: float | None
    loop: LoopHealthRecord | None
    threads: ThreadsHealthRecord | None
    checks: tuple[CheckRecord, ...]
    answered_by: Literal["loop", "sentinel"] | None


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """What a command did, and to whom.  id: the thread or session; None for the daemon itself."""

    action: str
    id: int | None
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class SettingRecord:
    """A live setting.  old: what it was before the command; None if it was not changed."""

    name: str
    value: float
    old: float | None
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One connection to the backdoor.

    kind: "text", "rpc", "http", or "new" before the first bytes.  threads: ids of its coroutine threads.
    running: the line or command that runs, None if none.  uid, pid: the peer's; None where it cannot be known.
    """

    id: int
    kind: str
    peer: str
    uid: int | None
    pid: int | None
    role: str
    age_s: float
    idle_s: float
    threads: tuple[int, ...]
    running: str | None
    waiting_bytes: int


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """One line that was typed in a session."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class ParameterRecord:
    """One argument of a command; see coro.wire.commands.Parameter."""

    name: str
    kind: str
    summary: str
    required: bool
    default: str | int | float | bool | None
    option: tuple[str, ...] | None
    many: bool
    presentation: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """One command; see coro.wire.commands.Command."""

    name: str
    role: str
    group: str
    summary: str
    schema: str
    many: bool
    where: str
    by_sentinel: bool
    description: str
    parameters: tuple[ParameterRecord, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """What a piece of Python did.  What it printed came before, as output.

    value: the repr of an expression's value; None for none, or for a statement.
    error: the traceback; None if it did not raise.  incomplete: more lines are needed.
    """

    value: str | None
    error: str | None
    incomplete: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """A daemon that listens.

    name, version, uptime_s, role: as it says itself; None if it did not answer in time.  role: what we may do.
    uid: the owner of the socket.  fault: why it told nothing; None if it did.
    """

    pid: int | None
    name: str | None
    version: str | None
    uptime_s: float | None
    role: str | None
    uid: int
    socket: str
    fault: str | None
