"""The tree of threads: who spawned whom.

Invariant: every record is shown once, also those whose spawners form a circle, which only a broken or hostile peer
sends; and the text is linear in their number, however deep the tree is.
"""

from __future__ import annotations

from collections.abc import Iterator

from coro.wire.columns import waiting_text
from coro.wire.layouts import quoted
from coro.wire.style import Style
from coro.wire.tables import Record
from coro.wire.units import duration, text

__all__ = ["tree"]

# Indentation grows no further: a chain of 10 000 spawns would be a hundred megabytes of blanks.
_MAX_DEPTH = 24


def tree(records: list[Record], style: Style, width: int | None) -> Iterator[str | None]:
    """One line for each thread, those that it spawned below it; the children of one in the order given."""
    known: set[object] = set()
    for record in records:
        if not _is_task(record):
            known.add(_key(record.get("id")))
        yield None
    children: dict[object, list[Record]] = {}
    roots: list[Record] = []
    for record in records:
        parent = _key(record.get("spawned_by"))
        if parent in known and (parent != _key(record.get("id")) or _is_task(record)):
            children.setdefault(parent, []).append(record)
        else:
            roots.append(record)
        yield None
    shown: set[int] = set()
    yield from _branches(roots, children, style, shown)
    # What is left hangs on a circle: it is cut at its first record.
    for record in records:
        if id(record) not in shown:
            yield from _branches([record], children, style, shown)
        yield None


def _is_task(record: Record) -> bool:
    """Whether it is an asyncio task, which stands below its thread, and nothing below it."""
    return record.get("task") is not None


def _key(value: object) -> object:
    return value if isinstance(value, (int, str)) else None


def _branches(
    roots: list[Record], children: dict[object, list[Record]], style: Style, shown: set[int]
) -> Iterator[str | None]:
    fork, corner, bar = ("├─ ", "└─ ", "│  ") if style.unicode else ("|- ", "`- ", "|  ")
    # (record, what stands before its children's lines, what before its own, depth); the next one is the last.
    waiting = [(record, "", "", 0) for record in reversed(roots)]
    while waiting:
        record, indent, prefix, depth = waiting.pop()
        if id(record) in shown:
            continue
        shown.add(id(record))
        mark = f"[{depth} deep] " if depth > _MAX_DEPTH else ""
        yield f"{style.paint('dim', prefix + mark)}{_about(record, style)}"
        offspring = [] if _is_task(record) else children.pop(_key(record.get("id")), [])
        deeper = depth + 1 < _MAX_DEPTH
        for index, child in enumerate(reversed(offspring)):
            branch = corner if index == 0 else fork
            below = indent + ("   " if index == 0 else bar) if deeper else indent
            waiting.append((child, below, indent + branch, depth + 1))
            yield None


def _about(record: Record, style: Style) -> str:
    state = text(record.get("state"))
    facts = [style.paint(state, state)]
    if record.get("waiting_for"):
        facts.append(f"for {waiting_text(record)}")
    if record.get("waiting_s") is not None:
        facts.append(f"({duration(record['waiting_s'])})")
    who = style.paint("id", text(record.get("id")))
    name = record.get("name")
    if _is_task(record):
        who, name = "task", record["task"]
    return f"{who} {style.paint('name', quoted(name))}  {' '.join(facts)}"
