"""How text may look where it is shown: a hook for colours, and whether lines may be drawn with box characters.

Must not know what is shown.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PLAIN", "Style"]


class Style:
    """Plain text; a terminal's client derives its own.

    paint: called with what a piece of text is and the text, which is printable and has its final width already;
        returns it with colours around it, of no width.  What it is, is one of
        header, key                             the first line of a table; the name before a value
        id, name, dim                           of threads and sessions; of less weight
        new, runnable, running, waiting, dead   a thread's state
        ok, warning, critical, unknown          a status
        place, source, newer                    of a stack; a line that was changed since the process started
        error                                   a traceback, what ended a thread
    unicode: lines of a tree may use box characters.
    """

    unicode: bool = False

    def paint(self, role: str, text: str) -> str:
        """The text as it is shown.  Must not change its width."""
        return text


PLAIN: Final = Style()
