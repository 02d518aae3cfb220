"""The latest stalls of the loop, with who caused them.

An OS thread beside the loop finds stalls and writes them down here; anybody reads.  No locks: what is shared is
replaced as a whole, and a deque's append is one step for the interpreter.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any, Literal

from coro.records import CulpritRecord, StallRecord

__all__ = ["STALLS_KEPT", "Stall", "StallLog", "stall_count", "stall_log", "stalls"]

STALLS_KEPT = 50
# Of many short slices that added up, the longest are named.
CULPRITS_KEPT = 3

Kind = Literal["slice", "queue"]


class Stall:
    """One stall, from when it was noticed until its end.  Written by one OS thread, read by any.

    record: what is known of it now.
    """

    __slots__ = ("record",)

    def __init__(self, record: StallRecord) -> None:
        self.record = record

    def add_culprit(self, culprit: CulpritRecord) -> None:
        """Add one that was caught running, or put in its newer stack; the three that ran longest stay.

        The same thread counts as the same slice while it has run longer than when it was seen last.
        """
        others = [one for one in self.record.culprits if not _is_same_slice(one, culprit)]
        longest = sorted([*others, culprit], key=lambda one: -one.run_s)[:CULPRITS_KEPT]
        self.record = replace(self.record, culprits=tuple(longest))

    def update(self, duration_ns: int, **changes: Any) -> None:
        """Say how long it has lasted by now; `changes` are other fields of StallRecord, such as kind="queue"."""
        self.record = replace(self.record, duration_s=duration_ns / 1e9, **changes)

    def finish(self, duration_ns: int, **changes: Any) -> StallRecord:
        """Say that it is over, and how long it lasted in all; returns its record.  Once is enough."""
        self.update(duration_ns, ongoing=False, **changes)
        return self.record


def _is_same_slice(former: CulpritRecord, latter: CulpritRecord) -> bool:
    return former.id == latter.id and former.run_s <= latter.run_s


class StallLog:
    """A bounded ring of stalls.  count: how many there have been in all."""

    def __init__(self, size: int = STALLS_KEPT) -> None:
        self._stalls: deque[Stall] = deque(maxlen=size)
        self.count = 0

    def begin(
        self, began: float, duration_ns: int, culprit: CulpritRecord | None = None, kind: Kind = "slice"
    ) -> Stall:
        """Write down that the loop has stalled; returns the stall, to be updated and finished.

        began: seconds since the epoch, when the loop's turn began.  duration_ns: how long it has lasted by now.
        """
        culprits = () if culprit is None else (culprit,)
        stall = Stall(StallRecord(began, duration_ns / 1e9, True, kind, 0.0, culprits, False))
        self._stalls.append(stall)
        self.count += 1
        return stall

    def discard(self, stall: Stall) -> None:
        """Take a stall back: it was none, since the whole process was stopped."""
        try:
            self._stalls.remove(stall)
        except ValueError:
            return
        self.count -= 1

    def records(self) -> list[StallRecord]:
        """All that are remembered, latest first."""
        return [stall.record for stall in reversed(list(self._stalls))]

    def ongoing(self) -> StallRecord | None:
        """The stall that has not ended; None if there is none."""
        latest = self.records()[:1]
        return latest[0] if latest and latest[0].ongoing else None


# The process's: the backdoor's sentinel writes here.
stall_log = StallLog()


def stalls() -> list[StallRecord]:
    """The latest stalls of the loop, at most fifty, latest first; [] while nobody watches.  Does not yield.

    The backdoor's sentinel watches; without a backdoor nobody does.
    """
    return stall_log.records()


def stall_count() -> int:
    """How many stalls there have been since somebody watches."""
    return stall_log.count
