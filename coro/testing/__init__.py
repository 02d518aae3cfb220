"""Test your daemon without sleeping: a fake clock that jumps when everybody sleeps, and a fake poller."""

from __future__ import annotations

from coro.testing.clock import FakeClock
from coro.testing.poller import FakePoller, NothingWillHappen
from coro.testing.running import fake_time, run

__all__ = ["FakeClock", "FakePoller", "NothingWillHappen", "fake_time", "run"]
