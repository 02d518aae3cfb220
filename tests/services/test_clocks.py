"""clocks.tsc_time: Shrapnel's names for the monotonic clock and the time of day."""

import time

import pytest

import coro
from coro.clocks import tsc_time
from coro.clocks.tsc_time import TSC
from coro.testing import fake_time
from coro.testing import run as run_in_fake_time

NOON_NS = 1_700_000_000_250_000_000


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The system's time of day, in nanoseconds since the epoch; the test may move it."""
    now = [NOON_NS]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    return now


def test_ticks_are_those_of_the_runtime() -> None:
    with fake_time() as clock:
        assert tsc_time.now_raw_tsc() == tsc_time.rdtsc() == coro.get_now() == clock.now_ns
        assert (tsc_time.ticks_per_sec, tsc_time.ticks_per_usec) == (coro.ticks_per_sec, coro.ticks_per_usec)


def test_sleeping_until_a_point_in_ticks() -> None:
    def main() -> int:
        begin = tsc_time.now_raw_tsc()
        coro.sleep_absolute(begin + 5 * tsc_time.ticks_per_sec)
        return tsc_time.now_raw_tsc() - begin

    assert run_in_fake_time(main) == 5_000_000_000


def test_time_of_day_in_every_unit(noon: list[int]) -> None:
    with fake_time() as clock:
        assert tsc_time.now_raw_posix_sec() == 1_700_000_000
        assert tsc_time.now_raw_posix_usec() == 1_700_000_000_250_000
        assert tsc_time.now_raw_posix_fsec() == 1_700_000_000.25
        assert tsc_time.get_kernel_usec() == 1_700_000_000_250_000
        clock.advance(10)
        assert tsc_time.now_raw_posix_sec() == 1_700_000_010
        assert tsc_time.now_raw_posix_fsec() == 1_700_000_010.25


def test_time_of_day_follows_the_systems_clock_when_it_is_told_to(noon: list[int]) -> None:
    with fake_time():
        assert tsc_time.now_raw_posix_sec() == 1_700_000_000
        noon[0] += 3600 * 1_000_000_000
        assert tsc_time.now_raw_posix_sec() == 1_700_000_000
        assert tsc_time.get_kernel_usec() == 1_700_003_600_250_000
        tsc_time.update_time_relation()
        assert tsc_time.now_raw_posix_sec() == 1_700_003_600


def test_another_clock_is_related_to_the_time_of_day_anew(noon: list[int]) -> None:
    with fake_time() as clock:
        clock.advance(1_000_000)
        assert tsc_time.now_raw_posix_sec() == 1_700_000_000
    with fake_time():
        assert tsc_time.now_raw_posix_sec() == 1_700_000_000


def test_real_time_of_day_is_the_systems() -> None:
    tsc_time.update_time_relation()

    assert tsc_time.now_raw_posix_fsec() == pytest.approx(time.time(), abs=1)


def test_points_in_time_go_to_ticks_and_back(noon: list[int]) -> None:
    with fake_time() as clock:
        now = clock.now_ns
        assert tsc_time.sec_to_ticks(1_700_000_000) == now - 250_000_000
        assert tsc_time.usec_to_ticks(1_700_000_000_250_001) == now + 1000
        assert tsc_time.fsec_to_ticks(1_700_000_000.5) == now + 250_000_000
        assert tsc_time.ticks_to_sec(now + 750_000_000) == 1_700_000_001
        assert tsc_time.ticks_to_usec(now + 1999) == 1_700_000_000_250_001
        assert tsc_time.ticks_to_fsec(now - 250_000_000) == 1_700_000_000.0


def test_tsc_object_compares_and_counts_as_its_ticks() -> None:
    first = TSC(5)

    assert first == TSC(5) == 5
    assert first != TSC(6)
    assert first < TSC(6) > 5
    assert first <= 5.0 < TSC(6)
    assert {first: 1}[TSC(5)] == 1
    assert first + 2 == 2 + first == TSC(7)
    assert (first - 2).tsc == 3
    assert (first + 1.9).tsc == 6
    assert (int(first), float(first)) == (5, 5.0)
    assert first != "5"


def test_tsc_objects_cannot_be_added_nor_compared_with_text() -> None:
    with pytest.raises(TypeError):
        TSC(1) + TSC(2)  # type: ignore[operator]
    with pytest.raises(TypeError):
        TSC(1) - "1"  # type: ignore[operator]
    with pytest.raises(TypeError):
        assert TSC(1) < "1"  # type: ignore[operator]


def test_tsc_object_tells_its_time_of_day(noon: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        with fake_time():
            now = tsc_time.now_tsc()
            assert now.tsc == coro.get_now()
            assert now.as_posix_sec() == 1_700_000_000
            assert now.as_posix_usec() == 1_700_000_000_250_000
            assert now.as_posix_fsec() == 1_700_000_000.25
            assert now.ctime() == "Tue Nov 14 22:13:20 2023"
            assert repr(now) == "<TSC: Tue Nov 14 22:13:20 2023>"
    finally:
        monkeypatch.undo()
        time.tzset()
