"""Tables and their order, bit by bit."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.wire.style import PLAIN, Style
from coro.wire.tables import Column, cut, display_width, sorted_in_slices, table
from coro.wire.units import text


def column(key: str, **options: Any) -> Column:
    return Column(key, lambda record: text(record.get(key)), **options)


def lines_of(columns: list[Column], records: list[dict[str, Any]], width: int | None = None) -> list[str]:
    return [line for line in table(columns, records, PLAIN, width) if line is not None]


def test_columns_stand_below_each_other() -> None:
    records = [{"id": 5, "name": "a"}, {"id": 1234, "name": "longer"}, {"id": None}]

    assert lines_of([column("id", right=True), column("name"), column("end")], records) == [
        "  id  name    end",
        "   5  a       -",
        "1234  longer  -",
        "   -  -       -",
    ]


def test_wide_letters_count_two_and_marks_none() -> None:
    lines = lines_of([column("name"), column("x")], [{"name": "漢字"}, {"name": "e\u0301t"}, {"name": "abcd"}])

    assert [line[:-1].rstrip() for line in lines[1:]] == ["漢字", "e\u0301t", "abcd"]
    assert {display_width(line) for line in lines} == {7}


def test_numbers_stand_right_where_nothing_else_is_met() -> None:
    records = [{"a": 5, "b": "x"}, {"a": 100, "b": 7}, {"a": None, "b": -1.5}]

    assert lines_of([column("a", right=None), column("b", right=None)], records) == [
        "  a  b",
        "  5  x",
        "100  7",
        "  -  -1.5",
    ]


def test_long_texts_are_cut_to_fit() -> None:
    columns = [column("id", right=True), column("name", cut="end"), column("path", cut="start")]
    records = [
        {"id": 1, "name": "a" * 30, "path": "/very/long/path/to/mx.py:88"},
        {"id": 22, "name": "b", "path": "c"},
    ]

    lines = lines_of(columns, records, width=30)

    assert lines == [
        "id  name          path",
        " 1  aaaaaaaaaaa…  …to/mx.py:88",
        "22  b             c",
    ]


def test_spare_columns_are_left_out_when_cutting_is_not_enough() -> None:
    columns = [column("id"), column("keep"), column("less", spare=1), column("least", spare=2)]
    record = {"id": "1" * 10, "keep": "k" * 10, "less": "l" * 10, "least": "m" * 10}

    assert lines_of(columns, [record], width=46)[0].split() == ["id", "keep", "less", "least"]
    assert lines_of(columns, [record], width=45)[0].split() == ["id", "keep", "less"]
    assert lines_of(columns, [record], width=25)[0].split() == ["id", "keep"]
    assert lines_of(columns, [record], width=3)[0].split() == ["id", "keep"]


class Loud(Style):
    def paint(self, role: str, text: str) -> str:
        return f"<{role}:{text}>"


def test_colours_stand_around_the_padded_cell() -> None:
    columns = [column("state", role="state"), column("id", role="id", right=True), column("x")]

    lines = [line for line in table(columns, [{"state": "new", "id": 5}], Loud(), None) if line is not None]

    assert lines == ["<header:state>  <header:id>  <header:x>", "<new:new  >  <id: 5>  -"]


def test_thousands_of_rows_come_in_blocks_without_waiting_for_the_last() -> None:
    taken = 0

    def records() -> Iterator[dict[str, Any] | None]:
        nonlocal taken
        for number in range(5000):
            taken += 1
            yield {"id": number, "name": "x" * (number // 1000)} if number % 2 else None

    lines: list[str] = []
    pauses = 0
    taken_at_header = None
    for line in table([column("id", right=True), column("name")], records(), PLAIN, None):
        if line is None:
            pauses += 1
        else:
            taken_at_header = taken_at_header or taken
            lines.append(line)

    assert taken_at_header == 2000
    assert pauses == 5000
    assert len(lines) == 2501
    assert lines[0] == "  id  name"
    assert lines[-1] == "4999  xxxx"


def test_table_of_nothing_is_its_header() -> None:
    assert lines_of([column("id"), column("name")], []) == ["id  name"]


@pytest.mark.parametrize(
    ("whole", "width", "end", "expected"),
    [
        ("abcdef", 6, "end", "abcdef"),
        ("abcdef", 5, "end", "abcd…"),
        ("abcdef", 5, "start", "…cdef"),
        ("漢字漢字", 6, "end", "漢字…"),
        ("漢字漢字", 5, "start", "…漢字"),
        ("abc", 1, "end", "…"),
        ("abc", 0, "end", ""),
        ("", 0, "end", ""),
    ],
)
def test_cutting(whole: str, width: int, end: Any, expected: str) -> None:
    assert cut(whole, width, end) == expected


@given(st.text(max_size=30), st.integers(1, 20), st.sampled_from(["start", "end"]))
def test_what_is_cut_fits(whole: str, width: int, end: Any) -> None:
    assert display_width(cut(whole, width, end)) <= width


def drain(generator: Generator[None, None, list[Any]]) -> tuple[list[Any], int]:
    pauses = 0
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value, pauses
        pauses += 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=3000))
def test_sort_is_that_of_sorted(keys: list[int]) -> None:
    records: list[Mapping[str, Any]] = [{"key": key, "at": index} for index, key in enumerate(keys)]

    ordered, _ = drain(sorted_in_slices(records, lambda record: record["key"]))

    assert ordered == sorted(records, key=lambda record: record["key"])


@pytest.mark.parametrize("step", [1, -1, 7919])
def test_sort_pauses_often(step: int) -> None:
    records = [{"key": index * step % 10_007} for index in range(10_000)]

    ordered, pauses = drain(sorted_in_slices([*records, None], lambda record: record["key"]))

    assert ordered == sorted(records, key=lambda record: record["key"])
    # Once for 32 records in the runs, for 64 at the end; for 16 in each of two merges, unless all is in order.
    assert pauses >= 10_000 / 32 + 10_000 / 64 + (0 if step == 1 else 2 * 10_000 / 16) - 1
