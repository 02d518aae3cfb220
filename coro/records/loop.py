"""The loop, and how late it is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LagRecord", "LagWindowRecord", "LoopRecord"]


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
