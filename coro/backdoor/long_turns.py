"""Turns of the loop that took long and were over before the sentinel looked, as it does four times a second.

The loop remembers how long its latest long turns took, and nothing more.  So of such a stall the length is certain;
who held it up is inferred from the threads' accounts, and where he stood is not known.
"""

from __future__ import annotations

from coro.inspect.names import safe_name
from coro.loop import loop
from coro.records import CulpritRecord
from coro.scheduler import scheduler

__all__ = ["LongTurns", "who_ran"]


# Clocks are read a little earlier or later here and there.
_TOLERANCE_NS = 1_000_000


class LongTurns:
    """The loop's long turns, each handed out once.  For the sentinel's OS thread."""

    def __init__(self) -> None:
        self._known: tuple[int, ...] = ()
        # One that took at least so long was seen while it lasted; so often it is looked for.
        self._seen_ns = 0
        self._looks = 0

    def forget(self) -> None:
        """Those up to now do not count: the process was stopped, or nobody watched."""
        self._known = tuple(loop.long_turns)
        self._looks = 0

    def leave_out(self, took_ns: int) -> None:
        """One that took at least so long is known otherwise: leave it out of the next take(), or the one after."""
        self._seen_ns = took_ns - _TOLERANCE_NS
        self._looks = 2

    def take(self) -> list[int]:
        """Those since the last call, in nanoseconds, oldest first."""
        news = self._news()
        if self._looks:
            self._looks -= 1
            seen = next((took for took in news if took >= self._seen_ns), None)
            if seen is not None:
                news.remove(seen)
                self._looks = 0
        return news

    def _news(self) -> list[int]:
        # A deque of bounded length: what was known has moved to the front, and out of it.
        known, self._known = self._known, tuple(loop.long_turns)
        for gone in range(len(known) + 1):
            left = known[gone:]
            if self._known[: len(left)] == left:
                return list(self._known[len(left) :])
        return list(self._known)


def who_ran(took_ns: int, not_before_ns: int) -> CulpritRecord | None:
    """The thread that ran for nearly all of a turn that took so long, and ended it after `not_before_ns`.

    None if it cannot be told: many ran, the thread has ended, or it once ran longer.
    """
    for thread in list(scheduler.all_threads.values()):
        longest_ns = thread.longest_slice_ns
        if 0.9 * took_ns <= longest_ns <= took_ns and thread.last_switch_ns >= not_before_ns:
            return CulpritRecord(thread.id, safe_name(thread), longest_ns / 1e9, (), True)
    return None
