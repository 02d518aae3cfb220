"""What all sessions of one backdoor share: its settings, its names, who is connected.

Invariant: plain data and questions about it; nothing here reads a socket or parks.  The sentinel reads it too.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from coro.backdoor.audit import Audit
from coro.backdoor.roles import Roles
from coro.clock import ticks_to_relative_sec
from coro.loop import loop
from coro.scheduler import scheduler

__all__ = ["Host", "Limits", "Ticket"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a backdoor allows.  Times in seconds.

    sessions: at once.  probes: connections that only ask for checks or metrics, in slots of their own.
    new: connections that have not said yet what they are.  silence: after so long, such a one gets a prompt.
    idle: a session without input for so long is ended; None for never.  stall_threshold: the loop is stuck when it
    has not turned for so long.  eval_limit: a line that hogs the loop longer is interrupted.  progress: a peer that
    reads nothing for so long is dropped.  end_of_input: so long a line may run on after the peer has closed its
    side.  repr_bytes: the longest repr shown.  waiting_lines: typed ahead.
    """

    sessions: int = 8
    probes: int = 16
    new: int = 32
    silence: float = 0.3
    idle: float | None = 3600.0
    stall_threshold: float = 0.25
    eval_limit: float = 1.0
    progress: float = 10.0
    end_of_input: float = 10.0
    repr_bytes: int = 65_536
    waiting_lines: int = 1000

    def __post_init__(self) -> None:
        for name in ("sessions", "probes", "new", "repr_bytes", "waiting_lines"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"the limit {name} must be an int of 1 or more, got {value!r}")
        for name in ("silence", "stall_threshold", "eval_limit", "progress", "end_of_input", "idle"):
            value = getattr(self, name)
            if name == "idle" and value is None:
                continue
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0.01 <= value < 1e9:
                raise ValueError(f"the limit {name} must be 0.01 s or more, got {value!r}")


@dataclass(slots=True)
class Ticket:
    """A check that somebody waits for.  Whoever takes it out of `Host.tickets` answers it.

    encode: from the health's plain form to the bytes of the answer.
    """

    session: Any
    params: dict[str, Any]
    encode: Callable[[dict[str, Any]], bytes]
    since_ns: int = field(default_factory=scheduler.clock)


class Host:
    """The shared state of one backdoor.

    sessions: by number, in the order in which they came.  tickets: checks that wait for their answer.
    """

    def __init__(
        self,
        *,
        audit: Audit,
        roles: Roles,
        token: str | None,
        namespace: dict[str, Any],
        limits: Limits,
        welcome_message: str | None,
        eval_allowed: bool,
        client_class: Callable[..., Any] | None = None,
    ) -> None:
        self.audit = audit
        self.roles = roles
        self.token = token
        self.namespace = namespace
        self.limits = limits
        self.welcome_message = welcome_message
        self.eval_allowed = eval_allowed
        self.client_class = client_class
        self.sessions: dict[int, Any] = {}
        self.tickets: dict[int, Ticket] = {}
        self.pid = os.getpid()
        self.argv = list(sys.argv)
        self.started = time.time()
        # next() on a count is one step for the interpreter: the sentinel takes numbers too.
        self._numbers = itertools.count(1)
        self._ticket_numbers = itertools.count(1)
        self.stall_threshold = limits.stall_threshold

    def next_number(self) -> int:
        """A number for the next connection.  From any OS thread."""
        return next(self._numbers)

    def add_ticket(self, ticket: Ticket) -> int:
        """Enter a check that waits; returns its number."""
        number = next(self._ticket_numbers)
        self.tickets[number] = ticket
        return number

    def count(self, kind: str) -> int:
        """How many connections hold a slot: of kind "session", "probe" or "new"."""
        return sum(1 for session in list(self.sessions.values()) if _slot_of(session) == kind)

    def uptime_s(self) -> float:
        """Seconds since the loop started; 0 when none runs."""
        return ticks_to_relative_sec(scheduler.clock() - loop.started_ns) if loop.running else 0.0


def _slot_of(session: Any) -> str:
    if session.takes_slot:
        return "session"
    return "new" if session.kind == "new" else "probe"
