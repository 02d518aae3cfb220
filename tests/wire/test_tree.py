"""Who spawned whom."""

from __future__ import annotations

from typing import Any

from coro.wire.encode import to_plain
from coro.wire.style import PLAIN, Style
from coro.wire.tree import tree
from tests.wire.samples import THREADS


def shown(records: list[dict[str, Any]], style: Style = PLAIN) -> list[str]:
    return [line for line in tree(records, style, None) if line is not None]


def spawned(pairs: list[tuple[int, int]]) -> list[dict[str, Any]]:
    return [{"id": child, "name": "t", "state": "new", "spawned_by": parent} for child, parent in pairs]


def ids(lines: list[str]) -> list[int]:
    return [int(next(word for word in line.split() if word.isdigit())) for line in lines]


def test_children_stand_below_their_spawner() -> None:
    assert shown(to_plain(THREADS)) == [
        '1 "main"  waiting for sleep 3.000 s (3.4 s)',
        '|- 17 "evil\\x1b[2J\\x9b31m\\u202e\\udc80\\nname"  waiting for read descriptor 7 (3.4 s)',
        '|  |- 19 "conn"  runnable (120 us)',
        '|  `- 20 "late"  new',
        '`- 18 "漢字"  running',
    ]


class Boxes(Style):
    unicode = True


def test_lines_are_drawn_where_the_terminal_can() -> None:
    lines = shown(spawned([(1, -1), (2, 1), (3, 2), (4, 1)]), Boxes())

    assert [line.partition(" t")[0].partition(' "')[0] for line in lines] == ["1", "├─ 2", "│  └─ 3", "└─ 4"]


def test_thread_whose_spawner_has_ended_is_a_root() -> None:
    assert shown(spawned([(5, 99), (6, 5)])) == ['5 "t"  new', '`- 6 "t"  new']


def test_everyone_is_shown_once_even_in_a_circle() -> None:
    lines = shown(spawned([(1, -1), (2, 3), (3, 4), (4, 2), (5, 5), (6, 4)]))

    assert sorted(ids(lines)) == [1, 2, 3, 4, 5, 6]


def test_records_with_the_same_id_are_all_shown() -> None:
    assert len(shown(spawned([(1, -1), (1, -1), (2, 1), (2, 1)]))) == 4


def test_records_without_ids_are_shown() -> None:
    assert len(shown([{}, {"id": None, "spawned_by": None}, {"id": [1], "spawned_by": [1]}])) == 3


def test_deep_chain_takes_text_in_proportion() -> None:
    depth = 20_000
    lines = shown(spawned([(i, i - 1) for i in range(depth)]))

    assert len(lines) == depth
    assert max(map(len, lines)) < 150
    assert "[19999 deep]" in lines[-1]


def test_pause_between_lines() -> None:
    items = list(tree(spawned([(i, 0) for i in range(1000)]), PLAIN, None))

    assert items.count(None) >= 2000
