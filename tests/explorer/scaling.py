"""How many schedules a test tries: few in a usual run, many in a soak."""

from __future__ import annotations

import os

__all__ = ["scaled"]


def scaled(count: int) -> int:
    """`count` schedules, times the environment variable CORO_EXPLORE_FACTOR (1 unless it is set), 1 at least."""
    return max(1, int(count * float(os.environ.get("CORO_EXPLORE_FACTOR", "1"))))
