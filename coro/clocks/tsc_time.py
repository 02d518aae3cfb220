"""The names of Shrapnel's `tsc_time` that daemons use, on the monotonic clock of the runtime.

Shrapnel counted the processor's time stamps (TSC); here a tick is a nanosecond of the clock that `coro.now`,
sleep_absolute() and the loop go by, a fake one included.  So `sleep_absolute(now_raw_tsc() + ticks)` means what it
says, and times never go back when somebody sets the system's clock.

A point in ticks becomes a time of day through one reading of both clocks, made when it is first needed.  So times
of day follow a correction of the system's clock only after update_time_relation(): call it now and then.
"""

from __future__ import annotations

import functools
import time
from typing import Any

from coro.clock import Clock, ticks_per_sec, ticks_per_usec
from coro.scheduler import scheduler

__all__ = [
    "TSC",
    "fsec_to_ticks",
    "get_kernel_usec",
    "now_raw_posix_fsec",
    "now_raw_posix_sec",
    "now_raw_posix_usec",
    "now_raw_tsc",
    "now_tsc",
    "rdtsc",
    "sec_to_ticks",
    "ticks_per_sec",
    "ticks_per_usec",
    "ticks_to_fsec",
    "ticks_to_sec",
    "ticks_to_usec",
    "update_time_relation",
    "usec_to_ticks",
]

_NS_PER_USEC = 1000
_USEC_PER_SEC = 1_000_000

# The clock that the relation below was read from: a fake clock has a relation of its own.
_clock: Clock | None = None
# What to add to ticks to get nanoseconds since the epoch.
_epoch_offset_ns = 0


def update_time_relation() -> None:
    """Read the system's clock anew: for when it has been corrected, and now and then.  Does not yield."""
    global _clock, _epoch_offset_ns
    _clock = scheduler.clock
    _epoch_offset_ns = time.time_ns() - _clock()


def _offset_ns() -> int:
    if _clock is not scheduler.clock:
        update_time_relation()
    return _epoch_offset_ns


# -- now


def get_kernel_usec() -> int:
    """The system's time of day, asked anew: microseconds since the epoch."""
    return time.time_ns() // _NS_PER_USEC


def now_raw_tsc() -> int:
    """The present time in ticks, as coro.get_now()."""
    return scheduler.clock()


def rdtsc() -> int:
    """The present time in ticks, as now_raw_tsc()."""
    return scheduler.clock()


def now_raw_posix_sec() -> int:
    """The present time in whole seconds since the epoch."""
    return ticks_to_sec(scheduler.clock())


def now_raw_posix_usec() -> int:
    """The present time in whole microseconds since the epoch."""
    return ticks_to_usec(scheduler.clock())


def now_raw_posix_fsec() -> float:
    """The present time in seconds since the epoch."""
    return ticks_to_fsec(scheduler.clock())


# -- points in time: ticks to seconds since the epoch, and back.  (coro.ticks_to_usec() and coro.usec_to_ticks()
# are for durations.)


def ticks_to_sec(t: int) -> int:
    """Turn a point in ticks into whole seconds since the epoch."""
    return (t + _offset_ns()) // ticks_per_sec


def ticks_to_usec(t: int) -> int:
    """Turn a point in ticks into whole microseconds since the epoch."""
    return (t + _offset_ns()) // _NS_PER_USEC


def ticks_to_fsec(t: int) -> float:
    """Turn a point in ticks into seconds since the epoch."""
    return (t + _offset_ns()) / ticks_per_sec


def sec_to_ticks(t: int) -> int:
    """Turn whole seconds since the epoch into a point in ticks."""
    return t * ticks_per_sec - _offset_ns()


def usec_to_ticks(t: int) -> int:
    """Turn whole microseconds since the epoch into a point in ticks."""
    return t * _NS_PER_USEC - _offset_ns()


def fsec_to_ticks(t: float) -> int:
    """Turn seconds since the epoch into a point in ticks, to the microsecond."""
    return usec_to_ticks(int(t * _USEC_PER_SEC))


# -- the same as objects


@functools.total_ordering
class TSC:
    """A point in time in ticks, that compares and counts as the number does.

    tsc: the ticks.
    """

    __slots__ = ("tsc",)

    def __init__(self, tsc: int = 0) -> None:
        self.tsc = tsc

    def __repr__(self) -> str:
        return f"<TSC: {self.ctime()}>"

    def __hash__(self) -> int:
        return hash(self.tsc)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (TSC, int, float)):
            return bool(self.tsc == _number(other))
        return NotImplemented

    def __lt__(self, other: TSC | float) -> bool:
        if isinstance(other, (TSC, int, float)):
            return bool(self.tsc < _number(other))
        return NotImplemented

    def __add__(self, ticks: float) -> TSC:
        if isinstance(ticks, (int, float)):
            return TSC(self.tsc + int(ticks))
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, ticks: float) -> TSC:
        if isinstance(ticks, (int, float)):
            return TSC(self.tsc - int(ticks))
        return NotImplemented

    def __int__(self) -> int:
        return self.tsc

    def __float__(self) -> float:
        return float(self.tsc)

    def as_posix_sec(self) -> int:
        """In whole seconds since the epoch."""
        return ticks_to_sec(self.tsc)

    def as_posix_usec(self) -> int:
        """In whole microseconds since the epoch."""
        return ticks_to_usec(self.tsc)

    def as_posix_fsec(self) -> float:
        """In seconds since the epoch."""
        return ticks_to_fsec(self.tsc)

    def ctime(self) -> str:
        """As text in local time, "Sun Jun 20 23:21:05 1993"."""
        return time.ctime(self.as_posix_sec())


def _number(value: Any) -> Any:
    return value.tsc if isinstance(value, TSC) else value


def now_tsc() -> TSC:
    """The present time."""
    return TSC(scheduler.clock())
