"""Buffered reading from a stream: lines, exact sizes, up to a delimiter.

Names and results as Shrapnel's read_stream, in bytes: what is read includes its delimiter, and at the end of the
stream what is left comes back, shorter than asked for.

Invariant: bytes stay in the buffer until a read has all that it asked for, so an interrupted reader loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, Protocol, overload

__all__ = ["buffered_stream", "sock_stream"]

BUFFER_SIZE = 65536


class _CanReceive(Protocol):
    def recv(self, bufsize: int, /) -> bytes: ...


class buffered_stream:
    """Reads from a function that returns the next piece of a stream, and b"" at its end.

    producer: may block the thread; whatever it raises passes through, and reading can go on afterwards.
    limit: how many bytes may be searched for a delimiter; beyond that ValueError.  None for no limit.
    """

    __slots__ = ("_buffer", "_ended", "_limit", "_producer")

    def __init__(self, producer: Callable[[], bytes], *, limit: int | None = None) -> None:
        if not callable(producer):
            raise TypeError(f"a stream needs a function that produces its pieces, got {producer!r}")
        if limit is not None and limit < 1:
            raise ValueError(f"a stream's limit must be 1 byte or more, or None, got {limit!r}")
        self._producer = producer
        self._limit = limit
        self._buffer = bytearray()
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        """The lines of the stream, each with its b"\\n"; the last one may lack it.  Yields as read_until()."""
        while line := self.read_until(b"\n"):
            yield line

    @overload
    def read_until(self, delim: bytes, join: Literal[True] = True) -> bytes: ...
    @overload
    def read_until(self, delim: bytes, join: Literal[False]) -> Iterator[bytes]: ...
    def read_until(self, delim: bytes, join: bool = True) -> bytes | Iterator[bytes]:
        """Read up to and including `delim`; at the end of the stream what is left, possibly b"".

        join: False returns an iterator over pieces, handed out as they come, for what is too large to keep.
        Yields.  Raises ValueError beyond the stream's limit; what was read stays in the buffer.
        """
        if not isinstance(delim, (bytes, bytearray)):
            raise TypeError(f"a delimiter must be bytes, got {delim!r}")
        if not delim:
            raise ValueError("a delimiter must be 1 byte or more, got b''")
        return self._find(delim) if join else self._pieces_until(delim)

    @overload
    def read_exact(self, size: int, join: Literal[True] = True) -> bytes: ...
    @overload
    def read_exact(self, size: int, join: Literal[False]) -> Iterator[bytes]: ...
    def read_exact(self, size: int, join: bool = True) -> bytes | Iterator[bytes]:
        """Read `size` bytes; fewer at the end of the stream.

        join: as for read_until().  Yields.
        """
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"read_exact() needs a number of bytes as an int, got {size!r}")
        if size < 0:
            raise ValueError(f"read_exact() needs 0 bytes or more, got {size}")
        if not join:
            return self._pieces_of(size)
        while len(self._buffer) < size and self._fill():
            pass
        return self._take(size)

    def read_line(self, delim: bytes = b"\r\n") -> bytes:
        """Read a line, its CR LF included; at the end of the stream what is left.  Yields as read_until()."""
        return self.read_until(delim)

    def read_all(self) -> Iterator[bytes]:
        """The pieces of the stream up to its end, as they come.  Yields."""
        while self._buffer or self._fill():
            yield self.flush()

    def flush(self) -> bytes:
        """Take out what is buffered.  Does not yield."""
        return self._take(len(self._buffer))

    def _find(self, delim: bytes) -> bytes:
        buffer = self._buffer
        searched = 0
        while True:
            at = buffer.find(delim, searched)
            end = at + len(delim)
            if self._limit is not None and (end if at >= 0 else len(buffer)) > self._limit:
                raise ValueError(f"no {bytes(delim)!r} within the stream's limit of {self._limit} bytes")
            if at >= 0:
                return self._take(end)
            # The delimiter may begin in the last bytes that are there.
            searched = max(0, len(buffer) - len(delim) + 1)
            if not self._fill():
                return self.flush()

    def _pieces_until(self, delim: bytes) -> Iterator[bytes]:
        keep = len(delim) - 1
        while True:
            at = self._buffer.find(delim)
            if at >= 0:
                yield self._take(at + len(delim))
                return
            if len(self._buffer) > keep:
                yield self._take(len(self._buffer) - keep)
            if not self._fill():
                if self._buffer:
                    yield self.flush()
                return

    def _pieces_of(self, size: int) -> Iterator[bytes]:
        left = size
        while left and (self._buffer or self._fill()):
            piece = self._take(min(left, len(self._buffer)))
            left -= len(piece)
            yield piece

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self) -> bool:
        """Add the next piece to the buffer; False at the end."""
        if self._ended:
            return False
        piece = self._producer()
        if not piece:
            self._ended = True
            return False
        self._buffer += piece
        return True


def sock_stream(sock: _CanReceive, *, limit: int | None = None) -> buffered_stream:
    """A buffered_stream over anything with recv(): a socket, an fd_sock, a TLS socket."""
    return buffered_stream(lambda: sock.recv(BUFFER_SIZE), limit=limit)
