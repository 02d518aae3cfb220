"""Loop lag by window of time.

The loop only counts: `loop.lag_histogram` says how many turns took how long since the start.  Here copies of it are
kept, about one a second; the difference of two is what happened between them.  Whoever has an OS thread or a thread
to spare calls sample().
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass

from coro.inspect.quantiles import quantile_ns
from coro.loop import LONG_TURN_BUCKET, Loop
from coro.loop import loop as the_loop
from coro.records import LagWindowRecord

__all__ = ["SHORT_WINDOW_S", "WINDOWS_S", "LagHistory", "history"]

SHORT_WINDOW_S = 10.0
# The last, None, is all since the loop started.
WINDOWS_S: tuple[float | None, ...] = (SHORT_WINDOW_S, 300.0, None)
SECOND_NS = 1_000_000_000
# Imports, listening sockets, caches that are still cold: the beginning tells nothing about later.
START_LEFT_OUT_NS = 2 * SECOND_NS
# Five minutes and some slack.
SAMPLES_KEPT = 320


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ns: int
    counts: array[int]


class LagHistory:
    """Copies of a loop's histogram of lag, taken about once a second, for five minutes.

    Any OS thread may call everything here, also several at once.
    """

    def __init__(self, loop: Loop = the_loop) -> None:
        self._loop = loop
        # Which run of the loop the samples are of, by its token.
        self._token: object = None
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES_KEPT)
        # Nothing is sampled before the loop's turn of this number.
        self._not_before_turn = 0

    def sample(self, now_ns: int) -> bool:
        """Take a copy, unless the last one is younger than a second; returns whether it did.

        now_ns: the loop's clock, `scheduler.clock()`.
        Call it once a second or oftener; takes about 2 us.  Does not yield.
        """
        loop = self._loop
        if not loop.running:
            return False
        samples = self._samples
        if loop.token is not self._token:
            samples.clear()
            self._token = loop.token
            self._not_before_turn = 0
        # A little early is better than one that comes every other second.
        if samples and now_ns - samples[-1].at_ns < SECOND_NS * 0.95:
            return False
        if now_ns - loop.started_ns < START_LEFT_OUT_NS or loop.iterations < self._not_before_turn:
            return False
        samples.append(_Sample(now_ns, array("Q", loop.lag_histogram)))
        return True

    def forget(self) -> None:
        """Begin afresh after the loop's next turn: the present one was long for no fault of the process.

        For whoever finds that the whole process was stopped.
        """
        self._samples.clear()
        self._not_before_turn = self._loop.iterations + 1

    def window(self, seconds: float | None, now_ns: int, gap_ns: int = 0) -> LagWindowRecord:
        """The lag of the last `seconds`, to a second; None for all since the loop started.

        now_ns: the loop's clock.
        gap_ns: how long the present turn has lasted; 0 while the loop polls.  It counts for the longest.
        Where the samples do not go back that far, the window begins with the first one; see `covered_s`.
        Does not yield.
        """
        if seconds is None:
            return self._record(None, now_ns - self._loop.started_ns, list(self._loop.lag_histogram), gap_ns)
        base = None
        if self._loop.token is self._token:
            for sample in reversed(list(self._samples)):
                base = sample
                if now_ns - sample.at_ns >= seconds * SECOND_NS:
                    break
        if base is None:
            return LagWindowRecord(seconds, 0, None, None, None, None, 0.0)
        counts = [now - then for now, then in zip(list(self._loop.lag_histogram), base.counts, strict=True)]
        return self._record(seconds, now_ns - base.at_ns, counts, gap_ns)

    def _record(self, seconds: float | None, covered_ns: int, counts: list[int], gap_ns: int) -> LagWindowRecord:
        if not self._loop.running:
            covered_ns = gap_ns = 0
        turns = sum(counts)
        # The loop remembers the latest long turns as they were, and those in the window are the latest.
        long_turns = sum(counts[LONG_TURN_BUCKET:])
        remembered = list(self._loop.long_turns)
        exact = sorted(remembered[len(remembered) - long_turns :]) if long_turns <= len(remembered) else []
        longest = _at(counts, turns, exact, 1.0)
        if gap_ns:
            longest = max(longest or 0, gap_ns)
        return LagWindowRecord(
            window_s=seconds,
            turns=turns,
            p50_s=_seconds(_at(counts, turns, exact, 0.5)),
            p90_s=_seconds(_at(counts, turns, exact, 0.9)),
            p99_s=_seconds(_at(counts, turns, exact, 0.99)),
            max_s=_seconds(longest),
            covered_s=max(0, covered_ns) / SECOND_NS,
        )


def _at(counts: list[int], turns: int, exact: list[int], share: float) -> int | None:
    """The duration in nanoseconds that `share` of the turns do not exceed: as it was if it is among `exact`."""
    # So many turns took longer.
    above = int(turns * (1 - share) + 1e-9)
    if above < len(exact):
        return exact[len(exact) - 1 - above]
    return quantile_ns(counts, share)


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / SECOND_NS


# The process's: the backdoor's sentinel keeps it up to date, and lag() takes a sample when it is called.
history = LagHistory()
