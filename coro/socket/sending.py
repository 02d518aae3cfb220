"""The sending half of `coro.sock`; see `coro.socket.receiving` for the rules.

Invariant: an operation that sends everything and is ended early says how far it got, in `sent_bytes`; without
that attribute nothing was sent.
send() is the hot path, written out in one piece.
"""

from __future__ import annotations

import _socket
import errno
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from greenlet import getcurrent

from coro.socket.address import Address, numeric_address
from coro.socket.base import NO_THREAD, CoroSocket, in_thread

__all__ = ["Buffer", "SendingSocket"]

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")

_send = _socket.socket.send
_sendto = _socket.socket.sendto
_sendmsg = _socket.socket.sendmsg

_MSG_DONTWAIT = socket.MSG_DONTWAIT
# The most buffers that one writev(2) takes.
_IOV_MAX = os.sysconf("SC_IOV_MAX")
# One call copies for less than 1 ms; after a few of them others get their turn.
_CHUNK_BYTES = 1 << 20


class SendingSocket(CoroSocket):
    """A socket that sends."""

    __slots__ = ()

    def send(self, data: Buffer, flags: int = 0) -> int:  # type: ignore[override]
        """Send all of `data`; returns its length in bytes.

        Yields while the peer does not take it.  Raises OSError, the builtin TimeoutError (over all of the data),
        SimultaneousError, ClosedError.  Whatever ends it early carries the number of bytes that were sent, if any,
        in its attribute `sent_bytes`.  With settimeout(0) or MSG_DONTWAIT it sends what there is room for.
        """
        if self._descriptor.writable:
            try:
                me = getcurrent().thread  # type: ignore[attr-defined]
            except NO_THREAD:
                # Outside a thread: what there is room for may be sent all the same.
                pass
            else:
                if me.selfish_acts <= 0:
                    self._renew_acts(me)
                me.selfish_acts -= 1
            try:
                sent = _send(self, data, flags)
            except BlockingIOError:
                self._descriptor.writable = False
                sent = -1
            # Of another type, the length may count something larger than bytes.
            if sent == len(data) and type(data) is bytes:
                return sent
            return self._send_rest(data, flags, sent)
        return self._send_rest(data, flags, -1)

    def _send_rest(self, data: Buffer, flags: int, sent: int) -> int:
        """Send what one call could not; `sent` is -1 if it took nothing, not even an empty datagram."""
        with memoryview(data) as whole, whole.cast("B") as view:
            size = len(view)
            if sent == size:
                return sent
            sent = max(sent, 0)
            if flags & _MSG_DONTWAIT or self._seconds == 0:
                return sent or _send(self, view, flags)
            descriptor = self._descriptor
            if not descriptor.writable and not in_thread():
                # Nobody polls on this behalf.
                descriptor.writable = True
            deadline = self._operation_deadline()
            # What is no stream goes in one piece.
            step = _CHUNK_BYTES if size > _CHUNK_BYTES and self.type == socket.SOCK_STREAM else size
            try:
                while True:
                    if not descriptor.writable:
                        self._wait_writable_until(deadline)
                    else:
                        # A peer that keeps up would let this run for long.
                        self._spend_act()
                    try:
                        with view[sent : sent + step] as rest:
                            sent += _send(self, rest, flags)
                    except BlockingIOError:
                        descriptor.writable = False
                    else:
                        if sent == size:
                            return size
            except BaseException as error:
                error.sent_bytes = sent  # type: ignore[attr-defined]
                raise

    def write(self, data: Buffer) -> int:
        """As send()."""
        return self.send(data)

    def sendall(self, data: Buffer, flags: int = 0) -> None:  # type: ignore[override]
        """As send(), returning None as the standard library's; BlockingIOError if it must not wait and would."""
        sent = self.send(data, flags)
        if (flags & _MSG_DONTWAIT or self._seconds == 0) and sent < memoryview(data).nbytes:
            error = BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            error.sent_bytes = sent  # type: ignore[attr-defined]
            raise error

    def sendto(self, data: Buffer, *arguments: Any) -> int:  # type: ignore[override]
        """sendto(data[, flags], address): send one datagram; returns the number of bytes.

        A host name is resolved without blocking the loop.  Yields if there is no room.
        """
        if not 1 <= len(arguments) <= 2:
            raise TypeError(f"sendto() takes data, flags and an address, got {1 + len(arguments)} arguments")
        address = numeric_address(self, arguments[-1])
        flags = arguments[0] if len(arguments) == 2 else 0
        return self._write(_sendto, data, flags, address, flags=flags, may_pause=True)

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Address = None
    ) -> int:
        """As sendmsg(2): send once, returns how many bytes were taken.  Yields if there is no room."""
        if address is not None:
            address = numeric_address(self, address)
        parts, ancillary = list(buffers), list(ancdata)
        return self._write(_sendmsg, parts, ancillary, flags, address, flags=flags, may_pause=address is not None)

    def writev(self, data: Iterable[Buffer]) -> int:
        """Send all of the buffers, in order; returns their length.  As send() otherwise."""
        views = [memoryview(part).cast("B") for part in data]
        total = sum(len(view) for view in views)
        deadline = self._operation_deadline()
        sent = 0
        try:
            while views:
                taken = self._write(_writev, views[:_IOV_MAX], deadline=deadline)
                sent += taken
                while views and taken >= len(views[0]):
                    taken -= len(views.pop(0))
                if taken:
                    views[0] = views[0][taken:]
        except BaseException as error:
            error.sent_bytes = sent  # type: ignore[attr-defined]
            raise
        return total

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a regular file, by the kernel, from `offset`, `count` bytes or to its end; returns the number sent.

        Yields while the peer does not take it; reading the disk blocks.  The file is left where sending ended.
        """
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]
        fd = file.fileno()
        deadline = self._operation_deadline()
        sent = 0
        try:
            while count is None or sent < count:
                size = _CHUNK_BYTES if count is None else min(count - sent, _CHUNK_BYTES)
                taken = self._write(_sendfile, fd, offset + sent, size, deadline=deadline)
                if taken == 0:
                    break
                sent += taken
        except BaseException as error:
            error.sent_bytes = sent  # type: ignore[attr-defined]
            raise
        finally:
            if sent and hasattr(file, "seek"):
                file.seek(offset + sent)
        return sent

    def _write(
        self,
        operation: Callable[..., T],
        *arguments: Any,
        flags: int = 0,
        deadline: int | None = None,
        may_pause: bool = False,
    ) -> T:
        """Do a writing operation, waiting as often as the kernel says EAGAIN.

        may_pause: an address was given.  Then EAGAIN may mean that the queue of a Unix socket is full, which the
        poller of this end knows nothing of.
        """
        descriptor = self._descriptor
        if flags & _MSG_DONTWAIT or self._seconds == 0:
            self._spend_act()
            return operation(self, *arguments)
        if descriptor.writable:
            self._spend_act()
        elif not in_thread():
            descriptor.writable = True
        while True:
            if descriptor.writable:
                try:
                    return operation(self, *arguments)
                except BlockingIOError:
                    if may_pause and self.family == socket.AF_UNIX:
                        return self._retry(operation, *arguments)
                    descriptor.writable = False
            self._wait_writable_until(deadline)


def _writev(self: SendingSocket, views: list[memoryview]) -> int:
    return os.writev(self.fileno(), views)


def _sendfile(self: SendingSocket, fd: int, offset: int, count: int) -> int:
    return os.sendfile(self.fileno(), fd, offset, count)
