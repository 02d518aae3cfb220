"""When this process started."""

from __future__ import annotations

import os
import time

__all__ = ["STARTED", "started", "uptime_s"]


def _started_by_proc() -> float | None:
    """Seconds since the epoch, by /proc, good to a hundredth of a second; None where there is none."""
    try:
        with open("/proc/self/stat", "rb") as file:
            # The name, in parentheses, may hold anything; the start is the 22nd field, the 20th after it.
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return time.time() - age


# That of the process which imported this: code that a forked child inherits was loaded by its parent.
STARTED: float = _started_by_proc() or time.time()

_started = (os.getpid(), STARTED)


def started() -> float:
    """When this process started, in seconds since the epoch; a fork counts as a start.

    Where /proc does not tell, the moment at which this module was imported.  Does not yield.
    """
    global _started
    pid, when = _started
    if pid != os.getpid():
        when = _started_by_proc() or time.time()
        _started = (os.getpid(), when)
    return when


def uptime_s() -> float:
    """For how many seconds this process has run.  Does not yield."""
    return max(0.0, time.time() - started())
