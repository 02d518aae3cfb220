"""The receiving half of a TLS socket.

A read that took all that a record held says nothing of the next record: the kernel may have it already, and OpenSSL
reads no further than it must.  To try is dear (a system call, and an exception of 2 µs), so the kernel is asked for
the number of bytes that it holds instead; with none, the thread waits at once.

recv() is the hot path.
"""

from __future__ import annotations

import fcntl
import ssl
import termios
from collections.abc import Sequence
from typing import Any, NoReturn

from greenlet import getcurrent

from coro.descriptors import Descriptor
from coro.poller.base import READ, WRITE
from coro.ssl.waiting import WaitingSocket

__all__ = ["TLSReading"]

_ioctl = fcntl.ioctl
_FIONREAD = termios.FIONREAD
# Where the kernel writes its answer, used between two lines by threads of the loop only: half the price of a new
# object for each.
_answer = bytearray(4)
_NOTHING = bytes(4)
_WantRead = ssl.SSLWantReadError
_WantWrite = ssl.SSLWantWriteError
_Error = ssl.SSLError


class TLSReading(WaitingSocket):
    """A socket that receives what its peer encrypted; before and after TLS it receives what is there."""

    __slots__ = ()

    suppress_ragged_eofs: bool

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive what is there, `buflen` bytes of one record at most; b"" when the peer has ended TLS.

        flags: none under TLS.
        Yields if nothing is there.  Raises ssl.SSLError, OSError, the builtin TimeoutError, SimultaneousError,
        ClosedError; with settimeout(0) ssl.SSLWantReadError.  An interrupted caller loses nothing.
        """
        sslobj = self._sslobj
        if sslobj is None:
            return super().recv(buflen, flags)
        if flags:
            self._refuse_flags("recv", flags)
        return self._read_tls(sslobj, buflen)  # type: ignore[no-any-return]

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """As recv(), into a writable buffer; returns the number of bytes."""
        sslobj = self._sslobj
        if sslobj is not None and flags:
            self._refuse_flags("recv_into", flags)
        if sslobj is None:
            return super().recv_into(buffer, nbytes, flags)  # type: ignore[arg-type]
        return self._read_into(sslobj, buffer, nbytes or 0)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        """As recv(), or with `buffer` as recv_into().  Raises ValueError without TLS."""
        sslobj = self._sslobj
        if sslobj is None:
            raise ValueError("Read on closed or unwrapped SSL socket.")
        return self._read_tls(sslobj, len) if buffer is None else self._read_into(sslobj, buffer, len)

    def readv(self, sizes: Sequence[int]) -> list[bytes]:
        """Receive what is there into pieces of these sizes; the last ones are shorter when less was there."""
        if self._sslobj is None:
            return super().readv(sizes)  # type: ignore[misc,no-any-return]
        data = self.recv(sum(sizes))
        parts = []
        for size in sizes:
            parts.append(data[:size])
            data = data[size:]
        return parts

    def wait_for_read(self, timeout: float | None = None) -> None:
        """Park until something of the next record is there; at once if what was read has left something.

        As the plain socket's.  recv() may wait all the same: for the rest of the record.
        """
        sslobj = self._sslobj
        if sslobj is not None and (self._ended or sslobj.pending()):
            return
        super().wait_for_read(timeout)

    def _fill(self, view: memoryview, flags: int = 0) -> int:
        """Receive until the view is full or the peer has ended; what recv_exact() is made of."""
        sslobj = self._sslobj
        if sslobj is None:
            return super()._fill(view, flags)  # type: ignore[misc,no-any-return]
        done = 0
        try:
            while done < len(view):
                with view[done:] as rest:
                    count = self._read_tls(sslobj, len(rest), rest)
                if count == 0:
                    break
                done += count
        except BaseException as error:
            error.partial_bytes = bytes(view[:done])  # type: ignore[attr-defined]
            raise
        return done

    def _read_into(self, sslobj: Any, buffer: Any, size: int) -> int:
        """Read at most `size` bytes, or what the buffer holds if that is 0 or less."""
        with memoryview(buffer) as view:
            room = view.nbytes
        if not 0 < size <= room:
            size = room
        return self._read_tls(sslobj, size, buffer)  # type: ignore[no-any-return]

    def _read_tls(self, sslobj: Any, size: int, buffer: Any = None) -> Any:
        """Read from one record: bytes, or into `buffer` their number."""
        if self._seconds == 0 or size <= 0:
            return self._read_now(sslobj, size, buffer)
        descriptor = self._descriptor
        try:
            me = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            # Nobody polls on this behalf.
            descriptor.readable = True
            self._drained = False
        else:
            if not descriptor.readable and (self._ended or sslobj.pending()):
                # OpenSSL answers without the kernel.
                descriptor.readable = True
                self._drained = False
            if descriptor.readable:
                if me.selfish_acts <= 0:
                    self._renew_acts(me)
                me.selfish_acts -= 1
        deadline = None if self._seconds is None else self._operation_deadline()
        while True:
            if descriptor.readable and not (self._drained and _kernel_has_nothing(descriptor)):
                try:
                    data = sslobj.read(size) if buffer is None else sslobj.read(size, buffer)
                except _WantRead:
                    descriptor.readable = False
                except _WantWrite:
                    self._wait_either(WRITE, deadline)
                    continue
                except _Error as error:
                    return self._end_by(error, buffer)
                else:
                    if data:
                        self._drained = (len(data) if buffer is None else data) < size or not sslobj.pending()
                    else:
                        self._end()
                    return data
            if deadline is None and not self._crossers:
                # The usual case in one piece.
                try:
                    descriptor.wait_readable()
                finally:
                    if self._standbys:
                        self._rouse()
            else:
                self._wait_own(READ, deadline)
            self._drained = False

    def _read_now(self, sslobj: Any, size: int, buffer: Any) -> Any:
        """Read without waiting; raises ssl.SSLWantReadError."""
        self._spend_act()
        if size == 0:
            return b"" if buffer is None else 0
        try:
            data = sslobj.read(size) if buffer is None else sslobj.read(size, buffer)
        except _Error as error:
            return self._end_by(error, buffer)
        if not data and size > 0:
            self._end()
        return data

    def _end_by(self, error: ssl.SSLError, buffer: Any) -> Any:
        """What a read comes to that failed: the end, if it was one; raises any other error."""
        if isinstance(error, ssl.SSLZeroReturnError):
            # The peer has ended TLS as it should, after this end had.
            self._end()
        elif error.args[0] == ssl.SSL_ERROR_EOF and self.suppress_ragged_eofs:
            # It closed the connection without a word.
            self._end()
        else:
            raise error
        return b"" if buffer is None else 0

    def _end(self) -> None:
        # Whoever reads now is answered by OpenSSL alone.
        self._ended = True
        self._drained = False

    def _refuse_flags(self, what: str, flags: int) -> NoReturn:
        raise ValueError(f"non-zero flags not allowed in calls to {what}() on {self.__class__}, got {flags}")


def _kernel_has_nothing(descriptor: Descriptor) -> bool:
    """Whether there is nothing to read, not even the end; False where that is not known."""
    if descriptor.hangup or descriptor.urgent or descriptor.closed:
        # The end counts no bytes, and urgent data hides those behind it.
        return False
    try:
        _ioctl(descriptor.fd, _FIONREAD, _answer)
    except OSError:
        # Closed behind our back: the read says so.
        return False
    return _answer == _NOTHING
