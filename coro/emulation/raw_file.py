"""The raw file of pipes, terminals and sockets: an io.FileIO whose reading and writing park the thread."""

from __future__ import annotations

import io
from typing import Any

from coro.emulation.gate import forget
from coro.emulation.os_calls import read, read_into, write

__all__ = ["WaitingFileIO"]

# readall() asks for so much at a time.
_CHUNK_BYTES = 65536


class WaitingFileIO(io.FileIO):
    """As io.FileIO.

    Yields where that blocks; an interrupted reader loses nothing.  As the original's, a method returns None when
    the descriptor is not to wait and would have to.
    """

    def readinto(self, buffer: Any, /) -> int | None:
        """As FileIO.readinto()."""
        if not self.readable():
            return super().readinto(buffer)
        try:
            return read_into(self.fileno(), buffer)
        except BlockingIOError:
            return None

    def read(self, size: int | None = -1, /) -> bytes | None:  # type: ignore[override]
        """As FileIO.read()."""
        if size is None or size < 0:
            return self.readall()
        if not self.readable():
            return super().read(size)
        try:
            return read(self.fileno(), size)
        except BlockingIOError:
            return None

    def readall(self) -> bytes | None:  # type: ignore[override]
        """As FileIO.readall()."""
        if not self.readable():
            return super().readall()
        parts: list[bytes] = []
        while True:
            try:
                part = read(self.fileno(), _CHUNK_BYTES)
            except BlockingIOError:
                return b"".join(parts) if parts else None
            if not part:
                return b"".join(parts)
            parts.append(part)

    def write(self, data: Any, /) -> int | None:  # type: ignore[override]
        """As FileIO.write()."""
        if not self.writable():
            return super().write(data)
        try:
            return write(self.fileno(), data)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """As FileIO.close(); who waits for the descriptor gets OSError (EBADF)."""
        if not self.closed and self.closefd:
            forget(self.fileno())
        super().close()


WaitingFileIO.__name__ = WaitingFileIO.__qualname__ = "FileIO"
WaitingFileIO.__module__ = io.FileIO.__module__
