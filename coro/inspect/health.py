"""Is the daemon well?  First facts are gathered, then a pure function judges them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from coro.inspect.checks import registered_checks, run_checks
from coro.inspect.culprit import culprit
from coro.inspect.deadlock_watch import known_deadlocks, search_deadlocks
from coro.inspect.history import SHORT_WINDOW_S, history
from coro.inspect.lag import current_gap_ns
from coro.inspect.names import safe_name
from coro.inspect.process import uptime_s
from coro.inspect.slices import sliced
from coro.inspect.stalls import stall_count
from coro.loop import loop
from coro.records import (
    CheckRecord,
    CulpritRecord,
    FrameRecord,
    HealthRecord,
    LoopHealthRecord,
    Status,
    ThreadsHealthRecord,
)
from coro.scheduler import scheduler

__all__ = ["Facts", "Thresholds", "facts", "facts_from_outside", "health", "judge"]

SCHEMA: Final = "coro.health/1"
CODES: Final[dict[Status, int]] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
# A turn that has lasted so long is called a stall, unless the caller says otherwise.
STALL_S: Final = 0.25
# Which of several statuses counts.
_BADNESS: Final[tuple[Status, ...]] = ("ok", "unknown", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a check warns, and when it is critical: from this value on; seconds, but for threads.

    max_threads: critical if more are alive; None for no limit.
    require: critical unless a live thread has this name.
    deadlock: what a confirmed deadlock is.
    """

    warn_lag: float = 0.1
    crit_lag: float = 1.0
    warn_stall: float = 1.0
    crit_stall: float = 5.0
    max_threads: int | None = None
    require: tuple[str, ...] = ()
    deadlock: Literal["ok", "warning", "critical"] = "warning"


@dataclass(frozen=True, slots=True)
class Facts:
    """What judge() judges.

    found: those of the required names that a live thread has.
    application: the results of the application's checks.
    """

    pid: int
    uptime_s: float
    loop: LoopHealthRecord
    threads: ThreadsHealthRecord
    found: frozenset[str]
    application: tuple[CheckRecord, ...]
    answered_by: Literal["loop", "sentinel"]


def health(thresholds: Thresholds | None = None) -> HealthRecord:
    """The daemon's health.  None takes the default thresholds.  Yields, for 0.2 s if a check is slow."""
    thresholds = thresholds or Thresholds()
    return judge(facts(thresholds.require), thresholds)


def facts(require: Iterable[str] = ()) -> Facts:
    """Gather what the health depends on, inside the loop, and run the application's checks.

    require: names that are to be looked for among the threads.
    With 100 000 threads deadlocks are those that were known some seconds ago; they are looked for by a thread of
    their own.  Yields, for 0.3 s at most.
    """
    now = scheduler.clock()
    history.sample(now)
    application = run_checks() if loop.running else ()
    return Facts(
        pid=os.getpid(),
        uptime_s=uptime_s(),
        loop=_loop_health(now, stalled_ns=0, who=None),
        threads=_threads_health(search_deadlocks() if loop.running else ()),
        found=frozenset([name for name in dict.fromkeys(require) if _is_alive(name, None)]),
        application=application,
        answered_by="loop",
    )


def facts_from_outside(
    require: Iterable[str] = (),
    *,
    stall_s: float = STALL_S,
    who: CulpritRecord | None = None,
    give_up: Callable[[], object] | None = None,
) -> Facts:
    """Gather what the health depends on from another OS thread, while the loop may be stuck.

    stall_s: a turn that has lasted so long is a stall.  who: the culprit, if it is known already.
    The application's checks are unknown, since they would have to run in the loop; deadlocks are those that were
    found last.  give_up: see coro.inspect.slices.sliced().  Does not yield.
    """
    now = scheduler.clock()
    gap_ns = current_gap_ns(now)
    stalled_ns = gap_ns if gap_ns >= stall_s * 1e9 else 0
    if stalled_ns and who is None:
        who = culprit()
    unknown = [
        CheckRecord(name, "unknown", None, None, None, "", "the loop is stalled") for name in registered_checks()
    ]
    return Facts(
        pid=os.getpid(),
        uptime_s=uptime_s(),
        loop=_loop_health(now, stalled_ns, who if stalled_ns else None),
        threads=_threads_health(known_deadlocks()),
        found=frozenset([name for name in dict.fromkeys(require) if _is_alive(name, give_up)]),
        application=tuple(unknown),
        answered_by="sentinel",
    )


def _loop_health(now: int, stalled_ns: int, who: CulpritRecord | None) -> LoopHealthRecord:
    window = history.window(SHORT_WINDOW_S, now, stalled_ns)
    return LoopHealthRecord(
        running=loop.running,
        turn=loop.iterations,
        lag_p99_s=window.p99_s,
        lag_max_s=window.max_s,
        stalled_s=stalled_ns / 1e9 if stalled_ns else None,
        stalls=stall_count(),
        culprit=who,
    )


def _threads_health(deadlocked: tuple[int, ...]) -> ThreadsHealthRecord:
    """Counted by lengths, so that 100 000 threads cost nothing; those not started count as waiting."""
    alive = len(scheduler.all_threads)
    runnable = min(alive, len(scheduler.ready))
    running = 0 if scheduler.current is None else 1
    return ThreadsHealthRecord(
        alive=alive,
        runnable=runnable,
        waiting=max(0, alive - runnable - running),
        ended=scheduler.ended_count,
        uncaught=scheduler.uncaught_count,
        deadlocked=deadlocked,
    )


# The id of the thread that had a name when it was looked for last.
_last_seen: dict[str, int] = {}
MAX_NAMES = 100


def _is_alive(name: str, give_up: Callable[[], object] | None) -> bool:
    """Whether a live thread has this name.  Yields, in slices, unless it is the same thread as last time."""
    thread = scheduler.all_threads.get(_last_seen.get(name, 0))
    if thread is not None and not thread.dead and safe_name(thread) == name:
        return True
    found: list[int] = []
    threads = list(scheduler.all_threads.values())

    def look(first: int) -> None:
        if not found:
            chunk = threads[first : first + 100]
            found.extend([thread.id for thread in chunk if not thread.dead and safe_name(thread) == name])

    sliced(range(0, len(threads), 100), look, give_up)
    if not found:
        return False
    if len(_last_seen) >= MAX_NAMES:
        _last_seen.clear()
    _last_seen[name] = found[0]
    return True


def judge(facts: Facts, thresholds: Thresholds | None = None) -> HealthRecord:
    """Judge facts; the worst check counts.  Pure.

    "unknown" is worse than "ok" and better than "warning".  But the application's checks, which the sentinel cannot
    ask, do not count then, or each short stall would make the whole daemon's health unknown.
    """
    limits = thresholds or Thresholds()
    own = _own_checks(facts, limits)
    asked = facts.application if facts.answered_by == "loop" else ()
    status = max([check.status for check in (*own, *asked)], key=_BADNESS.index)
    return HealthRecord(
        schema=SCHEMA,
        status=status,
        code=CODES[status],
        pid=facts.pid,
        uptime_s=facts.uptime_s,
        loop=facts.loop,
        threads=facts.threads,
        checks=(*own, *facts.application),
        answered_by=facts.answered_by,
    )


def _own_checks(facts: Facts, limits: Thresholds) -> tuple[CheckRecord, ...]:
    threads = facts.threads
    required = [_required(name, facts) for name in dict.fromkeys(limits.require)]
    uncaught_text = f"{threads.uncaught} threads were ended by uncaught exceptions"
    return (
        _stall_check(facts.loop, limits),
        _lag_check(facts.loop, limits),
        _threads_check(threads, limits.max_threads),
        *required,
        _deadlock_check(threads, limits.deadlock),
        CheckRecord("uncaught", "ok", threads.uncaught, None, None, "c", uncaught_text),
    )


def _stall_check(loop: LoopHealthRecord, limits: Thresholds) -> CheckRecord:
    stalled = loop.stalled_s or 0.0
    status = _status(stalled, limits.warn_stall, limits.crit_stall)
    if not loop.running:
        return CheckRecord("stall", "critical", None, limits.warn_stall, limits.crit_stall, "s", "no loop runs")
    text = "loop turns" if loop.stalled_s is None else f"loop stalled {stalled:.1f}s{_by(loop.culprit)}"
    return CheckRecord("stall", status, stalled, limits.warn_stall, limits.crit_stall, "s", text)


def _by(who: CulpritRecord | None) -> str:
    """The culprit in a few words: its name, and the innermost function and line that are not the runtime's own."""
    if who is None:
        return ""
    frame = next((one for one in reversed(who.frames) if not _is_ours(one)), None)
    if frame is None:
        frame = who.frames[-1] if who.frames else None
    if frame is None:
        return f" in {who.name}"
    # Of a function in a function its own name: it is a line for a pager.
    function = frame.function.rpartition("<locals>.")[2]
    return f" in {who.name} ({function}, {os.path.basename(frame.file)}:{frame.line})"


_OUR_DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


def _is_ours(frame: FrameRecord) -> bool:
    return frame.file.startswith(_OUR_DIRECTORY) or not frame.file


def _lag_check(loop: LoopHealthRecord, limits: Thresholds) -> CheckRecord:
    p99 = loop.lag_p99_s
    if p99 is None:
        return CheckRecord("lag", "ok", None, limits.warn_lag, limits.crit_lag, "s", "lag is not known yet")
    status = _status(p99, limits.warn_lag, limits.crit_lag)
    text = f"99% of turns took less than {p99:.3g}s" if status == "ok" else f"lag {p99:.3g}s"
    return CheckRecord("lag", status, p99, limits.warn_lag, limits.crit_lag, "s", text)


def _threads_check(threads: ThreadsHealthRecord, maximum: int | None) -> CheckRecord:
    too_many = maximum is not None and threads.alive > maximum
    text = f"{threads.alive} threads" + (f", more than {maximum}" if too_many else "")
    return CheckRecord("threads", "critical" if too_many else "ok", threads.alive, None, maximum, "", text)


def _required(name: str, facts: Facts) -> CheckRecord:
    found = name in facts.found
    text = f"thread {name} is alive" if found else f"no thread {name}"
    return CheckRecord(f"require:{name}", "ok" if found else "critical", int(found), None, None, "", text)


def _deadlock_check(threads: ThreadsHealthRecord, status: Status) -> CheckRecord:
    count = len(threads.deadlocked)
    if count == 0:
        return CheckRecord("deadlock", "ok", 0, None, None, "", "no deadlock")
    named = ", ".join([str(number) for number in threads.deadlocked[:5]]) + (", …" if count > 5 else "")
    return CheckRecord("deadlock", status, count, None, None, "", f"threads {named} wait for each other")


def _status(value: float, warn: float, crit: float) -> Status:
    if value >= crit:
        return "critical"
    return "warning" if value >= warn else "ok"
