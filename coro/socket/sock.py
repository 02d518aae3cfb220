"""`coro.sock`: the operations that move bytes, and accept.

An operation tries at once if the descriptor's flag says that it may succeed, and parks otherwise.  Every
operation that succeeds at once spends one selfish act; one that is begun without any left yields first and
gets all of them back, as does one that really waited.

recv() and send() are the hot path, written out in one piece each.
"""

from __future__ import annotations

import _socket
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, TypeVar

from greenlet import getcurrent

from coro.clock import ticks_per_sec
from coro.scheduler import scheduler
from coro.socket.address import Address, numeric_address
from coro.socket.base import CoroSocket

__all__ = ["sock"]

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")

_recv = _socket.socket.recv
_recv_into = _socket.socket.recv_into
_recvfrom = _socket.socket.recvfrom
_recvfrom_into = _socket.socket.recvfrom_into
_recvmsg = _socket.socket.recvmsg
_recvmsg_into = _socket.socket.recvmsg_into
_send = _socket.socket.send
_sendto = _socket.socket.sendto
_sendmsg = _socket.socket.sendmsg
_accept = _socket.socket._accept  # type: ignore[attr-defined]

_yield_slice = scheduler.yield_slice
_MSG_DONTWAIT = socket.MSG_DONTWAIT
_MSG_WAITALL = socket.MSG_WAITALL
# The most buffers that one readv(2) or writev(2) takes.
_IOV_MAX = os.sysconf("SC_IOV_MAX")
_SENDFILE_CHUNK = 1 << 30


def spend_act() -> None:
    """Spend one selfish act; without any left, yield first and get all of them back.

    Outside a thread there is nothing to spend.
    """
    me = getattr(getcurrent(), "thread", None)
    if me is not None:
        if me.selfish_acts <= 0:
            _yield_slice()
            me.selfish_acts = me.max_selfish_acts
        me.selfish_acts -= 1


class sock(CoroSocket):
    """A TCP, UDP or Unix socket; everything that takes a `socket.socket` takes it.

    Unlike the standard library's, send() and write() send everything, as Shrapnel's do.

    One thread may read while another writes; a second reader, or writer, gets SimultaneousError.  A thread that is
    interrupted while it waits loses nothing: what had arrived is still there for the next operation.
    """

    __slots__ = ()

    # -- receiving

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive what is there, `bufsize` bytes at most; b"" when the peer has closed.

        Yields if nothing is there.  Raises OSError, the builtin TimeoutError, SimultaneousError, ClosedError.
        """
        descriptor = self._descriptor
        if descriptor.readable and not flags:
            try:
                me = getcurrent().thread  # type: ignore[attr-defined]
            except AttributeError:
                # Outside a thread: what is there may be had all the same.
                pass
            else:
                if me.selfish_acts <= 0:
                    _yield_slice()
                    me.selfish_acts = me.max_selfish_acts
                me.selfish_acts -= 1
        elif flags:
            return self._recv_with_flags(bufsize, flags)
        while True:
            if descriptor.readable:
                try:
                    data = _recv(self, bufsize)
                except BlockingIOError:
                    descriptor.readable = False
                else:
                    if len(data) < bufsize and self._drains and not (descriptor.hangup or descriptor.urgent):
                        # Drained: a TCP stream gives all that it has.  Saves the EAGAIN of the next turn.
                        descriptor.readable = False
                    return data
            if self._seconds is None:
                descriptor.wait_readable()
            else:
                self._wait_readable()

    def _recv_with_flags(self, bufsize: int, flags: int) -> bytes:
        if flags & _MSG_DONTWAIT:
            return _recv(self, bufsize, flags)
        if not flags & _MSG_WAITALL:
            return self._read(_recv, bufsize, flags)
        data = b""
        while len(data) < bufsize:
            # A descriptor that does not block makes the kernel ignore MSG_WAITALL.
            more = self._read(_recv, bufsize - len(data), flags)
            data += more
            if not more:
                break
        return data

    read = recv

    def recv_exact(self, size: int) -> bytes:
        """Receive exactly `size` bytes.

        Yields.  Raises EOFError, with the partial bytes as args[0], when the peer closes before.  Whatever else
        ends it early carries the bytes that were received already in its attribute `partial_bytes`.
        """
        if not isinstance(size, int):
            raise TypeError(f"recv_exact() needs a number of bytes as an int, got {size!r}")
        if size < 0:
            raise ValueError(f"recv_exact() needs 0 bytes or more, got {size}")
        buffer = bytearray(size)
        view = memoryview(buffer)
        done = 0
        try:
            while done < size:
                count = self.recv_into(view[done:])
                if count == 0:
                    raise EOFError(bytes(view[:done]))
                done += count
        except EOFError:
            raise
        except BaseException as error:
            error.partial_bytes = bytes(view[:done])  # type: ignore[attr-defined]
            raise
        return bytes(buffer)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As recv(), into a writable buffer; returns the number of bytes."""
        return self._read(_recv_into, buffer, nbytes, flags, flags=flags)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Receive (data, address of the sender).  Yields if nothing is there."""
        return self._read(_recvfrom, bufsize, flags, flags=flags)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As recvfrom(), into a writable buffer."""
        return self._read(_recvfrom_into, buffer, nbytes, flags, flags=flags)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """As recvmsg(2): (data, ancillary data, flags, address).  Yields if nothing is there."""
        return self._read(_recvmsg, bufsize, ancbufsize, flags, flags=flags)

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        """As recvmsg(), into writable buffers."""
        return self._read(_recvmsg_into, list(buffers), ancbufsize, flags, flags=flags)

    def readv(self, sizes: Sequence[int]) -> list[bytes]:
        """Receive into buffers of these sizes with one system call.

        Returns a list of bytes, filled in order; the last ones are shorter or empty when less was there; all are
        empty when the peer has closed.  Yields if nothing is there.
        """
        buffers = [bytearray(size) for size in sizes[:_IOV_MAX]]
        count = self._read(_readv, buffers)
        parts = []
        for buffer in buffers:
            parts.append(bytes(buffer[:count]))
            count = max(0, count - len(buffer))
        parts.extend(b"" for _ in sizes[_IOV_MAX:])
        return parts

    # -- sending

    def send(self, data: Buffer, flags: int = 0) -> int:  # type: ignore[override]
        """Send all of `data`; returns its length.

        Yields while the peer does not take it.  Raises OSError, the builtin TimeoutError (over all of the data),
        SimultaneousError, ClosedError.  Whatever ends it early carries the number of bytes that were sent in its
        attribute `sent_bytes`.
        """
        if self._descriptor.writable:
            try:
                me = getcurrent().thread  # type: ignore[attr-defined]
            except AttributeError:
                # Outside a thread: what there is room for may be sent all the same.
                pass
            else:
                if me.selfish_acts <= 0:
                    _yield_slice()
                    me.selfish_acts = me.max_selfish_acts
                me.selfish_acts -= 1
            try:
                sent = _send(self, data, flags)
            except BlockingIOError:
                self._descriptor.writable = False
                sent = 0
            if sent == len(data):
                return sent
            return self._send_rest(data, flags, sent)
        return self._send_rest(data, flags, 0)

    def _send_rest(self, data: Buffer, flags: int, sent: int) -> int:
        """Send what one call could not."""
        with memoryview(data) as whole, whole.cast("B") as view:
            size = len(view)
            if flags & _MSG_DONTWAIT or self._seconds == 0:
                if sent == 0 < size:
                    return _send(self, view, flags)
                return sent
            descriptor = self._descriptor
            deadline = self._operation_deadline()
            try:
                while sent < size:
                    if not descriptor.writable:
                        self._wait_writable_until(deadline)
                    try:
                        sent += _send(self, view[sent:], flags)
                    except BlockingIOError:
                        descriptor.writable = False
            except BaseException as error:
                error.sent_bytes = sent  # type: ignore[attr-defined]
                raise
            return size

    def write(self, data: Buffer) -> int:
        """As send()."""
        return self.send(data)

    def sendall(self, data: Buffer, flags: int = 0) -> None:  # type: ignore[override]
        """As send(), returning None as the standard library's."""
        self.send(data, flags)

    def sendto(self, data: Buffer, *arguments: Any) -> int:  # type: ignore[override]
        """sendto(data[, flags], address): send one datagram; returns the number of bytes.

        A host name is resolved without blocking the loop.  Yields if there is no room.
        """
        if not 1 <= len(arguments) <= 2:
            raise TypeError(f"sendto() takes data, flags and an address, got {1 + len(arguments)} arguments")
        address = numeric_address(self, arguments[-1])
        flags = arguments[0] if len(arguments) == 2 else 0
        return self._write(_sendto, data, flags, address, flags=flags)

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Address = None
    ) -> int:
        """As sendmsg(2): send once, returns how many bytes were taken.  Yields if there is no room."""
        if address is not None:
            address = numeric_address(self, address)
        return self._write(_sendmsg, list(buffers), list(ancdata), flags, address, flags=flags)

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
                size = _SENDFILE_CHUNK if count is None else min(count - sent, _SENDFILE_CHUNK)
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

    # -- accepting

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
            except BlockingIOError:
                descriptor.readable = False
            except OSError:
                # What was accepted counts; the next call meets the error again if it lasts.
                break
            else:
                accepted.append((self._accepted(fd), address))
        return accepted

    def _accepted(self, fd: int) -> Self:
        try:
            return self.__class__(self.family, self.type, self.proto, fd)
        except BaseException:
            os.close(fd)
            raise

    # -- what the operations above share

    def _read(self, operation: Callable[..., T], *arguments: Any, flags: int = 0) -> T:
        """Do a reading operation, waiting as often as the kernel says EAGAIN."""
        descriptor = self._descriptor
        if flags & _MSG_DONTWAIT:
            return operation(self, *arguments)
        if descriptor.readable:
            spend_act()
        while True:
            if descriptor.readable:
                try:
                    return operation(self, *arguments)
                except BlockingIOError:
                    descriptor.readable = False
            self._wait_readable()

    def _write(
        self, operation: Callable[..., T], *arguments: Any, flags: int = 0, deadline: int | None = None
    ) -> T:
        """Do a writing operation, waiting as often as the kernel says EAGAIN."""
        descriptor = self._descriptor
        if flags & _MSG_DONTWAIT:
            return operation(self, *arguments)
        if descriptor.writable:
            spend_act()
        while True:
            if descriptor.writable:
                try:
                    return operation(self, *arguments)
                except BlockingIOError:
                    descriptor.writable = False
            self._wait_writable_until(deadline)

    def _operation_deadline(self) -> int | None:
        """When an operation of several steps that begins now must have ended, in ticks."""
        seconds = self._seconds
        return scheduler.clock() + int(seconds * ticks_per_sec) if seconds else None

    def _wait_writable_until(self, deadline: int | None) -> None:
        if deadline is None:
            self._wait_writable()
            return
        left = (deadline - scheduler.clock()) / ticks_per_sec
        if left <= 0:
            self._timed_out()
        self._wait_writable(left)


def _readv(self: sock, buffers: list[bytearray]) -> int:
    return os.readv(self.fileno(), buffers)


def _writev(self: sock, views: list[memoryview]) -> int:
    return os.writev(self.fileno(), views)


def _sendfile(self: sock, fd: int, offset: int, count: int) -> int:
    return os.sendfile(self.fileno(), fd, offset, count)
