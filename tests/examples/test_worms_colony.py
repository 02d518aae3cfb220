"""The worms' threads, under the fake clock: their minutes cost us a second."""

from collections.abc import Callable
from random import Random

import pytest

import coro
from coro import testing
from examples.worms.arena import COLOUR_SHIFT, LONGEST, SHORTEST, Arena
from examples.worms.colony import FASTEST, MAX_WORMS, SLOWEST, Colony


def in_a_colony(life: Callable[[Colony], None]) -> None:
    """Run `life(colony)` in a thread, with no worms yet."""
    dice = Random(1)
    testing.run(life, Colony(Arena(100, 40, dice), dice), real_descriptors=False)


def squares_taken(colony: Colony) -> int:
    return sum(code >> COLOUR_SHIFT != 0 for row in colony.arena.rows for code in row)


def steps_in(colony: Colony, seconds: float) -> int:
    """How often worms crawl in that time."""
    steps = 0
    for worm in colony.threads:
        crawl = worm.crawl

        def count(crawl: Callable[[], bool] = crawl) -> bool:
            nonlocal steps
            steps += 1
            return crawl()

        worm.crawl = count  # type: ignore[method-assign]
    coro.sleep_relative(seconds)
    for worm in colony.threads:
        del worm.crawl  # type: ignore[method-assign]
    return steps


def test_each_worm_is_a_thread_with_a_name() -> None:
    def life(colony: Colony) -> None:
        assert colony.add(3) == 3
        coro.sleep_relative(5)

        assert [thread.name for thread in colony.threads.values()] == [
            "worm-1-salmon",
            "worm-2-sand",
            "worm-3-gold",
        ]
        assert all(thread.waiting_for == "sleep" for thread in colony.threads.values())
        assert len({worm.colour for worm in colony.threads}) == 3
        assert squares_taken(colony) == sum(len(worm.body) for worm in colony.threads) > 3
        assert 3 * 5 / 0.25 <= steps_in(colony, 5) <= 3 * 5 / 0.05

    in_a_colony(life)


def test_culled_worms_are_the_youngest_and_leave_nothing_behind() -> None:
    def life(colony: Colony) -> None:
        colony.add(5)
        coro.sleep_relative(5)
        threads = list(colony.threads.values())

        assert colony.cull(2) == 2
        coro.yield_slice()

        assert [thread.dead for thread in threads] == [False] * 3 + [True] * 2
        assert squares_taken(colony) == sum(len(worm.body) for worm in colony.threads)
        assert colony.cull(10) == 3
        coro.yield_slice()
        assert (len(colony), squares_taken(colony), coro.get_live_coros()) == (0, 0, 1)

    in_a_colony(life)


def test_worm_can_be_culled_before_it_is_born() -> None:
    def life(colony: Colony) -> None:
        colony.add(2)
        colony.cull(1)
        coro.sleep_relative(1)

        assert len(colony) == 1
        assert coro.get_live_coros() == 2

    in_a_colony(life)


def test_there_are_never_too_many() -> None:
    def life(colony: Colony) -> None:
        assert colony.add(MAX_WORMS - 1) == MAX_WORMS - 1
        assert colony.add(100) == 1
        assert colony.add(1) == 0

    in_a_colony(life)


def test_hundreds_of_worms_live_on_for_minutes() -> None:
    def life(colony: Colony) -> None:
        colony.add(200)
        coro.sleep_relative(120)

        # A few may be boxed in for good, and give up.
        assert len(colony) > 190
        assert coro.get_live_coros() == len(colony) + 1
        assert squares_taken(colony) == sum(len(worm.body) for worm in colony.threads)

    in_a_colony(life)


def test_worm_without_room_ends() -> None:
    def life(colony: Colony) -> None:
        for row in colony.arena.rows:
            row[:] = [1] * len(row)
        colony.add(1)
        coro.yield_slice()

        assert len(colony) == 0
        assert coro.get_live_coros() == 1

    in_a_colony(life)


def test_lengthening_reaches_all_worms_and_those_to_come() -> None:
    def life(colony: Colony) -> None:
        colony.add(20)
        wanted = [worm.wanted_length for worm in colony.threads]
        colony.lengthen(10)
        assert [worm.wanted_length for worm in colony.threads] == [length + 10 for length in wanted]
        colony.add(20)
        assert min(worm.wanted_length for worm in colony.threads) >= 16
        colony.lengthen(-1000)
        assert {worm.wanted_length for worm in colony.threads} == {SHORTEST}
        colony.lengthen(1000)
        assert {worm.wanted_length for worm in colony.threads} <= {LONGEST}

    in_a_colony(life)


@pytest.mark.parametrize(("factor", "limit"), [(2, FASTEST), (0.5, SLOWEST)])
def test_hurry_changes_the_speed_up_to_a_limit(factor: float, limit: float) -> None:
    def life(colony: Colony) -> None:
        colony.add(20)
        coro.sleep_relative(1)
        before = steps_in(colony, 20)
        colony.hurry(factor)
        # The sleep that a worm is in ends as it began.
        coro.sleep_relative(1)
        assert steps_in(colony, 20) == pytest.approx(before * factor, rel=0.1)
        for _ in range(10):
            colony.hurry(factor)
        assert colony.speed == limit

    in_a_colony(life)


def test_end_of_the_program_takes_all_worms_off() -> None:
    colonies = []

    def life(colony: Colony) -> None:
        colonies.append(colony)
        colony.add(50)
        coro.sleep_relative(5)
        assert squares_taken(colony) > 100

    in_a_colony(life)

    assert (len(colonies[0]), squares_taken(colonies[0])) == (0, 0)
