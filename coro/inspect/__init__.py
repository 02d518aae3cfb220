"""What a running process is doing: live state, as frozen records.

    coro.inspect.threads()        every thread, with what it waits for and its account
    coro.inspect.stacks()         where each one stands; stack_groups() counts threads at the same place once
    coro.inspect.info(id)         everything about one thread, who spawned it included
    coro.inspect.why(id)          what a thread waits for, who holds that, and so on; a deadlock is named
    coro.inspect.deadlocks()      all of them
    coro.inspect.dead()           who ended lately, and why, after start_recording()
    coro.inspect.loop(), lag()    how the loop does, and how late it is; stalls() if somebody watches it
    coro.inspect.health()         is it well?  metrics_text() the same for Prometheus
    coro.inspect.descriptors(), timers(), locks()

In a thread, the functions that walk over all threads work in slices of some 0.1 ms and sleep between them, so that
the daemon loses 5 % of its time at most; such a list is no single moment, and each thread's record says at which
turn of the loop it was taken.  Outside the loop they work in one go.  `coro.inspect.outside` names those that serve
another OS thread while the loop is stuck.
"""

from __future__ import annotations

from coro.inspect.checks import register_check, registered_checks, run_checks, unregister_check
from coro.inspect.dead import dead, start_recording, stop_recording
from coro.inspect.detail import info
from coro.inspect.health import Facts, Thresholds, facts, health, judge
from coro.inspect.history import LagHistory, history
from coro.inspect.lag import lag
from coro.inspect.loop import loop
from coro.inspect.metrics import Metrics, metrics, metrics_text
from coro.inspect.resources import descriptors, locks, timers
from coro.inspect.stacks import stack, stack_groups, stacks
from coro.inspect.stalls import Stall, StallLog, stall_count, stall_log, stalls
from coro.inspect.threads import thread, threads
from coro.inspect.waits import deadlocks, why

__all__ = [
    # threads
    "info",
    "stack",
    "stack_groups",
    "stacks",
    "thread",
    "threads",
    # who waits for whom
    "deadlocks",
    "descriptors",
    "locks",
    "timers",
    "why",
    # who is no more
    "dead",
    "start_recording",
    "stop_recording",
    # the loop
    "LagHistory",
    "Stall",
    "StallLog",
    "history",
    "lag",
    "loop",
    "stall_count",
    "stall_log",
    "stalls",
    # health
    "Facts",
    "Metrics",
    "Thresholds",
    "facts",
    "health",
    "judge",
    "metrics",
    "metrics_text",
    "register_check",
    "registered_checks",
    "run_checks",
    "unregister_check",
]
