"""Spawn lines, looked up once for each place."""

from __future__ import annotations

from itertools import islice
from types import CodeType

__all__ = ["spawn_line"]

MAX_PLACES = 2000

# id(code), last instruction -> (code, text).  Not by the code itself: its hash is computed anew each time.
_known: dict[tuple[int, int], tuple[CodeType, str]] = {}


def spawn_line(code: CodeType | None, last_instruction: int) -> str | None:
    """Where a thread was made, as "file:line", from what the core keeps; None if it is not known.

    As the thread's own `spawn_line`, which looks through the whole function each time.  Does not yield.
    """
    if code is None:
        return None
    key = (id(code), last_instruction)
    known = _known.get(key)
    if known is not None and known[0] is code:
        return known[1]
    number = last_instruction // 2
    position = next(islice(code.co_positions(), number, None), None) if number >= 0 else None
    line = position[0] if position is not None else None
    text = f"{code.co_filename}:{line or code.co_firstlineno}"
    if len(_known) >= MAX_PLACES:
        _known.clear()
    _known[key] = (code, text)
    return text
