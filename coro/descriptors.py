"""Who waits for which descriptor, and what is known of its readiness.

A descriptor is registered once, edge-triggered, when a socket first has to wait on it.  The poller sets the flags
and wakes waiters; an operation tries at once only if its flag is set, and clears it when the kernel says EAGAIN
(or when a read of a plain TCP stream came back short, see `coro.socket`).  So the usual request/response turn
costs one recv, one send and its share of one poll: no EAGAIN, no exception.

A spurious readiness report is harmless: it only means "try".  A missed one would hang a thread, so flags start
out set, hang-ups stay, and connect() resets everything.

Invariants: `table[key]` is the one Descriptor that the poller's reports for that key go to; it has at most one
waiting reader and one waiting writer.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from greenlet import getcurrent

from coro.exceptions import ClosedError, SimultaneousError
from coro.poller import Poller
from coro.poller.base import ERROR, HANGUP, READ, READ_HANGUP, URGENT, WRITE
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timed import park_timed

__all__ = ["Descriptor", "Descriptors", "Handler", "descriptors"]

# What the loop calls with (fd, events) for descriptors that have a handler instead of waiting threads.
Handler = Callable[[int, int], object]

_READABLE = READ | URGENT | READ_HANGUP | HANGUP | ERROR
_WRITABLE = WRITE | HANGUP | ERROR
# Looked up once: waiting is on the hot path.
park = scheduler.park
_HANGUP = READ_HANGUP | HANGUP | ERROR


class Descriptor:
    """Readiness of one descriptor, and its waiters.

    Written by the socket operations of the threads and, between them, by the loop.
    """

    __slots__ = (
        "closed",
        "edge",
        "fd",
        "handler",
        "hangup",
        "readable",
        "reader",
        "registered",
        "urgent",
        "writable",
        "writer",
    )

    def __init__(self, fd: int) -> None:
        self.fd = fd
        # "Try": true until an operation was refused.
        self.readable = True
        self.writable = True
        # The peer has closed, or the socket failed: a short read no longer means "drained".
        self.hangup = False
        # Urgent data was announced: a read may stop short of what is buffered.
        self.urgent = False
        self.reader: ThreadState | None = None
        self.writer: ThreadState | None = None
        self.handler: Handler | None = None
        self.registered = False
        # Registered by a socket of ours for good, rather than for one wait_for() at a time.
        self.edge = False
        self.closed = False

    def __repr__(self) -> str:
        return f"<descriptor {self.fd} reader={self.reader!r} writer={self.writer!r}>"

    def reset(self) -> None:
        """Nothing is known any more: before a socket connects (again)."""
        self.readable = self.writable = True
        self.hangup = self.urgent = False

    def wait_readable(self, timeout: float | None = None) -> None:
        """Park until the poller reports this descriptor readable, or hung up.

        timeout: seconds, None for ever.
        Yields.  Raises SimultaneousError, ClosedError, coro.TimeoutError, OSError (EPERM, EBADF) at registration.
        """
        try:
            me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            scheduler.refuse("reading from a descriptor that is not ready")
        if self.reader is not None:
            raise SimultaneousError(me, self.reader, ("read", self.fd))
        if not self.registered:
            descriptors.register(self)
        self.reader = me
        try:
            if timeout is None:
                # Whoever schedules the thread otherwise: only the poller's report ends the wait.
                while self.reader is me:
                    park("read", self)
            else:
                park_timed("read", self, timeout, lambda: self.reader is not me)
        except BaseException:
            if self.reader is me:
                self.reader = None
            raise
        me.selfish_acts = me.max_selfish_acts
        if self.closed:
            raise ClosedError(f"descriptor {self.fd} was closed while {me!r} was waiting to read", self.fd)

    def wait_writable(self, timeout: float | None = None) -> None:
        """Park until the poller reports this descriptor writable, or hung up.  As wait_readable()."""
        try:
            me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            scheduler.refuse("writing to a descriptor that is not ready")
        if self.writer is not None:
            raise SimultaneousError(me, self.writer, ("write", self.fd))
        if not self.registered:
            descriptors.register(self)
        self.writer = me
        try:
            if timeout is None:
                while self.writer is me:
                    park("write", self)
            else:
                park_timed("write", self, timeout, lambda: self.writer is not me)
        except BaseException:
            if self.writer is me:
                self.writer = None
            raise
        me.selfish_acts = me.max_selfish_acts
        if self.closed:
            raise ClosedError(f"descriptor {self.fd} was closed while {me!r} was waiting to write", self.fd)


class Descriptors:
    """The table of descriptors that the poller knows."""

    __slots__ = ("poller", "table")

    def __init__(self) -> None:
        self.table: dict[int, Descriptor] = {}
        # Set by the loop while it runs.
        self.poller: Poller | None = None

    def _running_poller(self, what: str) -> Poller:
        if self.poller is None:
            scheduler.refuse(what)
        return self.poller

    def register(self, descriptor: Descriptor) -> None:
        """Register a socket's descriptor for good.

        Whatever a former owner of the number left in the table is evicted: sockets are also closed by the
        collector and by os.close().  Raises ClosedError (closed here), OSError (closed elsewhere).
        """
        fd = descriptor.fd
        if descriptor.closed or fd < 0:
            raise ClosedError(f"descriptor {fd} is closed", fd)
        poller = self._running_poller("waiting for a descriptor")
        former = self.table.get(fd)
        if former is not None and former is not descriptor:
            self._dismiss(former)
        self._polled(poller.add, fd)
        self.table[fd] = descriptor
        descriptor.registered = descriptor.edge = True

    def renew(self, descriptor: Descriptor) -> None:
        """Have the present readiness of a registered descriptor reported again."""
        self._polled(self._running_poller("connect()").rearm, descriptor.fd, READ | WRITE | URGENT)

    def wait(self, fd: int, events: int, timeout: float | None = None) -> int:
        """Park until `fd` is ready for one of `events` (READ | WRITE), level-style: asked of the kernel anew.

        timeout: seconds, None for ever.
        Returns the events that are ready.  Yields.  Raises SimultaneousError, ClosedError, coro.TimeoutError,
        PermissionError for what cannot be polled, OSError (EBADF).
        """
        me = scheduler.current_thread("waiting for a descriptor")
        poller = self._running_poller("waiting for a descriptor")
        descriptor = self.table.get(fd)
        if descriptor is None:
            descriptor = Descriptor(fd)
        self._refuse_second(me, descriptor, events)
        wanted = events
        if descriptor.reader is not None:
            wanted |= READ
        if descriptor.writer is not None:
            wanted |= WRITE
        if descriptor.edge:
            wanted = READ | WRITE | URGENT
        self._polled(poller.rearm, fd, wanted)
        self.table[fd] = descriptor
        descriptor.registered = True
        waiter = _Waiter(me, descriptor, events)
        try:
            park_timed(
                "read" if events == READ else "write" if events == WRITE else "ready",
                descriptor,
                timeout,
                waiter.done,
            )
        finally:
            waiter.leave()
        me.selfish_acts = me.max_selfish_acts
        if descriptor.closed:
            raise ClosedError(f"descriptor {fd} was closed while {me!r} was waiting for it", fd)
        return waiter.ready

    def set_handler(self, fd: int, events: int, handler: Handler | None) -> None:
        """Have the loop call `handler(fd, events)` whenever `fd` becomes ready; None takes the handler away.

        Edge-triggered.  Raises SimultaneousError if a thread waits for the descriptor, and as wait().
        """
        if handler is None:
            descriptor = self.table.get(fd)
            if descriptor is not None and descriptor.handler is not None:
                self._forget(descriptor)
            return
        poller = self._running_poller("set_handler()")
        descriptor = self.table.get(fd) or Descriptor(fd)
        other = descriptor.reader or descriptor.writer
        if other is not None:
            raise SimultaneousError(handler, other, ("handler", fd))
        self._polled(poller.rearm, fd, events)
        descriptor.handler = handler
        descriptor.registered = True
        self.table[fd] = descriptor

    def close(self, descriptor: Descriptor) -> None:
        """The descriptor is about to be closed by us: waiters get ClosedError, the poller forgets it."""
        if descriptor.closed:
            return
        if descriptor.registered:
            self._forget(descriptor)
        self._dismiss(descriptor)

    def adopt(self, key: int) -> Descriptor:
        """Enter a key that the poller registered itself (a process) into the table."""
        descriptor = Descriptor(key)
        descriptor.registered = True
        self.table[key] = descriptor
        return descriptor

    def dispatch(self, ready: list[tuple[int, int]]) -> None:
        """Set flags and wake waiters for what the poller reported.  Only the loop calls this."""
        table = self.table
        runnable = scheduler.ready
        for key, events in ready:
            descriptor = table.get(key)
            if descriptor is None:
                # Somebody closed it behind our back while a duplicate keeps it registered.
                continue
            if events & _HANGUP:
                descriptor.hangup = True
            if events & URGENT:
                descriptor.urgent = True
            if events & _READABLE:
                descriptor.readable = True
                thread = descriptor.reader
                if thread is not None:
                    descriptor.reader = None
                    if not thread.scheduled:
                        thread.scheduled = True
                        runnable.append(thread)
            if events & _WRITABLE:
                descriptor.writable = True
                thread = descriptor.writer
                if thread is not None:
                    descriptor.writer = None
                    if not thread.scheduled:
                        thread.scheduled = True
                        runnable.append(thread)
            if descriptor.handler is not None:
                self._call_handler(descriptor, events)

    def dismiss_all(self) -> None:
        """The loop ends: nobody waits any more, and every descriptor is unregistered."""
        self.poller = None
        for descriptor in self.table.values():
            descriptor.registered = descriptor.edge = False
            descriptor.reader = descriptor.writer = None
            descriptor.handler = None
            descriptor.reset()
        self.table.clear()

    def _call_handler(self, descriptor: Descriptor, events: int) -> None:
        handler = descriptor.handler
        try:
            handler(descriptor.fd, events)  # type: ignore[misc]
        except BaseException as error:
            # A failing hook is reported once and removed; it cannot stop the loop.
            self._forget(descriptor)
            scheduler.note_interrupt(error)
            error.add_note(f"the handler of descriptor {descriptor.fd} failed and was removed")
            scheduler.hook_failed(f"handler of descriptor {descriptor.fd}", error)

    def _forget(self, descriptor: Descriptor) -> None:
        descriptor.registered = descriptor.edge = False
        descriptor.handler = None
        if self.table.get(descriptor.fd) is descriptor:
            del self.table[descriptor.fd]
            if self.poller is not None:
                self.poller.remove(descriptor.fd)

    @staticmethod
    def _dismiss(descriptor: Descriptor) -> None:
        """Wake the waiters of a descriptor that is no more; they raise ClosedError."""
        descriptor.closed = True
        descriptor.registered = False
        for thread in (descriptor.reader, descriptor.writer):
            if thread is not None:
                scheduler.wake(thread)
        descriptor.reader = descriptor.writer = None

    @staticmethod
    def _refuse_second(me: ThreadState, descriptor: Descriptor, events: int) -> None:
        if events & READ and descriptor.reader is not None:
            raise SimultaneousError(me, descriptor.reader, ("read", descriptor.fd))
        if events & WRITE and descriptor.writer is not None:
            raise SimultaneousError(me, descriptor.writer, ("write", descriptor.fd))
        if descriptor.handler is not None:
            raise SimultaneousError(me, descriptor.handler, ("handler", descriptor.fd))

    @staticmethod
    def _polled(change: Callable[..., None], fd: int, *arguments: int) -> None:
        try:
            change(fd, *arguments)
        except PermissionError as error:
            raise PermissionError(
                errno.EPERM,
                f"descriptor {fd} cannot be polled (a regular file?); use in_os_thread() to read or write it",
            ) from error
        except OSError as error:
            if error.errno == errno.EBADF:
                raise OSError(errno.EBADF, f"{os.strerror(errno.EBADF)}: {fd} is not an open descriptor") from None
            raise


class _Waiter:
    """One thread in wait_for(): it may stand as reader, as writer, or as both."""

    __slots__ = ("_descriptor", "_events", "_me", "ready")

    def __init__(self, me: ThreadState, descriptor: Descriptor, events: int) -> None:
        self._me = me
        self._descriptor = descriptor
        self._events = events
        self.ready = 0
        if events & READ:
            descriptor.reader = me
        if events & WRITE:
            descriptor.writer = me

    def done(self) -> bool:
        descriptor, events, me = self._descriptor, self._events, self._me
        if events & READ and descriptor.reader is not me:
            self.ready |= READ
        if events & WRITE and descriptor.writer is not me:
            self.ready |= WRITE
        return self.ready != 0

    def leave(self) -> None:
        descriptor, me = self._descriptor, self._me
        if descriptor.reader is me:
            descriptor.reader = None
        if descriptor.writer is me:
            descriptor.writer = None


descriptors = Descriptors()
