"""Tables, and the order of their rows, made bit by bit: generators that pause after every row.

A None that is yielded is a pause: whoever drives the generator in a daemon looks at the clock there.  Between two
pauses lies the work on one row, some 20 us, however many rows there are.

Invariant: the width of what stands in a column is the same in every line, in the cells of a terminal, whatever
colours are painted on it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeVar

from coro.wire.style import Style

__all__ = ["Column", "cut", "display_width", "sorted_in_slices", "table"]

Record = Mapping[str, Any]
T = TypeVar("T")

_GAP = "  "
_MIN_WIDTH = 8
_READABLE_WIDTH = 20
# So many rows are measured before they are shown.
_BLOCK = 1000
_RUN_LENGTH = 32
_FAN_IN = 32


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    text: the cell of a record, printable.
    right: to the right, as numbers stand; None: if nothing but numbers is met.
    role: how it is painted; "state" and "status" stand for the value itself.
    cut: which end of a long text goes when the table is too wide; None if it is never cut.
    spare: columns with the highest number are left out first when cutting is not enough; 0 for never.
    """

    title: str
    text: Callable[[Record], str]
    right: bool | None = False
    role: str = ""
    cut: Literal["start", "end"] | None = None
    spare: int = 0


def display_width(text: str) -> int:
    """How many cells of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(2 if east_asian_width(char) in "WF" else 0 if category(char) in ("Mn", "Me") else 1 for char in text)


def cut(text: str, width: int, end: Literal["start", "end"] = "end") -> str:
    """The text, or as much of it as fits `width` cells with "…" for what is missing at its start or end."""
    if display_width(text) <= width:
        return text
    if width < 1:
        return ""
    kept: list[str] = []
    left = width - 1
    for char in reversed(text) if end == "start" else text:
        left -= 1 if char.isascii() else display_width(char)
        if left < 0:
            break
        kept.append(char)
    return "…" + "".join(reversed(kept)) if end == "start" else "".join(kept) + "…"


def _pad(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - display_width(text))
    return blanks + text if right else text + blanks


def table(
    columns: Sequence[Column], records: Iterable[Record | None], style: Style, width: int | None
) -> Iterator[str | None]:
    """The lines of a table with a header.

    records: a None among them is a pause, which is handed on.
    width: of the terminal, in cells: long texts are cut to fit, then spare columns left out; None for no limit.
    The first 1000 rows decide how wide the columns are; wider ones behind them move a column to the right.
    """
    layout = _Layout(columns, style, width)
    rows: list[list[str]] = []
    for record in records:
        if record is not None:
            row = [column.text(record) for column in columns]
            rows.append(row)
            layout.measure(row)
        yield None
        if len(rows) == _BLOCK:
            yield from layout.lines(rows)
            rows = []
    yield from layout.lines(rows)


class _Layout:
    """The widths of a table's columns, as far as its rows are known."""

    def __init__(self, columns: Sequence[Column], style: Style, limit: int | None) -> None:
        self.columns = columns
        self.style = style
        self.limit = limit
        self.natural = [display_width(column.title) for column in columns]
        self.right = [column.right is not False for column in columns]
        # Which columns are shown is settled by the header.
        self.shown: list[int] | None = None

    def measure(self, row: list[str]) -> None:
        for index, cell in enumerate(row):
            size = len(cell) if cell.isascii() else display_width(cell)
            if size > self.natural[index]:
                self.natural[index] = size
            if self.shown is None and self.columns[index].right is None and self.right[index]:
                self.right[index] = _is_numeric(cell)

    def lines(self, rows: list[list[str]]) -> Iterator[str]:
        widths = list(self.natural)
        columns, style = self.columns, self.style
        first = self.shown is None
        shown = list(range(len(columns))) if self.shown is None else self.shown
        if self.limit is not None:
            shown = _fit(columns, widths, shown, self.limit)
        if first:
            self.shown = shown
            yield _GAP.join(
                style.paint("header", self.cell(index, columns[index].title, widths)) for index in shown
            )
        for row in rows:
            yield _GAP.join([self.painted(index, row[index], widths) for index in shown])

    def painted(self, index: int, cell: str, widths: list[int]) -> str:
        role = self.columns[index].role
        text = self.cell(index, cell, widths)
        if not role:
            return text
        return self.style.paint(cell if role in ("state", "status") else role, text)

    def cell(self, index: int, cell: str, widths: list[int]) -> str:
        column = self.columns[index]
        if column.cut:
            cell = cut(cell, widths[index], column.cut)
        if self.right[index]:
            return _pad(cell, widths[index], right=True)
        # Nothing stands behind the last column.
        last = self.shown is not None and index == self.shown[-1]
        return cell if last else _pad(cell, widths[index], right=False)


def _is_numeric(cell: str) -> bool:
    return cell == "-" or cell.lstrip("-").replace(".", "", 1).isdecimal()


def _fit(columns: Sequence[Column], widths: list[int], shown: list[int], width: int) -> list[int]:
    """Shorten `widths` in place where columns may be cut; returns the indices of the columns that stay."""
    shown = list(shown)
    while True:
        excess = sum(widths[index] for index in shown) + len(_GAP) * (len(shown) - 1) - width
        if excess <= 0:
            return shown
        spare = max(shown, key=lambda index: columns[index].spare, default=0)
        # Long text is cut a little, then columns are left out, and only then is it cut to what can hardly be read.
        floor = _READABLE_WIDTH if columns[spare].spare else _MIN_WIDTH
        least = {i: max(floor, len(columns[i].title)) for i in shown if columns[i].cut}
        slack = sum(max(0, widths[i] - least[i]) for i in least)
        if slack >= excess or not columns[spare].spare:
            _squeeze(widths, least, excess)
            return shown
        shown.remove(spare)


def _squeeze(widths: list[int], least: dict[int, int], excess: int) -> None:
    while excess > 0:
        elastic = [index for index in least if widths[index] > least[index]]
        if not elastic:
            return
        widths[max(elastic, key=lambda index: widths[index])] -= 1
        excess -= 1


def sorted_in_slices(records: Iterable[T | None], key: Callable[[T], Any]) -> Generator[None, None, list[T]]:
    """The records in the order of their keys, stable; a None among them is a pause, and is dropped.

    To be used as `ordered = yield from sorted_in_slices(…)`.
    Keys must compare with each other.  Short runs are sorted, then merged 32 at a time, a pause every 16 records:
    a sort of 100 000 in one go would take 50 ms.
    """
    runs: list[list[tuple[Any, int, T]]] = []
    run: list[tuple[Any, int, T]] = []
    for index, record in enumerate(records):
        if record is None:
            yield None
            continue
        # The index settles ties, so that two records are never compared.
        run.append((key(record), index, record))
        if len(run) == _RUN_LENGTH:
            run.sort()
            runs.append(run)
            run = []
            yield None
    run.sort()
    runs.append(run)
    while len(runs) > 1:
        merged = []
        for start in range(0, len(runs), _FAN_IN):
            merged.append((yield from _merge(runs[start : start + _FAN_IN])))
        runs = merged
    # Taken apart bit by bit: to free 100 000 entries in one go takes 9 ms.
    backwards = runs.pop()
    backwards.reverse()
    ordered: list[T] = []
    while backwards:
        ordered.append(backwards.pop()[2])
        if len(ordered) % 64 == 0:
            yield None
    return ordered


def _merge(
    runs: list[list[tuple[Any, int, T]]],
) -> Generator[None, None, list[tuple[Any, int, T]]]:
    merged: list[tuple[Any, int, T]] = []
    if all(first[-1] <= second[0] for first, second in pairwise(runs) if first and second):
        # In order already, as records by id are: nothing to compare.
        for run in runs:
            merged += run
            yield None
        return merged
    for index, item in enumerate(heapq.merge(*runs)):
        merged.append(item)
        if index % 16 == 0:
            yield None
    return merged
