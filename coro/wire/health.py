"""A health record as monitoring plugins print it, and as the comparisons of `check --expr` see it.

The format: monitoring-plugins.org, "Development Guidelines", plugin output and performance data.  Tolerates any
record: a probe must answer whatever it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from coro.wire.units import duration, is_number, text

__all__ = ["EXIT_CODES", "health_fields", "health_line"]

EXIT_CODES: Final = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
_UNITS: Final = frozenset(("s", "ms", "us", "%", "B", "KB", "MB", "GB", "TB", "c"))
_MAX_LINE = 4000


def health_line(health: Mapping[str, Any]) -> str:
    """The line of a monitoring plugin: "CRITICAL - loop stalled 6.1s in smtp-in (parse, mx.py:88) | stall=6.1s;1".

    Behind the bar stands the performance data, label=value[unit];warn;crit, of every check that has a value.
    Printable, at most 4000 characters.
    """
    status = health.get("status")
    status = status if isinstance(status, str) and status in EXIT_CODES else "unknown"
    checks = [item for item in _list(health.get("checks")) if isinstance(item, Mapping)]
    # The bar begins the performance data: it cannot stand in the text.
    reason = _reason(health, checks, status).replace("|", "/")
    if len(reason) > _MAX_LINE // 2:
        reason = reason[: _MAX_LINE // 2] + "…"
    line = f"{status.upper()} - {reason}"
    data = ""
    for item in checks:
        entry = _performance(item)
        if entry and len(line) + len(data) + len(entry) + 4 < _MAX_LINE:
            data += f" {entry}"
    return f"{line} |{data}" if data else line


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _reason(health: Mapping[str, Any], checks: list[Mapping[str, Any]], status: str) -> str:
    if status != "ok":
        # The worst first: people read the first half of a pager's message.
        for level in ("critical", "warning", "unknown"):
            found = [text(item.get("text") or item.get("name")) for item in checks if item.get("status") == level]
            if found:
                return "; ".join(found)
        return text(health.get("text") or "no reason given")
    threads = health.get("threads")
    loop = health.get("loop")
    facts = [f"up {duration(health.get('uptime_s'))}"]
    if isinstance(threads, Mapping):
        facts.append(f"{text(threads.get('alive'))} threads")
    if isinstance(loop, Mapping) and loop.get("lag_p99_s") is not None:
        facts.append(f"lag {duration(loop['lag_p99_s'])}")
    return ", ".join(facts)


def _performance(item: Mapping[str, Any]) -> str:
    value = item.get("value")
    if not is_number(value):
        return ""
    label = text(item.get("name")).replace("'", "").replace("=", "").replace("|", "")
    if not label.isidentifier():
        label = f"'{label}'"
    unit = item.get("unit")
    limits = [_decimal(item.get(limit)) for limit in ("warn", "crit")]
    entry = f"{label}={_decimal(value)}{unit if isinstance(unit, str) and unit in _UNITS else ''}"
    return ";".join([entry, *limits]).rstrip(";")


def _decimal(value: object) -> str:
    """A number as the guidelines want it: digits, sign and dot, never an exponent; "" for what is none."""
    if not is_number(value):
        return ""
    if isinstance(value, int):
        return str(value)
    return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:.0f}"


def health_fields(health: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the comparisons of `check --expr` know.

    Those of the record; then plain numbers under short names: threads, runnable, waiting, ended, uncaught,
    lag (99th percentile, seconds), lag_max, stall (seconds, 0 without one), stalls; and the value of every check
    that has one, by its name, unless that is a field already.
    """
    loop = health.get("loop")
    loop = loop if isinstance(loop, Mapping) else {}
    threads = health.get("threads")
    threads = threads if isinstance(threads, Mapping) else {}
    found: dict[str, Any] = {
        str(item.get("name")): item.get("value")
        for item in _list(health.get("checks"))
        if isinstance(item, Mapping) and is_number(item.get("value"))
    }
    found |= health
    found |= {name: threads.get(name) for name in ("runnable", "waiting", "ended", "uncaught", "deadlocked")}
    found |= {
        "threads": threads.get("alive"),
        "lag": loop.get("lag_p99_s"),
        "lag_max": loop.get("lag_max_s"),
        "stall": loop.get("stalled_s") or 0,
        "stalls": loop.get("stalls"),
    }
    return found
