"""Look-ups under way, each shared by all who ask the same, and what they came to.

The world: a look-up takes from microseconds to half a minute, cannot be stopped once an OS thread is at it, and a
daemon that connects to one host from a thousand threads asks the same question a thousand times at once.  So every
question is asked by a thread of its own, a *flight*; those who want to know wait for it.  One that is interrupted
leaves; the flight goes on and what it brings home is kept for who asks next.  A flight that was not begun, because
all OS threads are busy, and that nobody waits for any more, is cancelled.

Invariants: one flight for each question; a flight has landed when its thread has ended, whatever ended it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable
from typing import Any

from coro.clock import seconds_to_ticks
from coro.dns.cache import Cache, Outcome
from coro.loop import loop
from coro.runtime import spawn
from coro.scheduler import scheduler
from coro.sync.event import event
from coro.thread import coro

__all__ = ["Ask", "HOST_NOT_FOUND", "Lookups", "NO_DATA", "NO_RECOVERY", "TRY_AGAIN"]

# What herror carries, as in <netdb.h>.
HOST_NOT_FOUND, TRY_AGAIN, NO_RECOVERY, NO_DATA = 1, 2, 3, 4

CACHE_SIZE = 1000
# The system does not say how long an answer holds, so it is believed for a moment only.
FOUND_S = 10.0
FAILED_S = 2.0
# Not even a name server's word is kept for longer.
LONGEST_TTL_S = 86_400.0
MAX_UNDER_WAY = 1000

# What a name server said for certain; all other failures ("try again", no memory) may be over a moment later.
_CERTAIN = {
    (socket.gaierror, socket.EAI_NONAME),
    # Not on every system.
    (socket.gaierror, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)),
    (socket.herror, HOST_NOT_FOUND),
    (socket.herror, NO_DATA),
}

# Asks the question of a flight; is given a function to call when there is no way back.
Ask = Callable[[Callable[[], None]], Outcome]


class _Flight:
    """One question that is being asked.

    waiting: how many threads wait for it.
    begun: whether an OS thread, or a server, has been asked; written by either.
    token: the loop that it belongs to: a forked child has the flights of its parent, which will never land there.
    """

    __slots__ = ("begun", "landed", "outcome", "thread", "token", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.begun = False
        self.token = loop.token
        self.landed = event()
        self.outcome: Outcome | None = None
        self.thread: coro | None = None

    def begin(self) -> None:
        self.begun = True


class Lookups:
    """The desk where questions are asked.

    found_s, failed_s: how long an answer, or a certain "there is none", is believed that says nothing itself.
    max_under_way: how many different questions there may be at a time.
    """

    def __init__(self) -> None:
        self.found_s = FOUND_S
        self.failed_s = FAILED_S
        self.max_under_way = MAX_UNDER_WAY
        self.cache = Cache(CACHE_SIZE, lambda: scheduler.clock())
        self._flights: dict[Hashable, _Flight] = {}
        # Another loop may have another clock, and its threads are not these.
        loop.at_close.append(self.forget)

    @property
    def under_way(self) -> int:
        """How many questions are being asked."""
        return len(self._flights)

    def find(self, question: Hashable, ask: Ask) -> Any:
        """What the answer to `question` is: from the cache, from a flight that is under way, or by a new one.

        Yields, unless the answer is in the cache.  Raises what the flight raised; socket.gaierror (EAI_AGAIN) when
        too many are under way; YieldFromMain outside a thread.
        An interrupted caller returns at once; the others who wait for the same get their answer.
        """
        outcome = self.cache.get(question)
        if outcome is None:
            outcome = self._wait(question, self._flight(question, ask))
        return outcome.take()

    def forget(self) -> None:
        """Forget what is known, and what is under way: nobody who asks from now on gets the answer of those."""
        self.cache.clear()
        self._flights.clear()

    def _flight(self, question: Hashable, ask: Ask) -> _Flight:
        scheduler.current_thread("looking up a name")
        flight = self._flights.get(question)
        if flight is not None and flight.token is loop.token:
            return flight
        if len(self._flights) >= self.max_under_way:
            raise socket.gaierror(
                socket.EAI_AGAIN,
                f"Temporary failure in name resolution: {len(self._flights)} look-ups are under way, the limit is "
                f"{self.max_under_way}",
            )
        self._flights[question] = flight = _Flight()
        flight.thread = thread = spawn(self._fly, flight, ask, thread_name="name look-up")
        # The end of the thread lands the flight, also if it never ran.
        thread.joiners = [lambda ended: self._land(question, flight)]
        return flight

    def _wait(self, question: Hashable, flight: _Flight) -> Outcome:
        flight.waiting += 1
        try:
            flight.landed.wait()
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.begun and not flight.landed.is_set():
                self._drop(question, flight)
                flight.thread.shutdown()  # type: ignore[union-attr]
        return flight.outcome  # type: ignore[return-value]

    def _drop(self, question: Hashable, flight: _Flight) -> None:
        if self._flights.get(question) is flight:
            del self._flights[question]

    @staticmethod
    def _fly(flight: _Flight, ask: Ask) -> None:
        try:
            flight.outcome = ask(flight.begin)
        except Exception as error:
            flight.outcome = Outcome(error=error)

    def _land(self, question: Hashable, flight: _Flight) -> None:
        """The thread has ended; called in it."""
        outcome = flight.outcome
        if outcome is None:
            # Somebody shut the thread down: its callers may ask again.
            outcome = flight.outcome = Outcome(
                error=socket.gaierror(socket.EAI_AGAIN, "the look-up was interrupted"), ttl_s=0
            )
        if self._flights.get(question) is flight:
            # After forget() it is not: what was asked before that is not to be known.
            del self._flights[question]
            self.cache.put(question, outcome, self._seconds(outcome))
        flight.landed.set()

    def _seconds(self, outcome: Outcome) -> float:
        """How long an outcome is kept."""
        error = outcome.error
        if error is not None and (type(error), getattr(error, "errno", None)) not in _CERTAIN:
            return 0
        if outcome.ttl_s is not None:
            return min(outcome.ttl_s, LONGEST_TTL_S)
        return self.found_s if error is None else self.failed_s


def check_seconds(seconds: float, what: str) -> None:
    """Raise TypeError or ValueError for what is no number of seconds."""
    seconds_to_ticks(seconds, what=what)
    if seconds < 0:
        raise ValueError(f"{what} must be 0 seconds or more, got {seconds!r}")
