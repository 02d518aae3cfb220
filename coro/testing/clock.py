"""A clock that stands still until it is told to move.

While time stands still no poll would ever become due, so every few hundred readings the clock asks for one.
"""

from __future__ import annotations

from coro.clock import ticks_per_sec
from coro.scheduler import scheduler

__all__ = ["FakeClock"]

_READINGS_PER_POLL = 200


class FakeClock:
    """A `coro.clock.Clock` under the test's control.

    now_ns: the time it shows, in nanoseconds.
    """

    def __init__(self, start_ns: int = ticks_per_sec) -> None:
        self.now_ns = start_ns
        self._readings = 0

    def __call__(self) -> int:
        self._readings += 1
        if self._readings >= _READINGS_PER_POLL:
            self._readings = 0
            scheduler.poll_due = 0
        return self.now_ns

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, 0 or more; what has become due happens at the loop's next turn."""
        self.advance_ns(round(seconds * ticks_per_sec))

    def advance_ns(self, nanoseconds: int) -> None:
        """Move on by `nanoseconds`, 0 or more."""
        if nanoseconds < 0:
            raise ValueError(f"a clock never falls: cannot advance by {nanoseconds} ns")
        self.now_ns += nanoseconds
