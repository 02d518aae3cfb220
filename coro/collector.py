"""The garbage collector as the runtime sees it: a pause that is nobody's fault, and a place where nobody may park.

The collector runs finalisers inside whichever thread happened to allocate; parking there would leave the
collector half-way for as long as the thread waits, so park() refuses while `scheduler.collecting` is set.
Its pauses (157 ms at 100 000 threads) are told apart in latency reports.
"""

from __future__ import annotations

import _thread
import gc
from collections import deque
from typing import Any

from coro.scheduler import scheduler

__all__ = ["install", "pause_ns_within", "total_pause_ns", "uninstall"]

# (begin, end) of the latest pauses; a slice seldom contains more than a few.
_pauses: deque[tuple[int, int]] = deque(maxlen=256)
_begin = 0
# Why nobody could park before the collection, if there was a reason.
_former: Any = False
_total = 0


def _watch(phase: str, info: dict[str, int]) -> None:
    global _begin, _former, _total
    if _thread.get_ident() != scheduler.os_thread_ident:
        # Another OS thread's collection: its finalisers cannot park here, and its time is not the loop's.
        return
    if phase == "start":
        _former = scheduler.collecting
        scheduler.collecting = True
        _begin = scheduler.clock()
    else:
        scheduler.collecting = _former
        end = scheduler.clock()
        _total += end - _begin
        _pauses.append((_begin, end))


def install() -> None:
    """Start watching; the loop does so when it starts."""
    _pauses.clear()
    if _watch not in gc.callbacks:
        gc.callbacks.append(_watch)


def uninstall() -> None:
    """Stop watching."""
    scheduler.collecting = False
    if _watch in gc.callbacks:
        gc.callbacks.remove(_watch)


def pause_ns_within(begin: int, end: int) -> int:
    """Nanoseconds that the collector took between two clock readings, as far as it is remembered."""
    return sum(min(stop, end) - max(start, begin) for start, stop in tuple(_pauses) if stop > begin and start < end)


def total_pause_ns() -> int:
    """Nanoseconds that the collector has taken while loops ran."""
    return _total
