"""Raw numbers as people read them: durations, shares, counts, moments.

Invariant: any value is accepted, since records come from other versions of the program: what is no number is shown
as the text that it is, None as "-".
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TypeGuard

from coro.wire.escape import printable

__all__ = ["count", "duration", "is_number", "moment", "percent", "text"]

_MAX_TEXT = 400
_MAX_ITEMS = 20
# Larger numbers than any record holds; they are named, not written out.
_MAX_BITS = 256


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is an int or a finite float, and no bool."""
    if isinstance(value, float):
        return value - value == 0.0
    return isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _MAX_BITS


def text(value: object) -> str:
    """Any value on one line, printable, cut at 400 characters.  None is "-"; a list, its items with blanks."""
    shown = _text(value, 0)
    return shown if len(shown) <= _MAX_TEXT else shown[:_MAX_TEXT] + "…"


def _text(value: object, depth: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        # One more than is shown, so that text() sees that something is missing.
        return printable(value[: _MAX_TEXT + 1])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= _MAX_BITS else f"a number of {value.bit_length()} bits"
    if isinstance(value, (list, tuple, dict)):
        return _items(value, depth)
    return printable(repr(value)[: _MAX_TEXT + 1])


def _items(value: list[object] | tuple[object, ...] | dict[object, object], depth: int) -> str:
    # Twenty items of twenty items of twenty items: nobody reads that, and it takes long to write.
    if depth == 2:
        return "…"
    if not value:
        return "-"
    items = list(islice(value, _MAX_ITEMS))
    more = " …" if len(value) > _MAX_ITEMS else ""
    if isinstance(value, dict):
        return ", ".join([f"{_text(str(key), depth + 1)}={_text(value[key], depth + 1)}" for key in items]) + more
    return " ".join([_text(item, depth + 1) for item in items]) + more


def duration(seconds: object) -> str:
    """Seconds as "12 us", "1.2 ms", "3.4 s", "5 min 03 s", "2 h 05 min", "3 d 04 h" or "90 d"; "-" for None."""
    if not is_number(seconds):
        return text(seconds)
    value = float(seconds)
    if value < 0:
        return f"-{duration(-value)}"
    if value < 0.9995e-3:
        return f"{value * 1e6:.0f} us" if value >= 0.5e-6 else "0 s"
    if value < 0.9995:
        return f"{_short(value * 1e3)} ms"
    if value < 59.5:
        return f"{_short(value)} s"
    if value < 3599.5:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest:02} s"
    if value < 24 * 3600 - 30:
        hours, minutes = divmod(round(value / 60), 60)
        return f"{hours} h {minutes:02} min"
    if value < 10 * 24 * 3600 - 1800:
        days, hours = divmod(round(value / 3600), 24)
        return f"{days} d {hours:02} h"
    return f"{value / 86400:.0f} d" if value < 1e12 else f"{value:.3g} s"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def percent(share: object) -> str:
    """A share of 0 to 1 as "12.3%"."""
    return f"{float(share) * 100:.1f}%" if is_number(share) else text(share)


def count(value: object) -> str:
    """A number without more digits than it needs; a float has four significant ones."""
    if isinstance(value, float) and is_number(value):
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
    return text(value)


def moment(epoch: object) -> str:
    """Seconds since the epoch as "2026-11-22 17:48:25+0000", in the time zone of whoever looks."""
    if is_number(epoch):
        try:
            return time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(float(epoch)))
        except (ValueError, OverflowError, OSError):
            pass
    return text(epoch)
