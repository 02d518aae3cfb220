"""The receiving half of `coro.sock`.

An operation tries at once if the descriptor's flag says that it may succeed, and parks otherwise.  Every operation
that succeeds at once spends one selfish act; one that is begun without any left yields first and gets all of them
back, as does one that really waited.

recv() is the hot path, written out in one piece.
"""

from __future__ import annotations

import _socket
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from greenlet import getcurrent

from coro.exceptions import YieldFromMain
from coro.socket.base import NO_THREAD, CoroSocket, in_thread

__all__ = ["ReceivingSocket"]

T = TypeVar("T")

_recv = _socket.socket.recv
_recv_into = _socket.socket.recv_into
_recvfrom = _socket.socket.recvfrom
_recvfrom_into = _socket.socket.recvfrom_into
_recvmsg = _socket.socket.recvmsg
_recvmsg_into = _socket.socket.recvmsg_into

# The kernel never waits for urgent data, nor for the queue of errors; that there is none says nothing of the rest.
_AT_ONCE = socket.MSG_DONTWAIT | socket.MSG_OOB | getattr(socket, "MSG_ERRQUEUE", 0)
_MSG_PEEK = socket.MSG_PEEK
_MSG_WAITALL = socket.MSG_WAITALL
# The most buffers that one readv(2) takes.
_IOV_MAX = os.sysconf("SC_IOV_MAX")


class ReceivingSocket(CoroSocket):
    """A socket that receives."""

    __slots__ = ()

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive what is there, `bufsize` bytes at most; b"" when the peer has closed.

        Yields if nothing is there.  Raises OSError, the builtin TimeoutError, SimultaneousError, ClosedError.
        With MSG_WAITALL a stream is read until `bufsize` bytes are there, as recv_exact() but for the end.
        """
        descriptor = self._descriptor
        if descriptor.readable and not flags:
            try:
                me = getcurrent().thread  # type: ignore[attr-defined]
            except NO_THREAD:
                # Outside a thread: what is there may be had all the same.
                pass
            else:
                if me.selfish_acts <= 0:
                    self._renew_acts(me)
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
            seconds = self._seconds
            if seconds is None:
                try:
                    descriptor.wait_readable()
                except YieldFromMain:
                    return self._read(_recv, bufsize)
            elif seconds:
                self._wait_readable()
            else:
                return self._read(_recv, bufsize)

    def _recv_with_flags(self, bufsize: int, flags: int) -> bytes:
        if not self._waits_for_all(flags):
            return self._read(_recv, bufsize, flags, flags=flags)
        if flags & _MSG_PEEK:
            return self._peek_all(bufsize, flags)
        buffer = bytearray(bufsize)
        with memoryview(buffer) as view:
            return bytes(view[: self._fill(view, flags)])

    def _waits_for_all(self, flags: int) -> bool:
        """Whether MSG_WAITALL has a meaning here; the kernel ignores it for a descriptor that does not block."""
        return bool(
            flags & _MSG_WAITALL and not flags & _AT_ONCE and self._seconds != 0 and self.type == socket.SOCK_STREAM
        )

    def _peek_all(self, bufsize: int, flags: int) -> bytes:
        """Peek at `bufsize` bytes, waiting until so many are there or no more will come."""
        descriptor = self._descriptor
        while True:
            data = self._read(_recv, bufsize, flags)
            if len(data) >= bufsize or not data or descriptor.hangup:
                return data
            descriptor.readable = False
            self._wait_readable()

    def read(self, bufsize: int) -> bytes:
        """As recv()."""
        return self.recv(bufsize)

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
        with memoryview(buffer) as view:
            done = self._fill(view)
            if done < size:
                raise EOFError(bytes(view[:done]))
        return bytes(buffer)

    def _fill(self, view: memoryview, flags: int = 0) -> int:
        """Receive until the view is full or the peer has closed; returns the number of bytes."""
        done = 0
        try:
            while done < len(view):
                with view[done:] as rest:
                    count = self._read(_recv_into, rest, 0, flags)
                if count == 0:
                    break
                done += count
        except BaseException as error:
            error.partial_bytes = bytes(view[:done])  # type: ignore[attr-defined]
            raise
        return done

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As recv(), into a writable buffer; returns the number of bytes."""
        if flags and nbytes >= 0 and self._waits_for_all(flags) and not flags & _MSG_PEEK:
            with memoryview(buffer) as whole, whole.cast("B") as view, view[: nbytes or None] as wanted:
                return self._fill(wanted, flags)
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

    def _read(self, operation: Callable[..., T], *arguments: Any, flags: int = 0) -> T:
        """Do a reading operation, waiting as often as the kernel says EAGAIN."""
        descriptor = self._descriptor
        if flags & _AT_ONCE or self._seconds == 0:
            # Not to wait: the kernel is asked, whatever the flag says.
            self._spend_act()
            return operation(self, *arguments)
        if descriptor.readable:
            self._spend_act()
        elif not in_thread():
            # Nobody polls on this behalf.
            descriptor.readable = True
        while True:
            if descriptor.readable:
                try:
                    return operation(self, *arguments)
                except BlockingIOError:
                    descriptor.readable = False
            self._wait_readable()


def _readv(self: ReceivingSocket, buffers: list[bytearray]) -> int:
    return os.readv(self.fileno(), buffers)
