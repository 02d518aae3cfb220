"""shielded(): interrupts wait for the end of the block, but not for ever; what belongs inside does not wait."""

import math
from collections.abc import Callable
from typing import Any

import pytest

import coro
import coro.testing
from coro.exceptions import Interrupted
from coro.group import Group
from coro.scheduler import scheduler
from coro.shield import Shield, shielded
from coro.state import ThreadState
from coro.timed import timers
from coro.timeouts import timeout, with_timeout

SECOND = coro.ticks_per_sec


def run(main: Callable[..., Any], *args: Any) -> Any:
    return coro.testing.run(main, *args, real_descriptors=False)


def after(seconds: float, function: Callable[..., object], *args: Any) -> None:
    """Have a function called in the loop then."""
    timers.arm(coro.get_now() + round(seconds * SECOND), lambda _: function(*args))


class Watch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = coro.get_now()

    @property
    def seconds(self) -> float:
        return (coro.get_now() - self.start) / SECOND


# -- what waits


@pytest.mark.parametrize("error", [coro.Shutdown, coro.WakeUp, Interrupted, KeyError])
def test_exception_from_another_thread_waits_for_the_end_of_the_block(error: type[BaseException]) -> None:
    sent = error("now")

    def main() -> tuple[float, float, bool]:
        watch = Watch()
        after(1, coro.current().raise_exception, sent)
        with pytest.raises(error) as caught, shielded():
            coro.sleep_relative(3)
            inside = watch.seconds
        return inside, watch.seconds, caught.value is sent

    assert run(main) == (3, 3, True)


def test_timeout_around_the_block_waits_for_its_end() -> None:
    steps: list[float] = []

    def work(watch: Watch) -> None:
        with shielded():
            coro.sleep_relative(3)
            steps.append(watch.seconds)
        steps.append(-1)

    def main() -> None:
        for limit in (0, 1, 3):
            watch = Watch()
            with pytest.raises(coro.TimeoutError):
                with_timeout(limit, work, watch)
            with pytest.raises(coro.TimeoutError), timeout(limit):
                work(watch)

    run(main)
    assert steps == [3, 6] * 3


def test_what_waited_before_the_block_waits_on() -> None:
    def main() -> float:
        watch = Watch()
        scheduler.postpone(coro.current(), coro.WakeUp())
        with pytest.raises(coro.WakeUp), shielded():
            coro.sleep_relative(1)
        return watch.seconds

    assert run(main) == 1


def test_interrupt_that_came_before_the_block_does_not_wait() -> None:
    steps: list[str] = []

    def work() -> None:
        coro.sleep_relative(1)
        with shielded():
            steps.append("not reached")

    def main() -> None:
        thread = coro.spawn(work)
        coro.yield_slice()
        thread.shutdown()
        thread.join()

    run(main)
    assert steps == []


def test_each_waiting_interrupt_is_raised_in_its_turn() -> None:
    def main() -> list[object]:
        me = coro.current()
        raised: list[object] = []

        def send() -> None:
            for number in range(3):
                me.raise_exception(coro.WakeUp(number))

        after(1, send)
        try:
            with shielded():
                coro.sleep_relative(2)
        except coro.WakeUp as error:
            raised.append(error.args[0])
        for _ in range(3):
            try:
                coro.sleep_relative(1)
                raised.append("slept")
            except coro.WakeUp as error:
                raised.append(error.args[0])
        return raised

    assert run(main) == [0, 1, 2, "slept"]


def test_shutdown_drops_what_was_queued_behind_it() -> None:
    steps: list[str] = []

    def work() -> None:
        try:
            with shielded():
                coro.sleep_relative(2)
        finally:
            coro.sleep_relative(1)
            steps.append("cleaned up")

    def main() -> BaseException | None:
        thread = coro.spawn(work)
        coro.yield_slice()
        thread.shutdown()
        thread.raise_exception(coro.WakeUp)
        thread.join()
        return thread.error

    assert isinstance(run(main), coro.Shutdown)
    assert steps == ["cleaned up"]


def test_body_that_raises_leaves_the_interrupt_for_the_next_park() -> None:
    def main() -> float:
        watch = Watch()
        after(1, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(KeyError), shielded():
            coro.sleep_relative(2)
            raise KeyError
        with pytest.raises(coro.WakeUp):
            coro.sleep_relative(5)
        coro.sleep_relative(5)
        return watch.seconds

    assert run(main) == 7


def test_block_without_interrupts_just_ends() -> None:
    def main() -> int:
        with shielded() as shield:
            assert coro.current().shield is shield
            coro.sleep_relative(3)
        assert shield.lifted
        assert coro.current().shield is None
        assert len(timers) == 0
        coro.sleep_relative(100)
        return len(timers)

    assert run(main) == 0


# -- nested shields


def test_inner_shield_leaves_the_interrupt_to_the_outer_one() -> None:
    def main() -> list[float]:
        watch, times = Watch(), []
        after(1, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(coro.WakeUp), shielded() as outer:
            with shielded() as inner:
                assert inner.outer is outer
                coro.sleep_relative(2)
            assert coro.current().shield is outer
            coro.sleep_relative(2)
            times.append(watch.seconds)
        return times

    assert run(main) == [4]


def test_outer_limit_leaves_the_inner_shield_on() -> None:
    def main() -> tuple[float, float]:
        watch = Watch()
        after(1, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(coro.WakeUp), shielded(2) as outer:
            with shielded(10):
                coro.sleep_relative(5)
                assert outer.lifted
                inside = watch.seconds
            pytest.fail("the interrupt comes at the end of the inner block, the outer being lifted")
        return inside, watch.seconds

    assert run(main) == (5, 5)


def test_inner_limit_leaves_the_outer_shield_on() -> None:
    def main() -> tuple[float, object]:
        watch = Watch()
        after(1, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(coro.WakeUp), shielded() as outer:
            with shielded(2) as inner:
                coro.sleep_relative(5)
                assert inner.lifted
            shield = coro.current().shield
            assert shield is outer
        return watch.seconds, coro.current().shield

    assert run(main) == (5, None)


# -- the limit


def test_lifted_shield_delivers_what_waits_to_a_parked_thread_at_once() -> None:
    def main() -> float:
        watch = Watch()
        after(1, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(coro.WakeUp), shielded(3):
            coro.sleep_relative(60)
        assert len(timers) == 0
        return watch.seconds

    assert run(main) == 3


def test_lifted_shield_lets_later_interrupts_through() -> None:
    def main() -> float:
        watch = Watch()
        after(5, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(coro.WakeUp), shielded(3):
            coro.sleep_relative(60)
        return watch.seconds

    assert run(main) == 5


def test_default_limit_is_ten_seconds() -> None:
    def main() -> float:
        watch = Watch()
        after(1, coro.current().shutdown)
        with pytest.raises(coro.Shutdown), shielded():
            coro.sleep_relative(60)
        return watch.seconds

    assert run(main) == 10


def test_data_that_comes_with_the_limit_wins_once() -> None:
    def main() -> tuple[object, float]:
        watch, me = Watch(), coro.current()
        after(1, me.raise_exception, coro.WakeUp)
        after(3, me.schedule, "data")
        with pytest.raises(coro.WakeUp), shielded(3):
            value = coro._yield()
            coro.sleep_relative(60)
        return value, watch.seconds

    assert run(main) == ("data", 3)


def test_thread_that_only_yields_gets_what_waits_when_the_shield_is_lifted() -> None:
    turns = 0

    def main(clock: coro.testing.FakeClock) -> None:
        nonlocal turns
        scheduler.postpone(coro.current(), coro.WakeUp())
        with pytest.raises(coro.WakeUp), shielded(3):
            while True:
                turns += 1
                if turns == 10:
                    clock.advance(3)
                    scheduler.poll_due = 0
                coro.yield_slice()

    with coro.testing.fake_time(real_descriptors=False) as clock:
        coro.run(main, clock)
    assert turns == 10


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_is_no_protection(seconds: float) -> None:
    def main() -> float:
        watch = Watch()
        after(1, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(coro.WakeUp), shielded(seconds) as shield:
            assert shield.lifted
            coro.sleep_relative(3)
        return watch.seconds

    assert run(main) == 1


def test_infinite_limit_arms_no_timer() -> None:
    def main() -> float:
        watch = Watch()
        after(1, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(coro.WakeUp), shielded(math.inf):
            assert len(timers) == 1
            coro.sleep_relative(1e6)
        return watch.seconds

    assert run(main) == 1e6


# -- what belongs inside


@pytest.mark.parametrize("limit", [1, 0])
def test_timeout_inside_the_block_works(limit: float) -> None:
    def main() -> list[float]:
        watch, times = Watch(), []
        after(0.5, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(coro.WakeUp), shielded():
            for call in (coro.sleep_relative, coro.spawn(coro.sleep_relative, 60).join):
                with pytest.raises(coro.TimeoutError):
                    with_timeout(limit, call, 60)
                times.append(watch.seconds)
            with pytest.raises(coro.TimeoutError), timeout(limit):
                coro.sleep_relative(60)
            coro.sleep_relative(1)
            times.append(watch.seconds)
        return times

    assert run(main) == [limit, 2 * limit, 3 * limit + 1]


def test_no_time_inside_the_block_interrupts_a_yield() -> None:
    def main() -> float:
        watch = Watch()
        with shielded():
            with pytest.raises(coro.TimeoutError):
                with_timeout(0, coro.sleep_relative, 0)
            assert with_timeout(0, int) == 0
            coro.sleep_relative(3)
        return watch.seconds

    assert run(main) == 3


def test_reschedule_inside_the_block_takes_the_interrupt_back() -> None:
    def main() -> float:
        watch = Watch()
        with shielded():
            with timeout(0) as scope:
                scope.reschedule(3)
                coro.sleep_relative(1)
            assert not scope.expired
        return watch.seconds

    assert run(main) == 1


def test_data_wins_over_a_timeout_inside_the_block_once() -> None:
    def main() -> tuple[list[object], object]:
        me, got = coro.current(), []

        def work() -> None:
            got.append(coro._yield())
            got.append(coro._yield())

        with shielded():
            after(1, me.schedule, "data")
            with pytest.raises(coro.TimeoutError):
                with_timeout(1, work)
            after(1, me.schedule, "value")
            value = with_timeout(1, coro._yield)
            coro.sleep_relative(3)
        return got, value

    assert run(main) == (["data"], "value")


def test_flood_of_events_cannot_hold_off_a_timeout_inside_the_block() -> None:
    def main() -> int:
        consumer = coro.current()
        received = 0

        def feed(left: int) -> None:
            # Whenever the timeout is tried, there is data that has just come.
            consumer.schedule("data")
            if left:
                timers.arm(coro.get_now() + 1, feed, left - 1)

        def consume() -> None:
            nonlocal received
            while True:
                coro._yield()
                received += 1

        timers.arm(coro.get_now() + SECOND, feed, 1000)
        with shielded(), pytest.raises(coro.TimeoutError):
            with_timeout(1, consume)
        timers.clear()
        return received

    assert run(main) == 1


def test_timeout_inside_the_outer_and_around_the_inner_shield_waits_for_the_inner_one() -> None:
    def work(watch: Watch, times: list[float]) -> None:
        with shielded(100):
            coro.sleep_relative(5)
            times.append(watch.seconds)
        times.append(-1)

    def main() -> list[float]:
        watch, times = Watch(), []
        after(0.5, coro.current().raise_exception, coro.WakeUp)
        with pytest.raises(coro.WakeUp), shielded(100):
            with pytest.raises(coro.TimeoutError):
                with_timeout(1, work, watch, times)
            coro.sleep_relative(1)
            times.append(watch.seconds)
        return times

    assert run(main) == [5, 6]


def test_timeout_inside_a_lifted_shield_is_inside_the_outer_one_too() -> None:
    def main() -> float:
        watch = Watch()
        with shielded(100), shielded(1), pytest.raises(coro.TimeoutError):
            with_timeout(2, coro.sleep_relative, 60)
        return watch.seconds

    assert run(main) == 2


def test_group_inside_the_block_interrupts_its_body() -> None:
    def main() -> float:
        watch = Watch()
        with shielded(100), pytest.raises(ExceptionGroup), Group() as group:
            after(1, group.spawn, divmod, 1, 0)
            coro.sleep_relative(60)
        return watch.seconds

    assert run(main) == 1


# -- use


def test_shield_can_be_used_once_and_says_what_it_is() -> None:
    def main() -> None:
        shield = shielded(3)
        assert isinstance(shield, Shield)
        assert repr(shield) == "<shield of 3 s>"
        with shield, pytest.raises(RuntimeError, match="once"):
            shield.__enter__()
        assert repr(shield) == "<shield of 3 s, lifted>"
        with pytest.raises(RuntimeError, match="once"), shield:
            pass

    run(main)


@pytest.mark.parametrize(("seconds", "error"), [("1", TypeError), (None, TypeError), (math.nan, ValueError)])
def test_bad_limit_is_refused(seconds: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"shielded\(\)'s limit must be a number"):
        shielded(seconds)


def test_outside_a_thread_it_is_refused() -> None:
    with pytest.raises(coro.YieldFromMain, match=r"shielded\(\) needs a running loop"), shielded():
        pass


def test_shield_ends_with_the_thread_at_exit() -> None:
    """The loop's exit shuts everything down; the shield lets the block finish within the grace time."""
    steps: list[str] = []
    threads: list[ThreadState] = []

    def work() -> None:
        with shielded():
            coro.sleep_relative(2)
            steps.append("finished")
        steps.append("not reached")

    def main() -> None:
        threads.append(coro.spawn(work))
        coro.yield_slice()

    run(main)
    assert steps == ["finished"]
    assert threads[0].dead
