"""How results look where they are shown: colours and box characters on a terminal that wants them, else plain.

NO_COLOR (no-color.org), not empty, and TERM=dumb turn colours off.  The colours are of the sixteen that every
terminal has, so they follow its theme.
"""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

from coro.wire.style import PLAIN, Style

__all__ = ["Coloured", "has_colours", "is_terminal", "size_of", "style_for"]

# Roles of coro.wire.style → parameters of SGR (ECMA-48, 8.3.117).
_SGR: Final = {
    "header": "1",
    "key": "1",
    "id": "36",
    "name": "1",
    "dim": "2",
    "new": "35",
    "runnable": "33",
    "running": "32",
    "waiting": "2",
    "dead": "31",
    "ok": "32",
    "warning": "33",
    "critical": "1;31",
    "unknown": "35",
    "place": "36",
    "source": "0",
    "newer": "33",
    "error": "31",
}


class _Boxes(Style):
    """No colours, but box characters."""

    unicode = True


class Coloured(Style):
    """Colours for a terminal."""

    def __init__(self, *, unicode: bool) -> None:
        self.unicode = unicode

    def paint(self, role: str, text: str) -> str:
        """The text between the role's colour and the default one."""
        sgr = _SGR.get(role)
        return f"\x1b[{sgr}m{text}\x1b[0m" if sgr and text else text


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at the stream."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def has_colours(stream: TextIO) -> bool:
    """Whether colours may be sent there."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")


def style_for(stream: TextIO | None = None) -> Style:
    """The style for a stream, stdout by default."""
    stream = stream or sys.stdout
    if not is_terminal(stream):
        return PLAIN
    unicode = (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
    if has_colours(stream):
        return Coloured(unicode=unicode)
    return _Boxes() if unicode else PLAIN


def size_of(stream: TextIO | None = None) -> tuple[int, int] | None:
    """(columns, lines) of the terminal behind a stream, stdout by default; None if there is none."""
    stream = stream or sys.stdout
    if not is_terminal(stream):
        return None
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except OSError:
        return (80, 24)
    # A serial line knows no size.
    return (columns or 80, lines or 24)
