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

from coro.descriptor_state import HUNG_UP, READABLE, UNUSUAL, WRITABLE, DescriptorState, Handler, LevelWait
from coro.exceptions import ClosedError, SimultaneousError
from coro.poller import Poller
from coro.poller.base import READ, URGENT, WRITE
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timed import park_timed

__all__ = ["Descriptor", "Descriptors", "Handler", "descriptors"]

_EVERYTHING = READ | WRITE | URGENT
# Looked up once: waiting is on the hot path.
park = scheduler.park


class Descriptor(DescriptorState):
    """A descriptor on which threads wait: by its flags, edge-triggered."""

    __slots__ = ()

    def wait_readable(self, timeout: float | None = None) -> None:
        """Park until the poller reports this descriptor readable, or hung up.

        For a caller whom the kernel has just refused: what was reported before that is no longer believed.
        timeout: seconds, None for ever.
        Yields.  Raises SimultaneousError, ClosedError, coro.TimeoutError, OSError (EPERM, EBADF) at registration.
        """
        try:
            me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            me = scheduler.refuse("reading from a descriptor that is not ready")
        if not self.registered:
            # This may bring along somebody who waits already.
            descriptors.register(self)
        if self.reader is not None or self.handler is not None:
            self.refuse_second(me, READ)
        self.reader = me
        self.readable = False
        try:
            if timeout is None:
                # Whoever schedules the thread: only readiness ends the wait.
                while not (self.readable or self.closed):
                    park("read", self)
            elif not self.closed:
                park_timed("read", self, timeout, lambda: self.readable or self.closed)
        finally:
            self.reader = None
        me.selfish_acts = me.max_selfish_acts
        if self.closed:
            raise ClosedError(f"descriptor {self.fd} was closed while {me!r} was waiting to read", self.fd)

    def wait_writable(self, timeout: float | None = None) -> None:
        """Park until the poller reports this descriptor writable, or hung up.  As wait_readable()."""
        try:
            me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            me = scheduler.refuse("writing to a descriptor that is not ready")
        if not self.registered:
            descriptors.register(self)
        if self.writer is not None or self.handler is not None:
            self.refuse_second(me, WRITE)
        self.writer = me
        self.writable = False
        try:
            if timeout is None:
                while not (self.writable or self.closed):
                    park("write", self)
            elif not self.closed:
                park_timed("write", self, timeout, lambda: self.writable or self.closed)
        finally:
            self.writer = None
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
            # Whoever adopts the caller brings a loop.
            scheduler.refuse(what)
        return self.poller  # type: ignore[return-value]

    def register(self, descriptor: Descriptor) -> None:
        """Register a socket's descriptor for good.

        What stands in the table under the number either waits for the same open file, by wait(), and is taken over;
        or it is what a former owner left, for sockets are also closed by the collector and by os.close(): the
        kernel does not know the number then, and what was left is evicted.
        Raises ClosedError (closed by us), OSError (closed elsewhere).
        """
        fd = descriptor.fd
        if descriptor.closed or fd < 0:
            raise ClosedError(f"descriptor {fd} is closed", fd)
        poller = self._running_poller("waiting for a descriptor")
        known = self._polled(poller.add, fd)
        former = self.table.get(fd)
        if former is not None and former is not descriptor:
            if not known:
                self._dismiss(former)
            elif former.edge:
                self._displace(former, fd)
            else:
                self._take_over(former, descriptor)
        self.table[fd] = descriptor
        descriptor.registered = descriptor.edge = True

    def wait(self, fd: int, events: int, timeout: float | None = None) -> int:
        """Park until `fd` is ready for one of `events` (READ | WRITE), level-style: asked of the kernel anew.

        timeout: seconds, None for ever.
        Returns the events that are ready.  Yields.  Raises SimultaneousError, ClosedError, coro.TimeoutError,
        PermissionError for what cannot be polled, OSError (EBADF).
        """
        me = scheduler.current_thread("waiting for a descriptor")
        descriptor = self._arm(fd, events, "waiting for a descriptor")
        descriptor.refuse_second(me, events)
        waiter = LevelWait(me, descriptor, events)
        kind = "read" if events == READ else "write" if events == WRITE else "ready"
        try:
            park_timed(kind, descriptor, timeout, waiter.done)
        finally:
            waiter.leave()
        me.selfish_acts = me.max_selfish_acts
        if waiter.descriptor.closed:
            raise ClosedError(f"descriptor {fd} was closed while {me!r} was waiting for it", fd)
        return waiter.ready

    def set_handler(self, fd: int, events: int, handler: Handler | None) -> None:
        """Have the loop call `handler(fd, events)` whenever `fd` becomes ready; None takes the handler away.

        Edge-triggered.  Raises SimultaneousError if a thread waits for the same, and as wait().
        """
        if handler is None:
            descriptor = self.table.get(fd)
            if descriptor is not None:
                self._drop_handler(descriptor)
            return
        descriptor = self._arm(fd, events, "set_handler()")
        # A new handler replaces the old one; threads that wait go first.
        descriptor.refuse_second(handler, events & ~descriptor.handler_events)
        descriptor.handler = handler
        descriptor.handler_events = events

    def close(self, descriptor: Descriptor) -> None:
        """The descriptor is about to be closed by us: waiters get ClosedError, the poller forgets it."""
        if descriptor.closed:
            return
        other = self.table.get(descriptor.fd)
        if other is not None:
            del self.table[descriptor.fd]
            self._forget_number(descriptor.fd)
            if other is not descriptor:
                # wait() or set_handler() by number, on what is this socket's.
                self._dismiss(other)
        self._dismiss(descriptor)

    def forget(self, descriptor: Descriptor) -> None:
        """Take an adopted key out of the table again; the poller has been told by who adopted it."""
        if self.table.get(descriptor.fd) is descriptor:
            del self.table[descriptor.fd]

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
            if events & UNUSUAL:
                if events & HUNG_UP:
                    descriptor.hangup = True
                if events & URGENT:
                    descriptor.urgent = True
            if descriptor.level_waits:
                descriptor.reported |= events
            if events & READABLE:
                descriptor.readable = True
                thread = descriptor.reader
                if thread is not None and not thread.scheduled:
                    thread.scheduled = True
                    runnable.append(thread)
            if events & WRITABLE:
                descriptor.writable = True
                thread = descriptor.writer
                if thread is not None and not thread.scheduled:
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
            descriptor.handler_events = descriptor.level_waits = 0
            descriptor.reset()
        self.table.clear()

    def _arm(self, fd: int, events: int, what: str) -> Descriptor:
        """Have the kernel report `events` of `fd` anew, beside what is waited for already; the table's entry."""
        poller = self._running_poller(what)
        descriptor = self.table.get(fd)
        wanted = events
        if descriptor is not None:
            wanted |= descriptor.handler_events
            if descriptor.edge:
                wanted = _EVERYTHING
            else:
                wanted |= (READ if descriptor.reader is not None else 0) | (
                    WRITE if descriptor.writer is not None else 0
                )
        known = self._polled(poller.rearm, fd, wanted)
        if descriptor is not None and not known:
            # Closed behind our back, and the number is another's: whoever waits for the former file waits in vain.
            self._dismiss(descriptor)
            descriptor = None
        if descriptor is None:
            descriptor = self.table[fd] = Descriptor(fd)
            descriptor.registered = True
        return descriptor

    def _call_handler(self, descriptor: Descriptor, events: int) -> None:
        wanted = (READABLE if descriptor.handler_events & READ else 0) | (
            WRITABLE if descriptor.handler_events & WRITE else 0
        )
        handler = descriptor.handler
        if handler is None or not events & wanted:
            return
        try:
            handler(descriptor.fd, events)
        except BaseException as error:
            # A failing hook is reported once and removed; it cannot stop the loop.
            self._drop_handler(descriptor)
            if not scheduler.note_interrupt(error):
                scheduler.hook_failed(f"handler of descriptor {descriptor.fd}", error)

    def _drop_handler(self, descriptor: Descriptor) -> None:
        if descriptor.handler is None:
            return
        descriptor.handler = None
        descriptor.handler_events = 0
        if descriptor.edge or descriptor.reader is not None or descriptor.writer is not None:
            return
        descriptor.registered = False
        if self.table.get(descriptor.fd) is descriptor:
            del self.table[descriptor.fd]
            self._forget_number(descriptor.fd)

    def _forget_number(self, fd: int) -> None:
        """Have the poller forget a descriptor that is not in the table any more."""
        if self.poller is not None:
            try:
                self.poller.remove(fd)
            except OSError:
                # The kernel forgets it when it is closed; until then, reports that nobody waits for are dropped.
                # Waiters are to be told, and the descriptor to be closed, all the same.
                return

    @staticmethod
    def _take_over(former: Descriptor, heir: Descriptor) -> None:
        """Let the waiters of `former` wait at `heir`, which stands for the same open file from now on."""
        heir.reader, former.reader = former.reader, None
        heir.writer, former.writer = former.writer, None
        heir.handler, former.handler = former.handler, None
        heir.handler_events, former.handler_events = former.handler_events, 0
        heir.level_waits, former.level_waits = former.level_waits, 0
        former.heir = heir
        former.registered = former.edge = False

    @staticmethod
    def _displace(former: Descriptor, fd: int) -> None:
        """Two sockets were made of one descriptor: who waits at the former keeps the second from waiting."""
        other = former.reader or former.writer or former.handler
        if other is not None:
            raise SimultaneousError(scheduler.current, other, ("descriptor", fd))
        former.registered = former.edge = False
        former.readable = former.writable = True

    @staticmethod
    def _dismiss(descriptor: Descriptor) -> None:
        """Wake the waiters of a descriptor that is no more; they raise ClosedError."""
        descriptor.closed = True
        descriptor.registered = descriptor.edge = False
        descriptor.handler = None
        descriptor.handler_events = 0
        for thread in (descriptor.reader, descriptor.writer):
            if thread is not None:
                scheduler.wake(thread)

    @staticmethod
    def _polled(change: Callable[..., bool], fd: int, *arguments: int) -> bool:
        """Tell the poller; returns whether it knew the descriptor already."""
        try:
            return change(fd, *arguments)
        except PermissionError as error:
            raise PermissionError(
                errno.EPERM,
                f"descriptor {fd} cannot be polled (a regular file?); use in_os_thread() to read or write it",
            ) from error
        except OSError as error:
            if error.errno == errno.EBADF:
                raise OSError(errno.EBADF, f"{os.strerror(errno.EBADF)}: {fd} is not an open descriptor") from None
            raise


descriptors = Descriptors()
