"""with_timeout(), timeout() and deadline(): who is interrupted, when, and which frame turns that into an error."""

import builtins
import gc
import math
import random
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest

import coro
import coro.testing
from coro.exceptions import Interrupted
from coro.scheduler import scheduler
from coro.timed import timers
from coro.timeouts import Alarm, TimeoutScope, deadline, timeout, with_timeout

SECOND = coro.ticks_per_sec


def run(main: Callable[..., Any], *args: Any) -> Any:
    return coro.testing.run(main, *args, real_descriptors=False)


def in_block(seconds: float, function: Callable[..., Any], *args: Any) -> Any:
    """As with_timeout(), by timeout()."""
    with timeout(seconds):
        return function(*args)


def until(seconds: float, function: Callable[..., Any], *args: Any) -> Any:
    """As with_timeout(), by deadline()."""
    with deadline(coro.get_now() + round(seconds * SECOND)):
        return function(*args)


FORMS = [with_timeout, in_block, until]
form = pytest.mark.parametrize("limit", FORMS)


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """What a call returns, or the type of what it raises."""
    try:
        return function(*args)
    except BaseException as error:
        return type(error)


# -- one timeout


def test_with_timeout_passes_arguments_and_returns_the_value() -> None:
    def main() -> object:
        return with_timeout(1, dict, [("a", 1)], seconds=2, function=3)

    assert run(main) == {"a": 1, "seconds": 2, "function": 3}


@form
def test_what_takes_longer_raises_timeout_error_when_the_time_is_over(limit: Callable[..., Any]) -> None:
    def main() -> tuple[object, int]:
        start = coro.get_now()
        return outcome(limit, 1.5, coro.sleep_relative, 60), coro.get_now() - start

    assert run(main) == (coro.TimeoutError, 1.5 * SECOND)


@form
def test_what_ends_in_time_leaves_no_timer_and_no_interrupt(limit: Callable[..., Any]) -> None:
    def main() -> tuple[object, int, int]:
        limit(1, coro.sleep_relative, 0.5)
        left = len(timers)
        start = coro.get_now()
        coro.sleep_relative(10)
        return left, coro.get_now() - start, len(timers)

    assert run(main) == (0, 10 * SECOND, 0)


def test_error_names_the_limit_and_where_the_function_waited() -> None:
    def waits_here() -> None:
        coro.sleep_relative(60)

    def main() -> None:
        with pytest.raises(coro.TimeoutError, match=r"timed out after 1\.5 s") as caught:
            with_timeout(1.5, waits_here)
        error = caught.value
        assert error.seconds == 1.5
        assert isinstance(error, builtins.TimeoutError)
        assert type(error.__cause__) is Interrupted
        assert repr(error.__cause__.args[0]) == "<timeout of 1.5 s>"
        names = []
        traceback = error.__cause__.__traceback__
        while traceback is not None:
            names.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        assert "waits_here" in names
        with pytest.raises(coro.TimeoutError, match="the deadline has passed") as caught, deadline(0):
            coro.yield_slice()
        assert caught.value.seconds is None

    run(main)


@form
def test_interrupt_travels_as_interrupted_with_a_token_of_its_own(limit: Callable[..., Any]) -> None:
    seen: list[BaseException] = []

    def work() -> None:
        try:
            coro.sleep_relative(60)
        except Exception as error:
            raise AssertionError("`except Exception` caught the interrupt") from error
        except BaseException as error:
            seen.append(error)
            raise

    def main() -> None:
        for _ in range(2):
            assert outcome(limit, 1, work) is coro.TimeoutError

    run(main)
    assert [type(error) for error in seen] == [Interrupted, Interrupted]
    assert seen[0].args[0] is not seen[1].args[0]


@form
def test_function_that_keeps_the_interrupt_to_itself_returns_its_value(limit: Callable[..., Any]) -> None:
    def work() -> str:
        try:
            coro.sleep_relative(60)
        except Interrupted:
            coro.sleep_relative(60)
        return "done"

    def main() -> object:
        return outcome(limit, 1, work)

    assert run(main) == "done"


@form
def test_finally_may_block_while_the_timeout_is_on_its_way(limit: Callable[..., Any]) -> None:
    steps: list[object] = []

    def work() -> None:
        try:
            coro.sleep_relative(60)
        finally:
            coro.sleep_relative(3)
            steps.append("cleaned up")

    def main() -> int:
        start = coro.get_now()
        steps.append(outcome(limit, 1, work))
        return coro.get_now() - start

    assert run(main) == 4 * SECOND
    assert steps == ["cleaned up", coro.TimeoutError]


@form
@pytest.mark.parametrize("error", [ValueError, coro.Shutdown, Interrupted, coro.TimeoutError, KeyError])
def test_other_exceptions_pass_through(limit: Callable[..., Any], error: type[BaseException]) -> None:
    raised = error("another")

    def main() -> BaseException:
        me = coro.current()

        def interrupt() -> None:
            me.raise_exception(raised)

        coro.spawn(interrupt)
        with pytest.raises(error) as caught:
            limit(1, coro.sleep_relative, 60)
        assert len(timers) == 0
        coro.sleep_relative(5)
        return caught.value

    assert run(main) is raised


# -- data and timeout at once


@form
def test_data_wins_over_a_timeout_that_fires_before_the_thread_runs(limit: Callable[..., Any]) -> None:
    def main() -> tuple[object, int]:
        me = coro.current()
        timers.arm(coro.get_now() + SECOND, lambda _: me.schedule("data"))
        value = outcome(limit, 1, coro._yield)
        start = coro.get_now()
        # The interrupt was withdrawn with the frame.
        coro.sleep_relative(5)
        return value, coro.get_now() - start

    assert run(main) == ("data", 5 * SECOND)


@form
def test_data_wins_only_once(limit: Callable[..., Any]) -> None:
    got: list[object] = []

    def work() -> None:
        got.append(coro._yield())
        got.append(coro._yield())

    def main() -> tuple[object, int]:
        me = coro.current()
        start = coro.get_now()
        timers.arm(start + SECOND, lambda _: me.schedule("data"))
        timers.arm(start + 2 * SECOND, lambda _: me.schedule("more"))
        return outcome(limit, 1, work), coro.get_now() - start

    assert run(main) == (coro.TimeoutError, SECOND)
    assert got == ["data"]


@form
def test_timeout_wins_over_data_that_comes_after_it(limit: Callable[..., Any]) -> None:
    def main() -> tuple[object, object]:
        me = coro.current()
        refused: list[object] = []

        def late(_: object) -> None:
            refused.append(outcome(me.schedule, "data"))

        def work() -> object:
            timers.arm(coro.get_now() + SECOND, late)
            return coro._yield()

        return outcome(limit, 1, work), refused

    assert run(main) == (coro.TimeoutError, [coro.ScheduleError])


@form
def test_flood_of_events_cannot_hold_a_timeout_off(limit: Callable[..., Any]) -> None:
    received = 0

    def consume() -> None:
        nonlocal received
        while True:
            coro._yield()
            received += 1

    def main(clock: coro.testing.FakeClock) -> tuple[object, float]:
        consumer = coro.current()

        def flood() -> None:
            while True:
                if not consumer.scheduled:
                    consumer.schedule("data")
                clock.advance(0.01)
                coro.yield_slice()

        producer = coro.spawn(flood)
        start = coro.get_now()
        result = outcome(limit, 1, consume)
        producer.shutdown()
        return result, (coro.get_now() - start) / SECOND

    with coro.testing.fake_time(real_descriptors=False) as clock:
        result, elapsed_s = coro.run(main, clock)

    assert result is coro.TimeoutError
    assert received > 50
    # The clock asks for a poll every 200 readings, a hundred rounds.
    assert 1 <= elapsed_s < 3


@form
def test_thread_that_only_yields_is_interrupted_at_once(limit: Callable[..., Any]) -> None:
    turns = 0

    def spin(clock: coro.testing.FakeClock) -> None:
        nonlocal turns
        while True:
            turns += 1
            if turns == 10:
                clock.advance(1)
                scheduler.poll_due = 0
            coro.yield_slice()

    def main(clock: coro.testing.FakeClock) -> object:
        return outcome(limit, 1, spin, clock)

    with coro.testing.fake_time(real_descriptors=False) as clock:
        assert coro.run(main, clock) is coro.TimeoutError
    assert turns == 10


# -- no time at all


@form
@pytest.mark.parametrize("seconds", [0, -1, 0.0, -1e9])
def test_zero_and_less_let_the_function_run_until_it_first_blocks(
    limit: Callable[..., Any], seconds: float
) -> None:
    steps: list[str] = []

    def work() -> None:
        steps.append("ran")
        coro.sleep_relative(0)
        steps.append("not reached")

    def main() -> tuple[object, object, int]:
        start = coro.get_now()
        assert outcome(limit, seconds, lambda: "value") == "value"
        coro.sleep_relative(1)
        return (
            outcome(limit, seconds, work),
            outcome(limit, seconds, coro.sleep_relative, 0),
            coro.get_now() - start,
        )

    assert run(main) == (coro.TimeoutError, coro.TimeoutError, SECOND)
    assert steps == ["ran"]


@form
def test_zero_interrupts_also_what_would_not_have_to_wait_long(limit: Callable[..., Any]) -> None:
    def main() -> object:
        other = coro.spawn(coro.yield_slice)
        return outcome(limit, 0, other.join)

    assert run(main) is coro.TimeoutError


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 1e10])
def test_for_ever_is_no_timeout(seconds: float) -> None:
    def main() -> int:
        with_timeout(seconds, coro.sleep_relative, 1e9)
        with timeout(seconds):
            coro.sleep_relative(1e9)
        with timeout(None) as scope:
            assert scope.when is None
            coro.sleep_relative(1)
        return len(timers)

    assert run(main) == 0


def test_any_kind_of_number_is_good() -> None:
    def main() -> int:
        start = coro.get_now()
        for seconds in (True, Fraction(1, 2), 0.5):
            assert outcome(with_timeout, seconds, coro.sleep_relative, 60) is coro.TimeoutError
        return coro.get_now() - start

    assert run(main) == 2 * SECOND


# -- nesting

NESTED = [
    pytest.param((1, 2, 3), 0, id="outermost first"),
    pytest.param((3, 1, 2), 1, id="middle first"),
    pytest.param((3, 2, 1), 2, id="innermost first"),
    pytest.param((1, 1, 1), 0, id="all at once: armed first is first"),
    pytest.param((2, 1, 1), 1, id="two at once"),
    pytest.param((0, 0, 0), 0, id="all of no time"),
    pytest.param((1, 0, 1), 1, id="one of no time"),
]


@form
@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize(("seconds", "first"), NESTED)
def test_timeout_error_is_raised_by_the_frame_that_owns_it(
    limit: Callable[..., Any], inner: Callable[..., Any], seconds: tuple[float, ...], first: int
) -> None:
    caught: list[int] = []

    def level(depth: int) -> None:
        if depth == len(seconds):
            coro.sleep_relative(60)
            return
        try:
            (limit, inner)[depth % 2](seconds[depth], level, depth + 1)
        except coro.TimeoutError:
            caught.append(depth)
            coro.sleep_relative(0.25)

    def main() -> int:
        level(0)
        coro.sleep_relative(100)
        return len(timers)

    assert run(main) == 0
    # After the first has been dealt with, what is further out may come next, but nothing further in.
    assert caught[0] == first
    assert caught == sorted(set(caught), reverse=True)


@form
def test_two_that_fire_in_one_turn_are_told_apart(limit: Callable[..., Any]) -> None:
    steps: list[str] = []

    def inside(clock: coro.testing.FakeClock) -> None:
        def sleep() -> None:
            clock.advance(10)
            coro.sleep_relative(60)

        try:
            limit(1, sleep)
        except coro.TimeoutError:
            steps.append("inner")
            coro.sleep_relative(60)
            steps.append("not reached")

    def main(clock: coro.testing.FakeClock) -> object:
        return outcome(limit, 2, inside, clock)

    with coro.testing.fake_time(real_descriptors=False) as clock:
        assert coro.run(main, clock) is coro.TimeoutError
    assert steps == ["inner"]


@form
def test_outer_one_comes_although_inner_frames_swallow_timeout_errors(limit: Callable[..., Any]) -> None:
    def stubborn() -> None:
        for _ in range(1000):
            try:
                limit(0.3, coro.sleep_relative, 60)
            except coro.TimeoutError:
                pass

    def main() -> tuple[object, int]:
        start = coro.get_now()
        return outcome(limit, 1, stubborn), coro.get_now() - start

    assert run(main) == (coro.TimeoutError, SECOND)


@form
def test_shutdown_before_a_timeout_keeps_the_timeout_out_of_the_clean_up(limit: Callable[..., Any]) -> None:
    cleaned: list[int] = []

    def work() -> None:
        try:
            coro.sleep_relative(60)
        finally:
            coro.sleep_relative(2)
            cleaned.append(coro.get_now())

    def main() -> tuple[object, int]:
        start = coro.get_now()
        timers.arm(start + SECOND, lambda _: victim.shutdown())
        victim = coro.spawn(limit, 1, work)
        victim.join()
        return type(victim.error), cleaned[0] - start

    assert run(main) == (coro.Shutdown, 3 * SECOND)


@form
def test_shutdown_after_a_timeout_comes_at_the_next_park(limit: Callable[..., Any]) -> None:
    steps: list[str] = []

    def work() -> None:
        try:
            limit(1, coro.sleep_relative, 60)
        except coro.TimeoutError:
            steps.append("timed out")
            coro.sleep_relative(2)
            steps.append("not reached")

    def main() -> object:
        victim = coro.spawn(work)
        coro.yield_slice()
        timers.arm(coro.get_now() + SECOND, lambda _: victim.shutdown())
        victim.join()
        return type(victim.error)

    assert run(main) is coro.Shutdown
    assert steps == ["timed out"]


# -- memory


def test_a_million_timeouts_leave_the_heap_small() -> None:
    def main() -> int:
        for _ in range(1_000_000):
            with_timeout(10, int)
        return len(timers.heap)

    assert run(main) == 0


def test_overlapping_timeouts_leave_the_heap_small() -> None:
    dice = random.Random(7)

    def client() -> None:
        for _ in range(200):
            limit = dice.choice(FORMS)
            limit(dice.uniform(100, 1000), coro.sleep_relative, dice.uniform(0, 1))

    def main() -> tuple[int, int]:
        threads = [coro.spawn(client) for _ in range(50)]
        largest = 0
        while any(not thread.dead for thread in threads):
            coro.sleep_relative(1)
            largest = max(largest, len(timers.heap))
        return largest, len(timers)

    largest, left = run(main)
    assert largest < 400
    assert left == 0


@form
def test_timeout_that_fired_leaves_no_circle_of_references(limit: Callable[..., Any]) -> None:
    class Thing:
        pass

    def work(thing: Thing) -> None:
        coro.sleep_relative(60)

    def main() -> object:
        thing = Thing()
        watch = weakref.ref(thing)
        try:
            limit(1, work, thing)
        except coro.TimeoutError:
            del thing
        return watch()

    gc.disable()
    try:
        assert run(main) is None
    finally:
        gc.enable()


# -- the block


def test_block_tells_its_deadline_and_whether_it_expired() -> None:
    def main() -> None:
        start = coro.get_now()
        with timeout(2) as scope:
            assert (scope.when, scope.expired) == (start + 2 * SECOND, False)
        assert not scope.expired
        assert repr(scope) == "<timeout of 2 s>"
        with pytest.raises(coro.TimeoutError), timeout(1) as scope:
            coro.sleep_relative(5)
        assert scope.expired
        assert repr(scope) == "<timeout of 1 s, expired>"
        scope = deadline(start + 7)
        assert scope.when == start + 7
        assert repr(scope) == f"<deadline at {start + 7} ticks>"
        assert repr(timeout(None)) == "<timeout that never expires>"
        with deadline(1 << 70) as scope:
            assert scope.when is None

    run(main)


def test_seconds_count_from_the_beginning_of_the_block() -> None:
    def main() -> int:
        scope = timeout(2)
        coro.sleep_relative(10)
        start = coro.get_now()
        with pytest.raises(coro.TimeoutError), scope:
            coro.sleep_relative(5)
        return coro.get_now() - start

    assert run(main) == 2 * SECOND


def test_block_can_be_entered_once() -> None:
    def main() -> None:
        scope = timeout(2)
        with scope, pytest.raises(RuntimeError, match="once"):
            scope.__enter__()
        with pytest.raises(RuntimeError, match="once"), scope:
            pass

    run(main)


@pytest.mark.parametrize(("seconds", "elapsed"), [(5, 5.5), (0.25, 0.75), (0, 0.5), (-3, 0.5)])
def test_rescheduled_block_ends_that_much_later_than_now(seconds: float, elapsed: float) -> None:
    def main() -> float:
        start = coro.get_now()
        with pytest.raises(coro.TimeoutError, match=f"after {seconds} s"), timeout(1) as scope:
            coro.sleep_relative(0.5)
            scope.reschedule(seconds)
            assert scope.when == coro.get_now() + max(seconds, 0) * SECOND
            coro.sleep_relative(60)
        return (coro.get_now() - start) / SECOND

    assert run(main) == elapsed


def test_block_rescheduled_to_none_never_expires() -> None:
    def main() -> int:
        with deadline(coro.get_now() + SECOND) as scope:
            scope.reschedule(None)
            coro.sleep_relative(60)
        assert not scope.expired
        return len(timers)

    assert run(main) == 0


def test_reschedule_takes_back_an_interrupt_that_was_not_delivered() -> None:
    def main() -> tuple[object, bool]:
        me = coro.current()
        with timeout(1) as scope:
            timers.arm(coro.get_now() + SECOND // 2, lambda _: None)
            timers.arm(scope.when, lambda _: None)
            scope.reschedule(1)
            timers.arm(coro.get_now() + SECOND // 2, lambda _: me.schedule("early"))
            coro._yield()
            with timeout(0) as no_time:
                assert no_time.expired
                no_time.reschedule(3)
                assert not no_time.expired
                coro.sleep_relative(0.25)
        return scope.expired, no_time.expired

    assert run(main) == (False, False)


def test_reschedule_from_another_thread() -> None:
    def main() -> float:
        start = coro.get_now()
        with pytest.raises(coro.TimeoutError), timeout(1) as scope:

            def keep_alive() -> None:
                for seconds in (1, 1, 0):
                    coro.sleep_relative(0.75)
                    scope.reschedule(seconds)

            coro.spawn(keep_alive)
            coro.sleep_relative(60)
        return (coro.get_now() - start) / SECOND

    assert run(main) == 2.25


def test_reschedule_too_late_or_outside_the_block_is_refused() -> None:
    def main() -> None:
        scope = timeout(1)
        with pytest.raises(RuntimeError, match="inside its block only"):
            scope.reschedule(1)
        with pytest.raises(coro.TimeoutError), scope:
            try:
                coro.sleep_relative(60)
            finally:
                with pytest.raises(RuntimeError, match="interrupted its block already"):
                    scope.reschedule(1)
        with pytest.raises(RuntimeError, match="inside its block only"):
            scope.reschedule(1)
        with timeout(1) as scope, pytest.raises(TypeError, match="timeout must be a number, got 'soon'"):
            scope.reschedule("soon")  # type: ignore[arg-type]

    run(main)


# -- bad input


@pytest.mark.parametrize("make", [lambda seconds: with_timeout(seconds, int), timeout])
@pytest.mark.parametrize(
    ("seconds", "error", "message"),
    [
        ("1", TypeError, "timeout must be a number, got '1'"),
        ([1], TypeError, r"timeout must be a number, got \[1\]"),
        (1j, TypeError, "timeout must be a number, got 1j"),
        (math.nan, ValueError, "timeout must be a number of seconds, got nan"),
    ],
)
def test_what_is_no_number_of_seconds_is_refused(
    make: Callable[[Any], object], seconds: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(seconds)
    with pytest.raises(error, match=message):
        run(make, seconds)


def test_other_bad_arguments_are_refused() -> None:
    def main() -> None:
        for seconds in (1, 0):
            with pytest.raises(TypeError, match="with_timeout\\(\\) needs a function to call, got 5"):
                with_timeout(seconds, 5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="can only concatenate str"):
            with_timeout(1, lambda: "a" + 1)  # type: ignore[operator]
        with pytest.raises(TypeError, match="timeout must be a number, got None"):
            with_timeout(None, int)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"deadline\(\) needs a number of ticks as an int, got 1\.5"):
            deadline(1.5)  # type: ignore[arg-type]
        assert len(timers) == 0

    run(main)


def test_where_nothing_can_be_parked_is_said() -> None:
    with pytest.raises(coro.YieldFromMain, match="needs a running loop"), timeout(1):
        pass
    with pytest.raises(coro.YieldFromMain, match="needs a running loop"), deadline(1):
        pass
    said: list[object] = []

    def main() -> None:
        def in_the_loop(_: object) -> None:
            with pytest.raises(
                coro.YieldFromMain, match="with_timeout\\(\\) would block the loop itself"
            ) as caught:
                with_timeout(1, int)
            said.append(caught.value)

        timers.arm(coro.get_now() + 1, in_the_loop)
        coro.sleep_relative(1)
        elsewhere = threading.Thread(target=lambda: said.append(outcome(with_timeout, 1, int)))
        elsewhere.start()
        elsewhere.join()

    run(main)
    assert said[1:] == [coro.YieldFromMain]


# -- outside the loop


@pytest.fixture
def alarm() -> Iterator[list[int]]:
    """A SIGALRM handler of the test's own that notes its calls; afterwards that of the test runner is back."""
    rings: list[int] = []
    former_timer = signal.setitimer(signal.ITIMER_REAL, 0)
    former_handler = signal.signal(signal.SIGALRM, lambda signum, frame: rings.append(signum))
    yield rings
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former_handler)
    signal.setitimer(signal.ITIMER_REAL, *former_timer)


def spin() -> None:
    while True:
        pass


def test_outside_the_loop_the_function_is_interrupted_by_sigalrm(alarm: list[int]) -> None:
    handler = signal.getsignal(signal.SIGALRM)
    before = time.monotonic()

    with pytest.raises(coro.TimeoutError, match=r"timed out after 0\.02 s") as caught:
        with_timeout(0.02, time.sleep, 5)
    with pytest.raises(coro.TimeoutError):
        with_timeout(0.02, spin)

    assert type(caught.value.__cause__) is Interrupted
    assert 0.04 <= time.monotonic() - before < 2
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert alarm == []


def test_outside_the_loop_the_value_is_returned_and_nothing_is_left(alarm: list[int]) -> None:
    handler = signal.getsignal(signal.SIGALRM)

    assert with_timeout(0.02, dict, a=1) == {"a": 1}
    assert with_timeout(math.inf, int) == 0
    with pytest.raises(KeyError):
        with_timeout(0.02, {}.__getitem__, "a")
    time.sleep(0.04)

    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert alarm == []


@pytest.mark.parametrize("seconds", [0, -1])
def test_outside_the_loop_zero_interrupts_what_blocks(alarm: list[int], seconds: float) -> None:
    with pytest.raises(coro.TimeoutError):
        with_timeout(seconds, time.sleep, 5)


def test_former_timer_keeps_the_time_that_it_has_left(alarm: list[int]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 100, 7)

    assert outcome(with_timeout, 0.05, time.sleep, 5) is coro.TimeoutError

    delay, interval = signal.getitimer(signal.ITIMER_REAL)
    assert 90 < delay <= 99.951
    assert interval == 7
    assert alarm == []


def test_former_timer_rings_in_time_while_the_function_runs(alarm: list[int]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    heard: list[int] = []

    def work() -> None:
        while len(alarm) < 3:
            time.sleep(0.01)
        heard.extend(alarm)

    with_timeout(5, work)

    assert len(heard) == 3
    assert signal.getitimer(signal.ITIMER_REAL)[1] == pytest.approx(0.02, abs=0.005)


def test_former_timer_without_a_function_rings_at_the_end(alarm: list[int]) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0.01)

    assert outcome(with_timeout, 0.05, time.sleep, 5) is coro.TimeoutError

    assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
    time.sleep(0.01)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize(
    ("seconds", "first"), [((0.03, 5, 5), 0), ((5, 0.03, 5), 1), ((5, 5, 0.03), 2), ((0.03, 0.03, 0.03), 0)]
)
def test_outside_the_loop_each_frame_catches_its_own(
    alarm: list[int], seconds: tuple[float, ...], first: int
) -> None:
    caught: list[int] = []

    def level(depth: int) -> None:
        if depth == len(seconds):
            time.sleep(5)
            return
        try:
            with_timeout(seconds[depth], level, depth + 1)
        except coro.TimeoutError:
            caught.append(depth)

    level(0)

    assert caught == [first]
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_outer_alarm_comes_after_an_inner_one_that_was_caught(alarm: list[int]) -> None:
    def work() -> None:
        for _ in range(100):
            with pytest.raises(coro.TimeoutError):
                with_timeout(0.01, time.sleep, 5)

    with pytest.raises(coro.TimeoutError, match=r"0\.055 s"):
        with_timeout(0.055, work)


@pytest.mark.parametrize("stay_s", [0, 5], ids=["inner call ends", "inner call stays"])
def test_outer_alarm_is_kept_when_another_timer_rings_in_an_inner_call(alarm: list[int], stay_s: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)

    def inner() -> None:
        while not alarm:
            time.sleep(0.005)
        time.sleep(stay_s)

    def outer() -> None:
        with_timeout(5, inner)
        time.sleep(5)

    before = time.monotonic()
    with pytest.raises(coro.TimeoutError, match=r"0\.05 s"):
        with_timeout(0.05, outer)
    assert time.monotonic() - before < 2


def test_alarm_that_rings_after_the_end_is_not_heard(alarm: list[int]) -> None:
    class Late(Alarm):
        def _put_back(self) -> None:
            time.sleep(0.01)
            self._ring(signal.SIGALRM, None)
            super()._put_back()

    assert Late(0.001).call(lambda: "value", (), {}) == "value"


def test_alarm_at_the_moment_of_the_end_is_either_or(alarm: list[int]) -> None:
    handler = signal.getsignal(signal.SIGALRM)
    outcomes = set()

    def work(end: float) -> str:
        while time.monotonic() < end:
            pass
        return "value"

    for number in range(3000):
        outcomes.add(outcome(with_timeout, 0.0001, work, time.monotonic() + 0.0001 + number % 20 * 1e-6))
        assert signal.getsignal(signal.SIGALRM) is handler

    assert outcomes <= {"value", coro.TimeoutError}
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert alarm == []


def busy() -> None:
    while True:
        coro.yield_slice()


@pytest.mark.parametrize("work", [lambda: coro.sleep_relative(5), busy], ids=["asleep", "busy"])
def test_loop_inside_with_timeout_is_ended_and_its_threads_clean_up(
    alarm: list[int], work: Callable[[], None]
) -> None:
    ends: list[object] = []

    def watched() -> None:
        try:
            work()
        except BaseException as error:
            ends.append(type(error))
            raise

    def main() -> None:
        coro.spawn(watched)
        watched()

    assert outcome(with_timeout, 0.05, coro.run, main) is coro.TimeoutError
    assert ends == [coro.Shutdown, coro.Shutdown]
    assert not coro.coro_is_running()
    assert with_timeout(5, coro.run, lambda: "value") == "value"


def test_outside_the_loop_another_os_thread_is_refused() -> None:
    said: list[BaseException] = []

    def call() -> None:
        try:
            with_timeout(1, int)
        except coro.YieldFromMain as error:
            said.append(error)

    other = threading.Thread(target=call, name="helper")
    other.start()
    other.join()

    assert "SIGALRM, which works in the main OS thread only, not in 'helper'" in str(said[0])


def test_scope_is_what_the_two_functions_make() -> None:
    assert isinstance(timeout(1), TimeoutScope)
    assert isinstance(deadline(1), TimeoutScope)
