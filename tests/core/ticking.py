"""A clock for tests of fairness: threads that never sleep get on in time, the same in every run."""

from coro.clock import ticks_per_sec
from coro.testing import FakeClock


class TickingClock(FakeClock):
    """A fake clock on which every reading takes time, so a thread that never sleeps still gets on in time."""

    def __init__(self, reading_ns: int) -> None:
        super().__init__(ticks_per_sec)
        self.reading_ns = reading_ns

    def __call__(self) -> int:
        self.now_ns += self.reading_ns
        return self.now_ns
