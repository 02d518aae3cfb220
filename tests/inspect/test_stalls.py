"""The log of stalls."""

from __future__ import annotations

import pytest

from coro import inspect
from coro.inspect.stalls import STALLS_KEPT, StallLog
from coro.records import CulpritRecord, FrameRecord


def culprit(id: int | None, run_s: float, line: int = 1) -> CulpritRecord:
    return CulpritRecord(id, f"thread-{id}", run_s, (FrameRecord("mx.py", line, "parse", "x = y"),))


@pytest.fixture
def log() -> StallLog:
    return StallLog()


def test_stall_is_ongoing_until_it_is_finished(log: StallLog) -> None:
    stall = log.begin(1000.5, 250_000_000, culprit(7, 0.25))

    [record] = log.records()
    assert (record.began, record.duration_s, record.ongoing, record.kind) == (1000.5, 0.25, True, "slice")
    assert [one.id for one in record.culprits] == [7]
    assert log.ongoing() == record

    stall.update(500_000_000, collector_s=0.1)
    assert log.records()[0].duration_s == 0.5
    assert log.records()[0].collector_s == 0.1
    final = stall.finish(750_000_000, interrupted=True)
    assert log.records() == [final]
    assert (final.duration_s, final.ongoing, final.interrupted, final.collector_s) == (0.75, False, True, 0.1)
    assert log.ongoing() is None


def test_latest_stall_is_first_and_the_oldest_are_forgotten(log: StallLog) -> None:
    for number in range(STALLS_KEPT + 10):
        log.begin(float(number), 1).finish(2)

    assert [record.began for record in log.records()] == [float(n) for n in range(STALLS_KEPT + 9, 9, -1)]
    assert log.count == STALLS_KEPT + 10


def test_same_slice_is_one_culprit_with_its_latest_stack(log: StallLog) -> None:
    stall = log.begin(0.0, 1, culprit(7, 0.25, line=1))
    stall.add_culprit(culprit(7, 0.5, line=2))

    [record] = log.records()
    assert [(one.run_s, one.frames[0].line) for one in record.culprits] == [(0.5, 2)]


def test_of_many_slices_the_three_longest_are_kept(log: StallLog) -> None:
    stall = log.begin(0.0, 1, kind="queue")
    for id, run_s in [(1, 0.02), (2, 0.05), (3, 0.01), (4, 0.03), (2, 0.01)]:
        stall.add_culprit(culprit(id, run_s))

    assert [(one.id, one.run_s) for one in log.records()[0].culprits] == [(2, 0.05), (4, 0.03), (1, 0.02)]
    assert log.records()[0].kind == "queue"


def test_stall_that_was_none_is_taken_back(log: StallLog) -> None:
    stall = log.begin(0.0, 1)
    log.discard(stall)
    log.discard(stall)
    assert (log.records(), log.count) == ([], 0)


def test_record_that_was_read_does_not_change(log: StallLog) -> None:
    stall = log.begin(0.0, 1)
    [before] = log.records()
    stall.finish(10)
    assert before.ongoing


def test_nobody_watches_without_a_backdoor() -> None:
    assert inspect.stalls() == inspect.stall_log.records()
    assert inspect.stall_count() == inspect.stall_log.count
