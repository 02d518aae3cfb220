"""`coro.sock`: the socket that users see; what it adds to receiving and sending is accept."""

from __future__ import annotations

import _socket
import os
from typing import Any, Self

from coro.socket.receiving import ReceivingSocket
from coro.socket.sending import SendingSocket

__all__ = ["sock"]

_accept = _socket.socket._accept  # type: ignore[attr-defined]


class sock(ReceivingSocket, SendingSocket):
    """A TCP, UDP or Unix socket; everything that takes a `socket.socket` takes it.

    Unlike the standard library's, send() and write() send everything, as Shrapnel's do.

    One thread may read while another writes; a second reader, or writer, gets SimultaneousError.  A thread that is
    interrupted while it waits loses nothing: what had arrived is still there for the next operation.
    """

    __slots__ = ()

    def accept(self) -> tuple[Self, Any]:
        """Accept a connection: (socket, address of the peer).

        Yields if there is none.  Raises OSError as accept(2): the caller decides what to do about EMFILE.  A thread
        that is interrupted at the moment of a connection's arrival leaves it to the next accept().
        """
        fd, address = self._read(_accept)
        return self._accepted(fd), address

    def accept_many(self, max: int = 0) -> list[tuple[Self, Any]]:
        """Accept all connections that are there, at least one: a list of what accept() returns.

        max: how many at most; 0 for no limit.  Yields if there is none.
        """
        if not isinstance(max, int):
            raise TypeError(f"accept_many() needs a number of connections as an int, got {max!r}")
        if max < 0:
            raise ValueError(f"accept_many() needs 0 connections or more, got {max}")
        accepted = [self.accept()]
        descriptor = self._descriptor
        while descriptor.readable and (max == 0 or len(accepted) < max):
            try:
                fd, address = _accept(self)
                accepted.append((self._accepted(fd), address))
            except BlockingIOError:
                descriptor.readable = False
            except OSError:
                # What was accepted counts; the next call meets the error again if it lasts.
                break
        return accepted

    def _accepted(self, fd: int) -> Self:
        try:
            return self.__class__(self.family, self.type, self.proto, fd)
        except BaseException:
            os.close(fd)
            raise
