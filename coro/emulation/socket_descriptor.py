"""The readiness of an emulated socket, for which any number of threads may wait.

The loop knows one reader and one writer.  Further ones queue; whoever leaves the place hands it to the next, so
that of a hundred threads in accept() each connection wakes one or two.

Invariant: while somebody queues, somebody holds the place, or was handed it and is about to run.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable

from coro.descriptor_state import READABLE, WRITABLE
from coro.descriptors import Descriptor
from coro.emulation.place import may_park
from coro.emulation.waiting import TimeLeft, wait_fd, wait_in_os_thread
from coro.exceptions import ClosedError, SimultaneousError
from coro.loop import loop
from coro.poller.base import READ, WRITE
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timed import park_timed

__all__ = ["SharedDescriptor"]


class _Turn:
    """One thread in the queue."""

    __slots__ = ("granted", "thread")

    def __init__(self, thread: ThreadState) -> None:
        self.thread = thread
        self.granted = False

    def is_granted(self) -> bool:
        return self.granted


class _Place:
    """Where one thread waits in one direction, and those who want to be there next.

    held: whether somebody is there who will hand it on.
    """

    __slots__ = ("held", "queue")

    def __init__(self) -> None:
        self.held = False
        self.queue: deque[_Turn] | None = None

    def wait_turn(self, kind: str, target: object, timeout: float | None) -> None:
        """Park until the place is handed over.  An interrupted caller hands on what it was handed."""
        if self.queue is None:
            self.queue = deque()
        turn = _Turn(scheduler.current_thread(kind))
        self.queue.append(turn)
        try:
            park_timed(kind, target, timeout, turn.is_granted)
        except BaseException:
            if turn.granted:
                self.hand_on()
            else:
                self.queue.remove(turn)
            raise

    def hand_on(self) -> None:
        """Wake the next."""
        if self.queue:
            turn = self.queue.popleft()
            turn.granted = True
            scheduler.wake(turn.thread)


class SharedDescriptor(Descriptor):
    """A descriptor of which plain Python expects that everybody may wait for it."""

    __slots__ = ("_reading", "_writing", "twice")

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        # Whether there is, or was, another socket object on the same number.
        self.twice = False
        self._reading = _Place()
        self._writing = _Place()

    def wait_readable(self, timeout: float | None = None) -> None:
        """Park until a read may succeed; the caller tries, and comes back if it does not.

        timeout: seconds, None for ever.  In another OS thread than the loop's it blocks that one.
        Yields.  Raises coro.TimeoutError, OSError (EBADF when the socket was closed).
        """
        self._wait(self._reading, READ, timeout, super().wait_readable)

    def wait_writable(self, timeout: float | None = None) -> None:
        """Park until a write may succeed.  As wait_readable()."""
        self._wait(self._writing, WRITE, timeout, super().wait_writable)

    def _wait(self, place: _Place, event: int, timeout: float | None, hold: Callable[[float | None], None]) -> None:
        if not may_park():
            self._wait_in_os_thread(event, timeout)
            return
        if place.held:
            left = TimeLeft(timeout)
            while place.held:
                place.wait_turn("read" if event == READ else "write", self, left.seconds())
                if self.closed or (self.readable if event == READ else self.writable):
                    # There may be enough for several.
                    place.hand_on()
                    self._check_open()
                    return
            timeout = left.seconds()
        place.held = True
        try:
            hold(timeout)
        except SimultaneousError:
            # Somebody waits for this number by other means.
            wait_fd(self.fd, event, timeout)
            self._set_flags(event)
        except ClosedError:
            self._check_open()
            raise
        finally:
            place.held = False
            if place.queue:
                place.hand_on()

    def _check_open(self) -> None:
        if self.closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def _set_flags(self, events: int) -> None:
        if events & READ:
            self.readable = True
        if events & WRITE:
            self.writable = True

    def _wait_in_os_thread(self, event: int, timeout: float | None) -> None:
        self._check_open()
        wait_in_os_thread(self.fd, event, timeout)
        self._check_open()
        self._set_flags(event)
        if self.registered and loop.running:
            # This OS thread may have cleared a flag that the loop had just set for a thread of its own.
            loop.post(self._report, READABLE if event == READ else WRITABLE)

    def _report(self, events: int) -> None:
        """As the loop does when the poller reports `events`."""
        if events & READABLE:
            self.readable = True
            waiter = self.reader
        else:
            self.writable = True
            waiter = self.writer
        if waiter is not None:
            scheduler.wake(waiter)
