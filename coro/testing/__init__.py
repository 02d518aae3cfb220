"""Test your daemon without sleeping: a fake clock that jumps when everybody sleeps, and a fake poller.

explore() runs a scenario under many schedules, in search of one that fails.
"""

from __future__ import annotations

from coro.testing.clock import FakeClock
from coro.testing.explorer import Exploration, NotRepeatable, ScheduleFailed, explore
from coro.testing.poller import FakePoller, NothingWillHappen
from coro.testing.running import fake_time, run
from coro.testing.stage import BlocksForReal, ChanceInterrupt, LeftBehind, NeverEnds, choose
from coro.testing.time_limit import BlockedForReal

__all__ = [
    "BlockedForReal",
    "BlocksForReal",
    "ChanceInterrupt",
    "Exploration",
    "FakeClock",
    "FakePoller",
    "LeftBehind",
    "NeverEnds",
    "NotRepeatable",
    "NothingWillHappen",
    "ScheduleFailed",
    "choose",
    "explore",
    "fake_time",
    "run",
]
