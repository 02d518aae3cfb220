"""time.sleep(), emulated, as a function: nothing is installed."""

import time
from typing import Any

import pytest

import coro
from coro import testing
from coro.emulation.sleeping import sleep


def test_sleeps_the_whole_time_whoever_schedules_the_thread() -> None:
    def main() -> int:
        before = coro.get_now()
        sleeper = coro.spawn(sleep, 2)
        coro.sleep_relative(1)
        sleeper.schedule()
        sleeper.join()
        return coro.get_now() - before

    assert testing.run(main) == 2_000_000_000


def test_zero_lets_the_others_run() -> None:
    order = []

    def main() -> None:
        coro.spawn(order.append, "other")
        sleep(0)
        order.append("me")

    testing.run(main)

    assert order == ["other", "me"]


@pytest.mark.parametrize("seconds", [-1, "1", None, float("nan"), float("inf"), 1e30])
def test_wrong_arguments_get_the_original_s_errors(seconds: Any) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)) as expected:
        time.sleep(seconds)

    def main() -> None:
        sleep(seconds)

    with pytest.raises(expected.type) as found:
        testing.run(main)
    assert str(found.value) == str(expected.value)


def test_interrupted_sleeper_stops_sleeping() -> None:
    def main() -> None:
        sleeper = coro.spawn(sleep, 100)
        coro.yield_slice()
        sleeper.raise_exception(coro.WakeUp)
        with pytest.raises(coro.WakeUp):
            sleeper.result()

    testing.run(main)
