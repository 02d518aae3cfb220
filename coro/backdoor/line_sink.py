"""Where a running line's output goes: a piece when there is enough, or at the end of a line."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["LineSink"]


class LineSink:
    """Collects what is printed, and hands it on in pieces.

    send: takes a piece; may park, and raises what it raises.
    """

    def __init__(self, send: Callable[[str], object], *, piece_chars: int = 4096) -> None:
        self._send = send
        self._piece_chars = piece_chars
        self._kept: list[str] = []
        self._length = 0

    def write(self, text: str) -> None:
        """Take text.  Yields when the peer is slow."""
        self._kept.append(text)
        self._length += len(text)
        if self._length >= self._piece_chars or "\n" in text:
            self.flush()

    def flush(self) -> None:
        """Send what was kept back.  Yields when the peer is slow."""
        if self._kept:
            text = "".join(self._kept)
            self._kept.clear()
            self._length = 0
            self._send(text)
