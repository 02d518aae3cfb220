"""A profile as one HTML page: tables by own time, and for each function its callers and callees.

Knows only the records of a profile; writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape

from coro.profiler.recorder import FunctionProfile, Key, Profile

__all__ = ["function_text", "html_report"]

# Functions below this share of the running time are left out of the details, not of the table.
_DETAIL_SHARE = 0.001

_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>coro profile</title><style>
:root { color-scheme: light dark; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem; }
th, td { text-align: right; padding: .15rem .6rem; }
tr { border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
th:first-child, td:first-child { text-align: left; font-family: ui-monospace, monospace; word-break: break-all; }
h3 { font-family: ui-monospace, monospace; font-size: 1em; margin: 1.5rem 0 0; }
</style></head><body>
"""


def function_text(key: Key) -> str:
    """A function by its file's last two parts, line and qualified name; a builtin by its name."""
    if isinstance(key, str):
        return key
    directory, name = os.path.split(key.co_filename)
    parent = os.path.basename(directory)
    return f"{parent + '/' if parent else ''}{name}:{key.co_firstlineno} {key.co_qualname}"


def html_report(profile: Profile) -> str:
    """The whole page."""
    functions = sorted(profile.functions.items(), key=lambda item: -item[1].self_ns)
    numbers = {key: number for number, (key, _) in enumerate(functions)}
    parts = [
        _HEAD,
        "<h1>Profile</h1>",
        (
            f"<p>Taken for {profile.wall_ns / 1e9:.3f} s; functions ran for {profile.run_ns / 1e9:.3f} s of it, "
            f"in {profile.switches} switches. Waiting is charged to nobody.</p>"
        ),
        _table(
            ("function", "calls", "own ms", "own %", "total ms", "per call µs"),
            [_row(key, function, profile, numbers) for key, function in functions],
        ),
        "<h2>Callers and callees</h2>",
    ]
    callers: dict[Key, list[tuple[Key, list[int]]]] = {}
    for key, function in functions:
        for callee, edge in function.callees.items():
            callers.setdefault(callee, []).append((key, edge))
    for key, function in functions:
        if function.total_ns >= _DETAIL_SHARE * profile.run_ns:
            parts.append(f'<h3 id="f{numbers[key]}">{escape(function_text(key))}</h3>')
            parts.append(_edges("called by", callers.get(key, []), numbers))
            parts.append(_edges("calls", list(function.callees.items()), numbers))
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _row(key: Key, function: FunctionProfile, profile: Profile, numbers: dict[Key, int]) -> tuple[str, ...]:
    share = 100 * function.self_ns / profile.run_ns if profile.run_ns else 0.0
    per_call = function.total_ns / function.calls / 1e3 if function.calls else 0.0
    return (
        _link(key, numbers),
        str(function.calls),
        f"{function.self_ns / 1e6:.3f}",
        f"{share:.1f}",
        f"{function.total_ns / 1e6:.3f}",
        f"{per_call:.2f}",
    )


def _edges(title: str, edges: list[tuple[Key, list[int]]], numbers: dict[Key, int]) -> str:
    if not edges:
        return ""
    edges = sorted(edges, key=lambda edge: -edge[1][1])
    rows = [(_link(key, numbers), str(calls), f"{ns / 1e6:.3f}") for key, (calls, ns) in edges]
    return _table((title, "calls", "total ms"), rows)


def _link(key: Key, numbers: dict[Key, int]) -> str:
    return f'<a href="#f{numbers[key]}">{escape(function_text(key))}</a>'


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
