"""Is the daemon well?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coro.records.stalls import CulpritRecord

__all__ = ["CheckRecord", "HealthRecord", "LoopHealthRecord", "Status", "ThreadsHealthRecord"]

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
