"""Test your daemon without sleeping: a fake clock that jumps when everybody sleeps, and a fake poller.

explore() runs a scenario under many schedules, in search of one that fails.
"""

from __future__ import annotations

from coro.testing.clock import FakeClock
from coro.testing.explorer import Exploration, explore
from coro.testing.failures import (
    BlockedForReal,
    BlocksForReal,
    ChanceInterrupt,
    InterruptLost,
    LeftBehind,
    NeverEnds,
    NotRepeatable,
    ScheduleFailed,
)
from coro.testing.poller import FakePoller, NothingWillHappen
from coro.testing.running import fake_time, run
from coro.testing.stage import choose

__all__ = [
    "BlockedForReal",
    "BlocksForReal",
    "ChanceInterrupt",
    "Exploration",
    "FakeClock",
    "FakePoller",
    "InterruptLost",
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
