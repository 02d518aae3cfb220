"""What can be wrong with a schedule of a scenario, and what the explorer interrupts threads with."""

from __future__ import annotations

from coro.exceptions import Interrupted

__all__ = [
    "BlockedForReal",
    "BlocksForReal",
    "ChanceInterrupt",
    "InterruptLost",
    "LeftBehind",
    "NeverEnds",
    "NotRepeatable",
    "ScheduleFailed",
]


class ChanceInterrupt(Interrupted):
    """What the explorer interrupts threads with.  One that ends its thread is no failure."""


class NeverEnds(Exception):
    """A schedule took more switches than it may."""


class LeftBehind(Exception):
    """A scenario returned and left timers, or threads that were never started."""


class InterruptLost(Exception):
    """An interrupt was sent to a thread and never raised in it."""


class BlocksForReal(Exception):
    """A thread of a scenario made a call that blocks the loop."""


class ScheduleFailed(AssertionError):
    """A schedule of a scenario failed.

    schedule: what explore(…, replay=schedule) runs again: the shortest that was found to fail in the same way.
    seed: the seed that found it; None if it came from a walk or a replay.
    trail: the steps of that schedule, a line each.
    What the scenario itself raised is the cause.
    """

    schedule: str
    seed: int | None
    trail: list[str]


class NotRepeatable(Exception):
    """The same choices led to another course: the scenario depends on something else."""


class BlockedForReal(BaseException):
    """A schedule did not come to its end within the limit of real time.

    Not an Exception, so that the scenario's own `except Exception` does not catch it.
    """
