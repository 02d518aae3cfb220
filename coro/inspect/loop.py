"""The loop as a record."""

from __future__ import annotations

from coro import collector
from coro.descriptors import descriptors
from coro.loop import loop as the_loop
from coro.records import LoopRecord
from coro.scheduler import scheduler
from coro.timed import timers

__all__ = ["loop", "quantile_ns"]


def quantile_ns(histogram: list[int], share: float) -> int | None:
    """The upper bound of the bucket in which `share` (0 to 1) of the counts is reached; None if there are none.

    histogram: [n] counts what lies from 2**(n-1) up to 2**n nanoseconds.
    """
    total = sum(histogram)
    if total == 0:
        return None
    reached = 0
    for bucket, count in enumerate(histogram):
        reached += count
        if count and reached >= share * total:
            return 1 << bucket
    return None


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9


def loop() -> LoopRecord:
    """How the loop does.  Does not yield."""
    now = scheduler.clock()
    alive = scheduler.all_threads
    histogram = the_loop.lag_histogram
    return LoopRecord(
        running=the_loop.running,
        turn=the_loop.iterations,
        age_s=(now - the_loop.started_ns) / 1e9 if the_loop.running else 0.0,
        poll_time_s=the_loop.poll_time_ns / 1e9,
        collector_s=collector.total_pause_ns() / 1e9,
        threads=len(alive),
        runnable=len(scheduler.ready),
        ended=scheduler.ended_count,
        switches=scheduler.ended_switches + sum(thread.switches for thread in list(alive.values())),
        uncaught=scheduler.uncaught_count,
        parked_carriers=len(scheduler.parked),
        timers=len(timers),
        descriptors=len(descriptors.table),
        lag_p50_s=_seconds(quantile_ns(histogram, 0.5)),
        lag_p99_s=_seconds(quantile_ns(histogram, 0.99)),
        lag_max_s=_seconds(quantile_ns(histogram, 1.0)),
    )
