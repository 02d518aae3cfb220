"""Raw numbers as people read them: durations, shares, counts, moments.

Invariant: any value is accepted, since records come from other versions of the program: what is no number is shown
as the text that it is, None as "-".
"""

from __future__ import annotations

import time
from typing import TypeGuard

from coro.wire.escape import printable

__all__ = ["count", "duration", "is_number", "moment", "percent", "text"]

_MAX_TEXT = 400


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is an int or a finite float, and no bool."""
    if isinstance(value, float):
        return value - value == 0.0
    return isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 1000


def text(value: object) -> str:
    """Any value on one line, printable, cut at 400 characters.  None is "-"; a list, its items with blanks."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return printable(value) if len(value) <= _MAX_TEXT else printable(value[:_MAX_TEXT]) + "…"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        shown = " ".join([text(item) for item in value[:20]])
        return shown + (" …" if len(value) > 20 else "")
    if isinstance(value, dict):
        items = list(value.items())[:20]
        return text(", ".join([f"{text(str(name))}={text(item)}" for name, item in items]))
    return printable(str(value)) if is_number(value) else printable(repr(value)[:_MAX_TEXT])


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
