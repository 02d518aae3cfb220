"""Results as lines of plain text: for the text console in the daemon, for pipes and for terminals.

Works on plain values, as decoded from JSON, never on live objects.  All data goes through `printable`, so a line
holds no control sequence but those that the style itself adds.

Invariant: between two items that the generator yields lies the work on one record.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from coro.wire.columns import COLUMNS, columns_of_keys
from coro.wire.commands import Command
from coro.wire.described import command_from_record
from coro.wire.escape import printable
from coro.wire.health import health_line
from coro.wire.layouts import LAYOUTS, change, key_values
from coro.wire.style import PLAIN, Style
from coro.wire.tables import Record, sorted_in_slices, table
from coro.wire.tree import tree
from coro.wire.units import count, text
from coro.wire.usage import help_text, usage
from coro.wire.words import UsageError

if TYPE_CHECKING:
    from coro.wire.filters import Filter

__all__ = ["PLAIN", "Style", "health_line", "present", "select"]

Lines = Iterator[str | None]

_NOTHING_TO_SHOW = {"coro.why/1": "no deadlock", "coro.stall/1": "no stall"}


def present(
    command: Command,
    arguments: Mapping[str, object],
    value: Any,
    *,
    style: Style = PLAIN,
    width: int | None = None,
) -> Lines:
    """The lines of a result, without line ends; and None for a pause after a bit of work (20 us or so).

    arguments: as parse() made them; sort, filter and limit are applied here.
    value: what stands in the result, in JSON's types, or an iterator of records, with None for a pause.  Records of
        schemas that are not known, and those with missing or more fields, are shown as well as can be.
    width: the terminal's, in cells, for tables; None for no limit, as in a pipe.
    Raises UsageError for a filter or a limit that is wrong.
    """
    if isinstance(value, dict):
        yield from _show_one(command, value, style, width)
    elif isinstance(value, str) or not isinstance(value, Iterable):
        yield from _show_scalar(value)
    else:
        yield from _show_list(command, select(arguments, value), style, width)


def select(arguments: Mapping[str, object], records: Iterable[Any]) -> Iterator[Any]:
    """What sort, filter and limit leave of the records, in order; and None for a pause.

    Records come by id, so that a sort by id is none.  A filter leaves only what is a record.  Raises UsageError.
    """
    limit = arguments.get("limit")
    if isinstance(limit, int) and limit < 0:
        raise UsageError(f"limit must be 0 or more, got {limit}")
    condition = arguments.get("filter")
    if isinstance(condition, str):
        records = _filtered(_compiled(condition), records)
    order = arguments.get("sort")
    if isinstance(order, str) and order in _SORT_KEYS:
        records = yield from sorted_in_slices(_records(records), _SORT_KEYS[order])
    left = limit if isinstance(limit, int) else -1
    for record in records:
        if left == 0:
            return
        if record is not None:
            left -= 1
        yield record


def _records(items: Iterable[Any]) -> Iterator[Record | None]:
    """The records among the items; None, a pause, instead of each other."""
    for item in items:
        yield item if isinstance(item, dict) else None


def _filtered(accepted: Filter, records: Iterable[Any]) -> Iterator[Record | None]:
    for record in _records(records):
        yield record if record is not None and accepted.matches(record) else None


def _gathered(items: Iterable[Any]) -> Generator[None, None, list[Any]]:
    found = []
    for item in items:
        if item is not None:
            found.append(item)
        yield None
    return found


def _compiled(condition: str) -> Filter:
    # Only who filters pays for the import.
    from coro.wire.filters import compile_filter

    return compile_filter(condition)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("-inf")


# What `ps` can be sorted by: the largest first, but names upwards.
_SORT_KEYS = {
    "run": lambda record: -_number(record.get("run_time_s")),
    "wait": lambda record: (record.get("state") != "waiting", -_number(record.get("waiting_s"))),
    "idle": lambda record: -_number(record.get("waiting_s")),
    "switches": lambda record: -_number(record.get("switches")),
    "name": lambda record: str(record.get("name")),
}


def _show_one(command: Command, record: Record, style: Style, width: int | None) -> Lines:
    if command.schema in LAYOUTS or command.schema in COLUMNS or command.schema == "coro.command/1":
        yield from _show_list(command, [record], style, width)
    else:
        yield from key_values(((text(str(key)), count(item)) for key, item in record.items()), style)


def _show_list(command: Command, items: Iterable[Any], style: Style, width: int | None) -> Lines:
    schema = command.schema
    if schema in LAYOUTS:
        yield from _show_each(command, items, style, width)
    elif schema == "coro.command/1":
        yield from _show_help((yield from _gathered(_records(items))), style)
    elif command.name == "tree" and schema == "coro.thread/1":
        yield from tree((yield from _gathered(_records(items))), style, width)
    elif schema == "coro.setting/1":
        yield from _show_settings((yield from _gathered(_records(items))), style, width)
    elif schema in COLUMNS:
        yield from table(COLUMNS[schema], _records(items), style, width)
    else:
        yield from _show_unknown((yield from _gathered(items)), style, width)


def _show_each(command: Command, items: Iterable[Any], style: Style, width: int | None) -> Lines:
    shown = 0
    for record in _records(items):
        if record is None:
            yield None
            continue
        if shown and command.schema == "coro.why/1":
            yield ""
        shown += 1
        yield from LAYOUTS[command.schema](record, style, width)
    if not shown and command.schema in _NOTHING_TO_SHOW:
        yield _NOTHING_TO_SHOW[command.schema]


def _show_settings(records: list[Record], style: Style, width: int | None) -> Lines:
    """A change as one line each; else the present values as a table."""
    changed = [record for record in records if record.get("old") is not None]
    for record in changed:
        yield change(record, style)
    if not changed:
        yield from table(COLUMNS["coro.setting/1"], records, style, width)


def _show_unknown(records: list[Any], style: Style, width: int | None) -> Lines:
    keys: dict[str, None] = {}
    for record in records:
        if not isinstance(record, dict):
            break
        keys.update(dict.fromkeys(filter(_is_text, record)))
        yield None
    else:
        if keys:
            yield from table(columns_of_keys(list(keys)), records, style, width)
        return
    for record in records:
        yield from _show_scalar(record)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _show_scalar(value: Any) -> Lines:
    if value is None:
        return
    if not isinstance(value, str):
        yield count(value)
        return
    for line in value.split("\n"):
        yield printable(line, "\t")


def _show_help(records: list[Record], style: Style) -> Lines:
    commands = []
    for record in records:
        try:
            commands.append(command_from_record(record))
        except ValueError:
            # Without a name it cannot be called.
            continue
        yield None
    if len(commands) == 1:
        yield from help_text(commands[0])
        return
    for group, title in (("look", "look"), ("act", "act"), ("session", "session")):
        members = [command for command in commands if command.group == group]
        if members:
            yield style.paint("header", title)
        for command in members:
            line = usage(command)
            if len(line) > 34:
                line = f"{printable(command.name)} ..."
            yield f"  {style.paint('name', line)}{' ' * (34 - len(line))}  {text(command.summary)}"
            yield None
