"""Waiting of several threads at one TLS connection.

TLS mixes the directions: a handshake inside a write waits to read, a new key inside a read waits to write.  Then
two threads want the same event of one descriptor, which has room for one reader and one writer.  Whoever finds the
place taken stands by, and tries again whenever somebody's wait has ended.

Invariant: whoever leaves a place rouses those who stand by; so nobody's wake-up is lost to another's wait.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from greenlet import getcurrent

from coro.clock import ticks_per_sec
from coro.exceptions import TimeoutError
from coro.loop import loop
from coro.poller.base import READ, WRITE
from coro.scheduler import scheduler
from coro.socket.base import CoroSocket
from coro.state import ThreadState
from coro.timed import park_timed

__all__ = ["WaitingSocket"]

T = TypeVar("T")

# Somebody may stand in the place who rouses nobody, by wait_for() of the bare number: then ask again.
_LONGEST_STANDBY_S = 1.0


class _Standby:
    """A thread that waits until somebody leaves a place."""

    __slots__ = ("roused", "thread")

    def __init__(self, thread: ThreadState) -> None:
        self.thread = thread
        self.roused = False

    def is_roused(self) -> bool:
        return self.roused


class WaitingSocket(CoroSocket):
    """A socket on which an operation may wait for either direction; and the state of TLS, in slots for speed."""

    __slots__ = ("_crossers", "_drained", "_ended", "_owed", "_sslobj", "_standbys", "_writer")

    # OpenSSL's side of the connection; None before and after TLS.
    _sslobj: Any
    # Reading: OpenSSL holds nothing, so what it has to give depends on the kernel alone.
    _drained: bool
    # Reading: the peer has said that no more will come.
    _ended: bool
    # Writing: the thread that is in the middle of it.
    _writer: Any
    # Writing: the piece whose record OpenSSL has begun to send, if it was left at that.
    _owed: bytes | None
    # Threads that wait for the direction that is not their own.
    _crossers: set[ThreadState] | None
    # Who waits until another's wait has ended.
    _standbys: list[_Standby] | None

    def _wait_own(self, event: int, deadline: int | None) -> None:
        """Wait in the operation's own direction.

        event: READ or WRITE.  deadline: ticks, None for never.
        Yields.  Raises the builtin TimeoutError, SimultaneousError, ClosedError.
        """
        if self._crossers:
            me = getattr(getcurrent(), "thread", None)
            if me is not None and self._holder(event) in self._crossers:
                self._stand_by(me, event, deadline)
                return
        try:
            self._wait_ready(event, deadline)
        finally:
            if self._standbys:
                self._rouse()

    def _wait_either(self, event: int, deadline: int | None) -> None:
        """Wait for a direction that may be another thread's.  As _wait_own(), but never SimultaneousError."""
        me = getattr(getcurrent(), "thread", None)
        if me is not None and self._holder(event) is not None:
            self._stand_by(me, event, deadline)
            return
        if self._crossers is None:
            self._crossers = set()
        if me is not None:
            self._crossers.add(me)
        try:
            self._wait_ready(event, deadline)
        finally:
            self._crossers.discard(me)
            if self._standbys:
                self._rouse()

    def _persevere(self, operation: Callable[[], T], deadline: int | None) -> T:
        """Do an operation of OpenSSL's again after every wait that it asks for."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                event = READ
            except ssl.SSLWantWriteError:
                event = WRITE
            self._wait_either(event, deadline)

    def _holder(self, event: int) -> ThreadState | None:
        descriptor = self._descriptor
        return descriptor.reader if event == READ else descriptor.writer

    def _wait_ready(self, event: int, deadline: int | None) -> None:
        left = self._left_until(deadline)
        descriptor = self._descriptor
        try:
            if event == READ:
                descriptor.wait_readable(left)
            else:
                descriptor.wait_writable(left)
        except TimeoutError:
            self._timed_out()

    def _stand_by(self, me: ThreadState, event: int, deadline: int | None) -> None:
        """Park until somebody's wait at this socket has ended; the caller tries again."""
        left = self._left_until(deadline)
        standby = _Standby(me)
        if self._standbys is None:
            self._standbys = []
        self._standbys.append(standby)
        limit = _LONGEST_STANDBY_S if left is None else min(left, _LONGEST_STANDBY_S)
        try:
            park_timed("read" if event == READ else "write", self._descriptor, limit, standby.is_roused)
        except TimeoutError:
            # Whether the caller's own time is over is seen at its next wait.
            return
        finally:
            self._standbys.remove(standby)

    def _rouse(self) -> None:
        """Have everybody who stands by try again."""
        if not scheduler.in_loop_os_thread():
            loop.post(self._rouse)
            return
        for standby in self._standbys or ():
            standby.roused = True
            scheduler.wake(standby.thread)

    def _left_until(self, deadline: int | None) -> float | None:
        """Seconds; raises the builtin TimeoutError if none is left."""
        if deadline is None:
            return None
        left = (deadline - scheduler.clock()) / ticks_per_sec
        if left <= 0:
            self._timed_out()
        return left
