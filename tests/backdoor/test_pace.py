"""The pace of what goes on beside a daemon, under a fake clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import coro
from coro import testing
from coro.backdoor.pace import Pace, Rows
from coro.inspect.slices import DUTY, SLICE_NS
from tests.core.ticking import TickingClock


def test_rows_are_made_one_by_one_and_their_pauses_left_out() -> None:
    made = []

    def records() -> Iterator[int | None]:
        for number in (None, 1, None, None, 2, 3):
            made.append(number)
            yield number

    def main() -> None:
        reports: list[int] = []
        walked = Pace().walk(Rows(records(), lambda: reports.append(len(made))))

        assert made == []
        assert next(walked) == 1
        assert made == [None, 1]
        assert list(walked) == [2, 3]
        # Nothing may be reported in the middle of an answer.
        assert reports == [1]

    testing.run(main, real_descriptors=False)


def test_pauses_are_slept_at_as_between_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading of the clock takes a tenth of a slice, and there is one at each pause."""
    clock = TickingClock(SLICE_NS // 10)
    monkeypatch.setattr("coro.testing.running.FakeClock", lambda: clock)

    def walk() -> int:
        reports: list[None] = []
        rows: Rows[int] = Rows(iter([None] * 1000), lambda: reports.append(None))
        assert list(Pace().walk(rows)) == []
        return len(reports)

    def main() -> coro.coro:
        walker = coro.spawn(walk)
        assert walker.result() == 1000
        return walker

    began = clock.now_ns
    walker = testing.run(main, real_descriptors=False)

    assert walker.longest_slice_ns <= 2 * SLICE_NS
    assert clock.now_ns - began >= 1000 * SLICE_NS / 10 / DUTY


def test_none_among_an_applications_results_is_handed_out() -> None:
    def main() -> None:
        assert list(Pace().walk([None, 1, None])) == [None, 1, None]

    testing.run(main, real_descriptors=False)
