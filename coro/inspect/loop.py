"""The loop as a record."""

from __future__ import annotations

from collections.abc import Callable

from coro import collector
from coro.descriptors import descriptors
from coro.inspect.census import switches_of_all
from coro.inspect.history import history
from coro.loop import loop as the_loop
from coro.records import LoopRecord
from coro.scheduler import scheduler
from coro.timed import timers

__all__ = ["loop"]


def loop(give_up: Callable[[], object] | None = None) -> LoopRecord:
    """How the loop does.  Yields, in slices, where there are more than some hundred threads.

    give_up: see coro.inspect.slices.sliced().
    """
    switches = switches_of_all(give_up)
    now = scheduler.clock()
    lag = history.window(None, now)
    return LoopRecord(
        running=the_loop.running,
        turn=the_loop.iterations,
        age_s=(now - the_loop.started_ns) / 1e9 if the_loop.running else 0.0,
        poll_time_s=the_loop.poll_time_ns / 1e9,
        collector_s=collector.total_pause_ns() / 1e9,
        threads=len(scheduler.all_threads),
        runnable=len(scheduler.ready),
        ended=scheduler.ended_count,
        switches=switches,
        uncaught=scheduler.uncaught_count,
        parked_carriers=len(scheduler.parked),
        timers=len(timers),
        descriptors=len(descriptors.table),
        lag_p50_s=lag.p50_s,
        lag_p99_s=lag.p99_s,
        lag_max_s=lag.max_s,
    )
