"""Results are shown bit by bit, so that a daemon that does it keeps its threads going."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from coro.wire.arguments import parse_line
from coro.wire.commands import COMMANDS
from coro.wire.encode import to_plain
from coro.wire.present import present, select
from tests.wire.samples import thread


def many(number: int) -> Iterator[dict[str, Any]]:
    for index in range(number):
        yield to_plain(
            thread(index, f"worker-{index}", waiting_s=index * 7919 % 10_007 / 10, spawned_by=index // 3)
        )


@pytest.mark.parametrize("line", ["ps", "ps -s wait", "ps -f 'id < 0'", "ps -s wait -f 'id > 0' -n 5", "tree"])
def test_ten_thousand_threads_are_shown_in_slices(line: str) -> None:
    records = list(many(10_000))
    name, _, rest = line.partition(" ")
    slices = []
    begin = time.thread_time_ns()
    for _ in present(COMMANDS[name], parse_line(COMMANDS[name], rest), records, width=100):
        slices.append(time.thread_time_ns() - begin)
        begin = time.thread_time_ns()

    assert len(slices) >= 10_000 or "-n" in line
    # The very longest are the collector's and the machine's.
    slices.sort()
    assert slices[int(len(slices) * 0.99)] < 100_000


def test_records_are_taken_one_by_one() -> None:
    taken = 0

    def source() -> Iterator[dict[str, Any] | None]:
        nonlocal taken
        for record in many(3000):
            taken += 1
            yield record
            yield None

    before = 0
    for _ in present(COMMANDS["ps"], {"filter": "id > 0", "limit": 2500}, source()):
        assert taken - before <= 1
        before = taken

    # A limit ends it before the source does.
    assert taken == 2501


def test_select_serves_those_who_print_json() -> None:
    records = list(many(10))
    chosen = [r for r in select({"filter": "id > 3", "sort": "wait", "limit": 2}, records) if r is not None]

    assert [record["waiting_s"] for record in chosen] == sorted(
        (r["waiting_s"] for r in records[4:]), reverse=True
    )[:2]
