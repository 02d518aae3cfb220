"""What can end a command early: a sentence for the user, and the exit code that goes with it.

Exit codes: 0 done, 1 the command failed in the daemon, 2 wrong usage, 3 no daemon reached.  `coro check` maps the
same failures to the codes of monitoring plugins, in check.py.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "DONE",
    "FAILED",
    "NOT_REACHED",
    "WRONG_USAGE",
    "CommandFailure",
    "ConnectionLost",
    "Failure",
    "Garbage",
    "NoAnswer",
    "NotReached",
    "Untrusted",
    "UsageFailure",
]

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
NOT_REACHED: Final = 3


class Failure(Exception):
    """Ends the command.  Its text is for the user, already escaped for a terminal."""

    exit_code = FAILED


class UsageFailure(Failure):
    """What was typed makes no sense."""

    exit_code = WRONG_USAGE


class CommandFailure(Failure):
    """The daemon answered with an error.  code: the protocol's, see coro.wire.protocol."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotReached(Failure):
    """There is no daemon, or more than one, or it cannot be connected to."""

    exit_code = NOT_REACHED


class NoAnswer(NotReached):
    """Somebody listens, but the daemon did not answer in time.  pid: of who listens, where that is known."""

    pid: int | None = None


class ConnectionLost(NotReached):
    """The other end closed the connection before the answer."""


class Garbage(NotReached):
    """What came is not the protocol: somebody else listens there."""


class Untrusted(NotReached):
    """The listener belongs to a user to whom no token or code is sent."""
