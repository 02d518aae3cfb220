"""create_connection(): connect to a host by its name, at whichever of its addresses answers first.

The world: a name has several addresses, of both IP versions, and some of them swallow what is sent to them; waiting
for one to fail takes two minutes.  So the addresses are tried in the order of RFC 8305 ("happy eyeballs"), each in
a thread of its own, the next one when the last has failed or 250 ms have passed.  The first connection wins.

Invariant: when the race is over, every socket but the winner's is closed, whatever ended it.
"""

from __future__ import annotations

import builtins
import socket
from itertools import chain, zip_longest
from typing import Any

from coro.clock import seconds_to_ticks
from coro.exceptions import ClosedError, TimeoutError
from coro.resolve import AddressInfo, getaddrinfo
from coro.runtime import spawn
from coro.scheduler import scheduler
from coro.socket.sock import sock
from coro.state import ThreadState
from coro.timed import park_timed
from coro.timeouts import timeout as timeout_scope

__all__ = ["STAGGER_S", "create_connection"]

# RFC 8305, section 8: Connection Attempt Delay.
STAGGER_S = 0.25


def create_connection(
    address: tuple[Any, Any],
    timeout: float | None = None,
    source_address: tuple[Any, ...] | None = None,
    *,
    all_errors: bool = False,
    stagger: float = STAGGER_S,
) -> sock:
    """Connect to (host, port) over TCP; returns the socket.  As socket.create_connection(), but races.

    timeout: seconds for all of it, the look-up included; the socket's timeout is set to it too.  None: for ever.
    source_address: what the socket is bound to before it connects.
    all_errors: if all addresses fail, raise an ExceptionGroup of their errors; else the last address's is raised.
    stagger: seconds that an address gets before the next one is tried beside it.
    Yields.  Raises OSError (ConnectionRefusedError …), socket.gaierror, the builtin TimeoutError; YieldFromMain
    outside a thread.  An interrupted caller leaves no socket open.
    """
    scheduler.current_thread("create_connection()")
    host, port = address
    for what, seconds in (("timeout", timeout), ("stagger", stagger)):
        if seconds is not None:
            seconds_to_ticks(seconds, what=what)
            if seconds < 0:
                raise ValueError(f"create_connection()'s {what} must be 0 seconds or more, got {seconds!r}")
    try:
        with timeout_scope(timeout):
            found = getaddrinfo(host, port, 0, socket.SOCK_STREAM)
            if not found:
                raise OSError(f"the look-up of {host!r} returned no address")
            connected = _Race(found, source_address, stagger).run(all_errors=all_errors)
    except TimeoutError as error:
        raise builtins.TimeoutError(f"connecting to {address!r} timed out after {timeout} s") from error
    connected.settimeout(timeout)
    return connected


def in_racing_order(found: list[AddressInfo]) -> list[AddressInfo]:
    """The addresses with the two families taking turns, beginning with the first one's (RFC 8305, section 4)."""
    first = found[0][0]
    ours = [info for info in found if info[0] == first]
    others = [info for info in found if info[0] != first]
    return [info for info in chain.from_iterable(zip_longest(ours, others)) if info is not None]


class _Race:
    """One create_connection(), after the look-up.

    winner: the socket that connected first, from then on.
    sockets: those of the attempts that are under way; each belongs to its thread until the race is over.
    errors: why attempts failed, by the number of their address.
    """

    def __init__(self, found: list[AddressInfo], source_address: tuple[Any, ...] | None, stagger: float) -> None:
        self.places = in_racing_order(found)
        self.source_address = source_address
        self.stagger = stagger
        self.owner: ThreadState = scheduler.current_thread("create_connection()")
        self.winner: sock | None = None
        self.is_over = False
        self.sockets: dict[int, sock] = {}
        self.errors: dict[int, OSError] = {}
        self.under_way = 0

    def __repr__(self) -> str:
        return f"<connecting to {', '.join(str(info[4]) for info in self.places)}>"

    def run(self, *, all_errors: bool) -> sock:
        try:
            for number in range(len(self.places)):
                self._start(number)
                is_last = number + 1 == len(self.places)
                self._wait(None if is_last else self.stagger)
                if self.winner is not None:
                    break
            while self.winner is None and self.under_way:
                self._wait(None)
            winner, self.winner = self.winner, None
        finally:
            self._end()
        if winner is not None:
            return winner
        errors = [self.errors[number] for number in sorted(self.errors)]
        try:
            if all_errors:
                raise ExceptionGroup(f"no address of {len(self.places)} could be connected to", errors)
            raise errors[-1]
        finally:
            # A traceback refers to this frame, which must not refer back.
            self.errors.clear()
            del errors

    def _start(self, number: int) -> None:
        thread = spawn(self._attempt, number, thread_name=f"connecting to {self.places[number][4]}")
        self.under_way += 1
        # Whatever ends it, also before it ran.
        thread.joiners = [lambda ended: self._attempt_ended(number)]

    def _wait(self, seconds: float | None) -> None:
        """Wait until one attempt has connected, or failed, or so many seconds have passed."""
        before = self.under_way
        try:
            park_timed("connect", self, seconds, lambda: self.winner is not None or self.under_way < before)
        except TimeoutError:
            # It may win still; the next one is started beside it.
            return

    def _attempt(self, number: int) -> None:
        if self.is_over:
            return
        family, type, proto, _, place = self.places[number]
        try:
            self.sockets[number] = attempt = sock(family, type, proto)
            if self.source_address is not None:
                attempt.bind(self.source_address)
            attempt.connect(place)
        except OSError as error:
            if not self.is_over:
                self.errors[number] = error
            return
        except ClosedError:
            if not self.is_over:
                raise
            # Somebody else won, or nobody waits for a winner any more.
            return
        if self.winner is None and not self.is_over:
            self.winner = self.sockets.pop(number)

    def _attempt_ended(self, number: int) -> None:
        self.under_way -= 1
        loser = self.sockets.pop(number, None)
        if loser is not None:
            _close(loser)
        if self.is_over:
            return
        if number not in self.errors and self.winner is None:
            # Shut down by somebody.
            self.errors[number] = ConnectionAbortedError(f"the attempt at {self.places[number][4]} was shut down")
        scheduler.wake(self.owner)

    def _end(self) -> None:
        """Close what did not win: who connects there is told, and ends."""
        self.is_over = True
        for loser in list(self.sockets.values()):
            _close(loser)
        if self.winner is not None:
            # The owner was interrupted at the moment of success.
            _close(self.winner)


def _close(loser: sock) -> None:
    try:
        loser.close()
    except OSError as error:
        # It is closed all the same.
        scheduler.hook_failed(f"closing of {loser!r} after its race", error)
