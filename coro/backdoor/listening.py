"""One listener of the backdoor: a Unix socket with its place in the file system, or a TCP socket."""

from __future__ import annotations

import socket

from coro.backdoor.binding import BoundSocket
from coro.descriptors import Descriptor, descriptors
from coro.loop import loop

__all__ = ["ListeningSocket"]


class ListeningSocket:
    """One listener, shared with the sentinel."""

    __slots__ = ("bound", "descriptor", "is_lost", "is_unix", "sock")

    def __init__(self, listener: BoundSocket | socket.socket) -> None:
        self.bound = listener if isinstance(listener, BoundSocket) else None
        self.sock = listener.socket if isinstance(listener, BoundSocket) else listener
        self.is_unix = self.sock.family == socket.AF_UNIX
        self.descriptor = Descriptor(self.sock.fileno())
        # Its file was found missing, and that was told.
        self.is_lost = False

    @property
    def address(self) -> str | tuple[str, int]:
        """The path of a Unix socket, or (host, port)."""
        if self.bound is not None:
            return self.bound.path
        name = self.sock.getsockname()
        return (name[0], name[1])

    def close(self, *, forget: bool = False) -> None:
        """Stop listening.  forget: in a forked child, whose parent goes on."""
        # The child's poller may still be its parent's, and what is unregistered there is so for both.
        if loop.running and self.descriptor.registered and not forget:
            descriptors.close(self.descriptor)
        if self.bound is None:
            self.sock.close()
        elif forget:
            self.bound.forget()
        else:
            self.bound.close()
