"""Deadlocks for the health check, which has no time to look for them in 100 000 threads.

A search of few threads is made at once.  With many, a thread of its own makes it, the caller waits for a moment,
and gets what the last complete search has found.
"""

from __future__ import annotations

from coro.exceptions import TimeoutError
from coro.inspect.waits import deadlocks, is_deadlock
from coro.loop import loop
from coro.runtime import spawn
from coro.scheduler import scheduler
from coro.thread import coro

__all__ = ["known_deadlocks", "search_deadlocks"]

# Searched within a few slices.
FEW_THREADS = 1000
WAIT_S = 0.05
# A search that began after this is fresh enough.
FRESH_S = 5.0

# Written when a search is complete: the cycles, the clock when it began, and the loop's token, since another loop
# may have another clock.
_found: tuple[tuple[int, ...], ...] = ()
_begun_ns = 0
_token: object = None
_searcher: coro | None = None


def search_deadlocks() -> tuple[int, ...]:
    """The ids of the threads in deadlocks, each confirmed now.  Yields, for a few milliseconds, at most 0.05 s."""
    global _searcher
    if len(scheduler.all_threads) <= FEW_THREADS:
        _search()
    elif _token is not loop.token or scheduler.clock() - _begun_ns > FRESH_S * 1e9:
        if _searcher is None or _searcher.dead:
            _searcher = spawn(_search, thread_name="deadlock search")
        try:
            _searcher.join(WAIT_S)
        except TimeoutError:
            return known_deadlocks()
    return known_deadlocks()


def known_deadlocks() -> tuple[int, ...]:
    """The ids of the threads in deadlocks that the last search found and that are still there.  Does not yield."""
    return tuple(sorted({member for cycle in _found if is_deadlock(cycle) for member in cycle}))


def _search() -> None:
    global _found, _begun_ns, _token
    begun_ns = scheduler.clock()
    _found = tuple(deadlocks())
    _begun_ns, _token = begun_ns, loop.token
