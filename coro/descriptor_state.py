"""What is known of a descriptor, and who waits for it.

Data, and the one who looks on: `LevelWait`, which believes no flag but only what the poller reports after it began.
"""

from __future__ import annotations

from collections.abc import Callable

from coro.exceptions import SimultaneousError
from coro.poller.base import ERROR, HANGUP, READ, READ_HANGUP, URGENT, WRITE
from coro.state import ThreadState

__all__ = ["HUNG_UP", "READABLE", "UNUSUAL", "WRITABLE", "DescriptorState", "Handler", "LevelWait"]

# What the loop calls with (fd, events) for descriptors that have a handler instead of waiting threads.
Handler = Callable[[int, int], object]

READABLE = READ | URGENT | READ_HANGUP | HANGUP | ERROR
WRITABLE = WRITE | HANGUP | ERROR
HUNG_UP = READ_HANGUP | HANGUP | ERROR
UNUSUAL = HUNG_UP | URGENT


class DescriptorState:
    """Readiness of one descriptor, and its waiters.

    Written by the operations of the threads and, between them, by the loop.
    """

    __slots__ = (
        "closed",
        "edge",
        "fd",
        "handler",
        "handler_events",
        "hangup",
        "heir",
        "level_waits",
        "readable",
        "reader",
        "registered",
        "reported",
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
        self.handler_events = 0
        # How many wait() calls look at `reported`: what the poller said since the latest of them began.
        self.level_waits = 0
        self.reported = 0
        self.registered = False
        # Registered by a socket of ours for good, rather than for one wait() at a time.
        self.edge = False
        self.closed = False
        # The descriptor object that took over this one's waiters, if any.
        self.heir: DescriptorState | None = None

    def __repr__(self) -> str:
        return f"<descriptor {self.fd} reader={self.reader!r} writer={self.writer!r}>"

    def reset(self) -> None:
        """Nothing is known any more: before a socket connects (again)."""
        self.readable = self.writable = True
        self.hangup = self.urgent = False

    def refuse_second(self, me: object, events: int) -> None:
        """Raise SimultaneousError if somebody else waits for one of `events`."""
        if events & READ and self.reader is not None:
            raise SimultaneousError(me, self.reader, ("read", self.fd))
        if events & WRITE and self.writer is not None:
            raise SimultaneousError(me, self.writer, ("write", self.fd))
        if events & self.handler_events:
            raise SimultaneousError(me, self.handler, ("handler", self.fd))


class LevelWait:
    """One thread in wait(): it may stand as reader, as writer, or as both."""

    __slots__ = ("_descriptor", "_events", "_wanted", "ready")

    def __init__(self, me: ThreadState, descriptor: DescriptorState, events: int) -> None:
        self._descriptor = descriptor
        self._events = events
        self._wanted = (READABLE if events & READ else 0) | (WRITABLE if events & WRITE else 0)
        self.ready = 0
        descriptor.reported = 0
        descriptor.level_waits += 1
        if events & READ:
            descriptor.reader = me
        if events & WRITE:
            descriptor.writer = me

    @property
    def descriptor(self) -> DescriptorState:
        """Where the thread waits now: the object may have been taken over."""
        while self._descriptor.heir is not None:
            self._descriptor = self._descriptor.heir
        return self._descriptor

    def done(self) -> bool:
        descriptor = self.descriptor
        reported = descriptor.reported & self._wanted
        if reported & READABLE:
            self.ready |= self._events & READ
        if reported & WRITABLE:
            self.ready |= self._events & WRITE
        return self.ready != 0 or descriptor.closed

    def leave(self) -> None:
        descriptor = self.descriptor
        descriptor.level_waits -= 1
        if self._events & READ:
            descriptor.reader = None
        if self._events & WRITE:
            descriptor.writer = None
