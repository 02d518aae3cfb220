"""Time as the runtime sees it: integer ticks of a monotonic clock.

A clock is a callable that takes nothing and returns nanoseconds as an int that never falls.  The runtime
asks only this of it, so a test hands in a clock that jumps.  One tick is one nanosecond.
"""

from __future__ import annotations

import math
import time
from typing import Protocol

__all__ = [
    "Clock",
    "absolute_secs_to_ticks",
    "absolute_time_to_ticks",
    "monotonic_clock",
    "ticks_per_sec",
    "ticks_per_usec",
    "ticks_to_absolute_secs",
    "ticks_to_relative_sec",
    "ticks_to_usec",
    "seconds_to_ticks",
    "usec_to_ticks",
]

ticks_per_sec = 1_000_000_000
ticks_per_usec = 1_000

# About 292 years.  Deadlines are capped here so that `sleep_relative(math.inf)` and friends mean "never".
FOREVER_TICKS = (1 << 63) - 1


class Clock(Protocol):
    """What the runtime needs of a clock: call it, get nanoseconds that never fall."""

    def __call__(self) -> int: ...


monotonic_clock: Clock = time.monotonic_ns


def seconds_to_ticks(seconds: float, *, what: str = "seconds") -> int:
    """Turn a duration in seconds into ticks.

    Negative durations count as 0, as in Shrapnel; infinity and anything beyond 292 years is capped there.
    Raises TypeError for what is no number, ValueError for NaN; `what` names the argument in the message.
    """
    try:
        if seconds <= 0:
            return 0
        ticks = seconds * 1_000_000_000
        if ticks >= FOREVER_TICKS:
            return FOREVER_TICKS
        return int(ticks)
    except TypeError:
        raise TypeError(f"{what} must be a number, got {seconds!r}") from None
    except (ValueError, OverflowError):
        raise ValueError(f"{what} must be a number of seconds, got {seconds!r}") from None


def usec_to_ticks(usec: float) -> int:
    """Turn microseconds into ticks.  Raises TypeError for what is no number."""
    if not isinstance(usec, (int, float)):
        raise TypeError(f"usec must be a number, got {usec!r}")
    return int(usec * ticks_per_usec)


def ticks_to_usec(ticks: int) -> int:
    """Turn ticks into whole microseconds."""
    return ticks // ticks_per_usec


def ticks_to_relative_sec(ticks: int) -> float:
    """Turn a number of ticks (a duration) into seconds."""
    return ticks / ticks_per_sec


def ticks_to_absolute_secs(ticks: int) -> float:
    """Turn a point in ticks into seconds since the epoch, by the system clock as it stands now."""
    return time.time() + (ticks - time.monotonic_ns()) / ticks_per_sec


def absolute_secs_to_ticks(seconds: float) -> int:
    """Turn seconds since the epoch into ticks, by the system clock as it stands now.

    Raises TypeError for what is no number, ValueError for what is not finite.
    """
    if not isinstance(seconds, (int, float)):
        raise TypeError(f"seconds must be a number, got {seconds!r}")
    if not math.isfinite(seconds):
        raise ValueError(f"seconds must be finite, got {seconds!r}")
    return time.monotonic_ns() + int((seconds - time.time()) * ticks_per_sec)


absolute_time_to_ticks = absolute_secs_to_ticks
