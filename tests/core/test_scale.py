"""Many threads, and deep ones.  Counts, not times: every test ends soon or not at all."""

import sys
from typing import Any

import pytest

import coro
from coro import testing


@pytest.mark.slow
def test_hundred_thousand_sleeping_threads() -> None:
    count = 100_000

    def main() -> None:
        woken = [0] * 10

        def sleep(seconds: int) -> None:
            coro.sleep_relative(seconds)
            woken[seconds - 1] += 1

        coro.set_latency_warning(0)
        for number in range(count):
            coro.spawn(sleep, number % 10 + 1)
        coro.sleep_relative(0.5)
        assert coro.get_live_coros() == count + 1
        for seconds in range(10):
            assert woken == [count // 10] * seconds + [0] * (10 - seconds)
            coro.sleep_relative(1)
        assert woken == [count // 10] * 10
        assert coro.get_live_coros() == 1

    testing.run(main, real_descriptors=False)


@pytest.mark.slow
def test_hundred_thousand_threads_are_shut_down_at_the_exit() -> None:
    count = 100_000
    cleaned = 0

    def sleep() -> None:
        nonlocal cleaned
        try:
            coro.sleep_relative(1000)
        finally:
            cleaned += 1

    def main() -> None:
        coro.set_latency_warning(0)
        for _ in range(count):
            coro.spawn(sleep)
        coro.sleep_relative(1)

    testing.run(main, real_descriptors=False)
    assert cleaned == count
    assert not coro.all_threads


def test_chain_of_three_thousand_threads_each_joining_the_next() -> None:
    def main() -> None:
        ended: list[int] = []

        def link(number: int, following: coro.coro) -> None:
            following.join()
            ended.append(number)

        thread = coro.spawn(coro.sleep_relative, 1)
        for number in range(3000):
            thread = coro.spawn(link, number, thread)
        thread.join()
        assert ended == list(range(3000))
        assert coro.get_live_coros() == 1

    testing.run(main, real_descriptors=False)


def test_chain_of_three_thousand_threads_each_handing_on_a_result() -> None:
    def end(outcome: str) -> str:
        coro.sleep_relative(1)
        if outcome == "failure":
            raise ValueError("from the very end")
        return outcome

    def main() -> None:
        told: list[BaseException] = []
        coro.set_exception_notifier(lambda thread, error: told.append(error))
        for outcome in ("value", "failure"):
            thread = coro.spawn(end, outcome)
            for _ in range(3000):
                thread = coro.spawn(thread.result)
            if outcome == "value":
                assert thread.result() == "value"
            else:
                with pytest.raises(ValueError, match="from the very end"):
                    thread.result()
        assert told == [], "each was waited for"

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("depth", [500, 900])
def test_switches_from_deep_recursion(depth: int) -> None:
    assert depth < sys.getrecursionlimit()

    def dive(levels: int, then: Any) -> Any:
        return dive(levels - 1, then) if levels else then()

    def main() -> None:
        def switch() -> str:
            for _ in range(20):
                coro.yield_slice()
                coro.sleep_relative(1)
                coro.spawn(int).join()
            return "up again"

        threads = [coro.spawn(dive, depth, switch) for _ in range(20)]
        assert [thread.result() for thread in threads] == ["up again"] * 20

    # Under pytest the stack is deep before the loop begins.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 500)
    try:
        testing.run(main, real_descriptors=False)
    finally:
        sys.setrecursionlimit(limit)


def test_thread_that_recurses_without_end_ends_alone() -> None:
    told: list[BaseException] = []
    coro.set_exception_notifier(lambda thread, error: told.append(error))

    def dive() -> None:
        dive()

    def main() -> str:
        coro.spawn(dive).join()
        coro.sleep_relative(1)
        return "went on"

    assert testing.run(main, real_descriptors=False) == "went on"
    assert [type(error) for error in told] == [RecursionError]


def test_many_joiners_of_one_thread_that_give_up() -> None:
    def main() -> None:
        target = coro.spawn(coro._yield)
        joiners = [coro.spawn(target.join, 1 + number % 5) for number in range(3000)]
        coro.set_exception_notifier(lambda thread, error: None)
        coro.sleep_relative(10)
        assert all(isinstance(joiner.error, coro.TimeoutError) for joiner in joiners)
        assert target.joiners == []
        target.schedule()

    testing.run(main, real_descriptors=False)
