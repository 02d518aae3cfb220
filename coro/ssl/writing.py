"""The sending half of a TLS socket.

OpenSSL encrypts a record once.  If the kernel takes only a part of it, that record must go out before anything
else, whatever becomes of the operation that began it.  So data goes to OpenSSL in pieces of one record, and a piece
whose writer was interrupted is kept, and finished by the next operation that writes.

Invariant: between two operations, `_owed` is the piece whose record OpenSSL has begun to send, if any; while
`_writer` is set, only that thread writes.
send() is the hot path.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

from greenlet import getcurrent

from coro.exceptions import SimultaneousError
from coro.poller.base import READ, WRITE
from coro.socket.sending import Buffer
from coro.ssl.waiting import WaitingSocket

__all__ = ["TLSWriting"]

# What one record holds at most (RFC 8446, section 5.1).
_RECORD_BYTES = 1 << 14


class TLSWriting(WaitingSocket):
    """A socket that encrypts what it sends; before and after TLS it sends as it is."""

    __slots__ = ()

    def send(self, data: Buffer, flags: int = 0) -> int:  # type: ignore[override]
        """Send all of `data`; returns its length in bytes.

        flags: none under TLS.
        Yields while the peer does not take it.  Raises ssl.SSLError, OSError, the builtin TimeoutError (over all of
        the data), SimultaneousError, ClosedError.  Whatever ends it early carries the number of bytes that are
        sent, if any, in its attribute `sent_bytes`; a record that is half out counts, and goes out before what is
        sent next.
        With settimeout(0) it sends one record at most, or raises ssl.SSLWantWriteError: then it is to be called
        again with the same data.
        """
        sslobj = self._sslobj
        if sslobj is None:
            return super().send(data, flags)
        if flags:
            raise ValueError(f"non-zero flags not allowed in calls to send() on {self.__class__}, got {flags}")
        descriptor = self._descriptor
        try:
            me = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            # Nobody polls on this behalf.
            descriptor.writable = True
            return self._write_tls(sslobj, data)
        if descriptor.writable:
            if me.selfish_acts <= 0:
                self._renew_acts(me)
            me.selfish_acts -= 1
            if self._writer is None and self._owed is None and type(data) is bytes and len(data) <= _RECORD_BYTES:
                try:
                    return sslobj.write(data)  # type: ignore[no-any-return]
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    # Nobody else runs before the same bytes are handed over again, as OpenSSL wants it.
                    return self._write_tls(sslobj, data)
        return self._write_tls(sslobj, data)

    def write(self, data: Buffer) -> int:
        """As send().  Raises ValueError without TLS."""
        if self._sslobj is None:
            raise ValueError("Write on closed or unwrapped SSL socket.")
        return self.send(data)

    def sendall(self, data: Buffer, flags: int = 0) -> None:  # type: ignore[override]
        """As send(), returning None; with settimeout(0) it raises as soon as it would wait."""
        if self._sslobj is None:
            super().sendall(data, flags)
            return
        if flags:
            raise ValueError(f"non-zero flags not allowed in calls to sendall() on {self.__class__}, got {flags}")
        if self._seconds != 0:
            self.send(data)
            return
        sent = 0
        with memoryview(data) as whole, whole.cast("B") as view:
            try:
                while sent < len(view):
                    with view[sent:] as rest:
                        sent += self.send(rest)
            except BaseException as error:
                error.sent_bytes = sent  # type: ignore[attr-defined]
                raise

    def writev(self, data: Iterable[Buffer]) -> int:
        """Send all of the buffers, in order, as one; returns their length.  As send() otherwise."""
        if self._sslobj is None:
            return super().writev(data)  # type: ignore[misc,no-any-return]
        return self.send(b"".join(data))

    def _write_tls(self, sslobj: Any, data: Buffer) -> int:
        """Send piece by piece; the caller has spent the act of the first one."""
        with memoryview(data) as whole, whole.cast("B") as view:
            if self._seconds == 0:
                return self._write_now(sslobj, view)
            deadline = self._operation_deadline()
            self._begin_writing(deadline)
            try:
                self._pay(sslobj, deadline)
                return self._write_pieces(sslobj, view, deadline)
            finally:
                self._end_writing()

    def _write_pieces(self, sslobj: Any, view: memoryview, deadline: int | None) -> int:
        sent = 0
        try:
            while True:
                with view[sent : sent + _RECORD_BYTES] as piece:
                    self._write_piece(sslobj, piece, deadline)
                    sent += len(piece)
                if sent >= len(view):
                    return sent
                self._spend_act()
        except BaseException as error:
            error.sent_bytes = sent + len(self._owed or b"")  # type: ignore[attr-defined]
            raise

    def _write_now(self, sslobj: Any, view: memoryview) -> int:
        """Write one record without waiting; raises ssl.SSLWantWriteError."""
        if self._owed is not None:
            sslobj.write(self._owed)
            self._owed = None
        with view[:_RECORD_BYTES] as piece:
            return sslobj.write(piece)  # type: ignore[no-any-return]

    def _write_piece(self, sslobj: Any, piece: memoryview, deadline: int | None) -> None:
        """Write one record, waiting as often as need be; one that was begun is owed if the wait ends early."""
        begun = False
        if not self._descriptor.writable:
            self._wait_own(WRITE, deadline)
        while True:
            try:
                sslobj.write(piece)
            except ssl.SSLWantReadError:
                event = READ
            except ssl.SSLWantWriteError:
                event = WRITE
                begun = True
            else:
                return
            try:
                self._wait_to_write(event, deadline)
            except BaseException:
                if begun:
                    self._owed = bytes(piece)
                raise

    def _pay(self, sslobj: Any, deadline: int | None) -> None:
        """Finish the record that another operation began."""
        while self._owed is not None:
            try:
                sslobj.write(self._owed)
            except ssl.SSLWantReadError:
                self._wait_to_write(READ, deadline)
            except ssl.SSLWantWriteError:
                self._wait_to_write(WRITE, deadline)
            else:
                self._owed = None

    def _wait_to_write(self, event: int, deadline: int | None) -> None:
        if event == WRITE:
            self._wait_own(WRITE, deadline)
        else:
            self._wait_either(READ, deadline)

    def _begin_writing(self, deadline: int | None) -> None:
        """Make the calling thread the one that writes; raises SimultaneousError if there is one."""
        me = getattr(getcurrent(), "thread", None) or True
        if self._writer is not None:
            raise SimultaneousError(me, self._writer, ("write", self.fileno()))
        self._writer = me

    def _end_writing(self) -> None:
        self._writer = None
        if self._standbys:
            self._rouse()
