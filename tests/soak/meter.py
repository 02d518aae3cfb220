"""What a process holds: memory, descriptors, threads, timers."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass

import psutil

from coro.scheduler import scheduler
from coro.timed import timers

__all__ = ["MAX_GROWTH", "Held", "Outcome", "Report", "held", "measured"]

# Resident memory ends within this share of where it stood after the warm-up...
MAX_GROWTH = 0.05
# ...or within so many bytes, which is what the allocator's arenas and Python's caches move by on their own.
SLACK_BYTES = 1 << 20

# Called with how much of the part is done, 0 to 1.
Report = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds at one time.  `threads` and `timers` are those of the loop."""

    resident_bytes: int
    descriptors: int
    threads: int
    timers: int
    os_threads: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a part of the soak did, and what was left of it.

    what: in words.
    before, after: what was held after the warm-up and at the end; None where nothing is measured.
    faults: what went wrong; empty if nothing did.
    """

    what: str
    before: Held | None
    after: Held | None
    faults: list[str]

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def all_faults(self) -> list[str]:
        """The faults, and what grew."""
        faults = list(self.faults)
        before, after = self.before, self.after
        if before is None or after is None:
            return faults
        growth = after.resident_bytes - before.resident_bytes
        if growth > max(MAX_GROWTH * before.resident_bytes, SLACK_BYTES):
            faults.append(f"memory grew from {before.resident_bytes} to {after.resident_bytes} bytes")
        for name in ("descriptors", "threads", "timers", "os_threads"):
            if getattr(after, name) > getattr(before, name):
                faults.append(f"{name} grew from {getattr(before, name)} to {getattr(after, name)}")
        return faults


def held() -> Held:
    """What this process holds now.  Does not yield."""
    gc.collect()
    process = psutil.Process()
    return Held(
        process.memory_info().rss,
        len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else process.num_fds(),
        len(scheduler.all_threads),
        len(timers),
        threading.active_count(),
    )


def measured(what: str, rounds: int, work: Callable[[], object], report: Report) -> Outcome:
    """Do the work once to warm up, then `rounds` times, and compare what is held."""
    work()
    report(1 / (rounds + 1))
    before = held()
    for number in range(rounds):
        work()
        report((number + 2) / (rounds + 1))
    return Outcome(what, before, held(), [])
