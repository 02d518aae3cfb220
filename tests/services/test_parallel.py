"""in_parallel(): all results, in order, and nobody left behind."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import coro
import coro.testing
from coro.exceptions import Interrupted
from coro.parallel import FAILURE, SUCCESS, in_parallel
from coro.state import ThreadState
from coro.timed import timers
from coro.timeouts import with_timeout

SECOND = coro.ticks_per_sec


def run(main: Callable[..., Any], *args: Any) -> Any:
    return coro.testing.run(main, *args, real_descriptors=False)


@pytest.fixture
def notified() -> Iterator[list[BaseException]]:
    """What the exception notifier got."""
    errors: list[BaseException] = []

    def note(thread: ThreadState, error: BaseException) -> None:
        assert sys.exc_info()[1] is error
        errors.append(error)

    former = coro.set_exception_notifier(note)
    yield errors
    coro.set_exception_notifier(former)


@pytest.fixture(autouse=True)
def silence(request: pytest.FixtureRequest, notified: list[BaseException]) -> Iterator[None]:
    """Fail a test if the notifier got what the test does not look at."""
    yield
    if "notified" not in request.node.function.__code__.co_varnames:
        assert notified == []


def after(seconds: float, value: object) -> object:
    """Sleep, then return the value, or raise it if it is an exception."""
    coro.sleep_relative(seconds)
    if isinstance(value, BaseException):
        raise value
    return value


def test_values_come_in_the_order_of_the_list() -> None:
    def main() -> tuple[list[object], int]:
        start = coro.get_now()
        values = in_parallel([(after, (3, "a")), (after, [1, "b"]), (max, (1, 2)), (dict, ())])
        return values, coro.get_now() - start

    assert run(main) == (["a", "b", 2, {}], 3 * SECOND)


def test_none_to_do_is_an_empty_list_also_outside_the_loop() -> None:
    assert in_parallel([]) == []
    assert in_parallel(()) == []


def test_failure_does_not_stop_the_others() -> None:
    error = KeyError("bad")

    def main() -> tuple[coro.InParallelError, int]:
        start = coro.get_now()
        with pytest.raises(coro.InParallelError) as caught:
            in_parallel([(after, (5, "a")), (after, (1, error)), (after, (2, "c"))])
        return caught.value, coro.get_now() - start

    raised, elapsed = run(main)
    assert elapsed == 5 * SECOND
    first, second, third = raised.result_list
    assert (first, third) == ((SUCCESS, "a"), (SUCCESS, "c"))
    assert second == (FAILURE, (KeyError, error, error.__traceback__))
    assert error.__traceback__ is not None
    assert str(raised).startswith("1 of 3 functions failed")


@pytest.mark.parametrize(
    "error", [coro.Shutdown(), SystemExit(3), GeneratorExit(), Interrupted("x"), coro.TimeoutError("x")]
)
def test_whatever_a_function_raises_is_its_result(error: BaseException) -> None:
    def main() -> list[tuple[str, Any]]:
        with pytest.raises(coro.InParallelError) as caught:
            in_parallel([(after, (1, error)), (after, (2, "b"))])
        return caught.value.result_list

    [(status, info), second] = run(main)
    assert (status, info[1], second) == (FAILURE, error, (SUCCESS, "b"))


def test_keyboard_interrupt_in_a_function_leaves_the_loop() -> None:
    def main() -> None:
        in_parallel([(after, (1, KeyboardInterrupt())), (after, (2, "b"))])

    with pytest.raises(KeyboardInterrupt):
        run(main)


def test_function_that_is_shut_down_from_elsewhere_has_failed() -> None:
    def main() -> list[tuple[str, Any]]:
        def shut_down_neighbour() -> None:
            coro.get_thread_by_id(coro.current().id + 1).shutdown()

        with pytest.raises(coro.InParallelError) as caught:
            in_parallel([(shut_down_neighbour, ()), (after, (1, "b"))])
        return caught.value.result_list

    [first, (status, info)] = run(main)
    assert first == (SUCCESS, None)
    assert (status, info[0]) == (FAILURE, coro.Shutdown)


def test_interrupted_caller_shuts_its_threads_down_and_waits_for_them() -> None:
    steps: list[object] = []

    def work(number: int) -> None:
        try:
            coro.sleep_relative(60)
        finally:
            coro.sleep_relative(number)
            steps.append(number)

    def main() -> int:
        start = coro.get_now()
        with pytest.raises(coro.TimeoutError):
            with_timeout(2, in_parallel, [(work, (2,)), (work, (1,)), (after, (0, "done"))])
        assert coro.get_live_coros() == 1
        return coro.get_now() - start

    assert run(main) == 4 * SECOND
    assert steps == [1, 2]


def test_shrapnels_own_test() -> None:
    """As Shrapnel's test_in_parallel.py."""

    def main() -> object:
        with pytest.raises(coro.TimeoutError):
            with_timeout(2, in_parallel, [(after, (5, number)) for number in (1, 2, 3)])
        return with_timeout(7, in_parallel, [(after, (5, number)) for number in (4, 5, 6)])

    assert run(main) == [4, 5, 6]


def test_second_interrupt_does_not_lose_the_threads() -> None:
    steps: list[str] = []

    def work() -> None:
        try:
            coro.sleep_relative(60)
        finally:
            coro.sleep_relative(10)
            steps.append("cleaned up")

    def caller() -> None:
        try:
            in_parallel([(work, ())] * 3)
        except coro.WakeUp as error:
            steps.append(f"first {error}")
            try:
                coro.sleep_relative(60)
            except coro.WakeUp as later:
                steps.append(f"then {later}")
                coro.sleep_relative(60)

    def main() -> object:
        thread = coro.spawn(caller)
        for interrupt in (coro.WakeUp("a"), coro.WakeUp("b"), coro.Shutdown()):
            coro.sleep_relative(1)
            thread.raise_exception(interrupt)
        thread.join()
        assert coro.get_live_coros() == 1
        return type(thread.error)

    assert run(main) is coro.Shutdown
    assert steps == ["cleaned up"] * 3 + ["first a", "then b"]


def test_failures_of_an_interrupted_call_go_to_the_notifier(notified: list[BaseException]) -> None:
    in_clean_up, before = KeyError("in clean-up"), KeyError("before")

    def work() -> None:
        try:
            coro.sleep_relative(60)
        finally:
            raise in_clean_up

    def main() -> None:
        with pytest.raises(coro.TimeoutError):
            with_timeout(2, in_parallel, [(work, ()), (after, (1, before)), (after, (60, None))])
        coro.sleep_relative(1)

    run(main)
    assert notified == [in_clean_up, before]


def test_failures_that_are_handed_on_are_not_notified(notified: list[BaseException]) -> None:
    def main() -> None:
        with pytest.raises(coro.InParallelError):
            in_parallel([(after, (1, KeyError()))])
        coro.sleep_relative(1)

    run(main)
    assert notified == []


def test_interrupt_at_the_moment_of_the_last_end() -> None:
    """The caller has been woken, and is interrupted before it runs."""

    def main() -> object:
        me = coro.current()

        def last() -> str:
            coro.sleep_relative(1)
            me.raise_exception(coro.WakeUp)
            return "value"

        with pytest.raises(coro.WakeUp):
            in_parallel([(last, ()), (after, (1, "b"))])
        coro.sleep_relative(5)
        return coro.get_live_coros()

    assert run(main) == 1


def test_caller_that_is_scheduled_by_a_stranger_waits_on() -> None:
    def main() -> list[object]:
        me = coro.current()
        timers.arm(coro.get_now() + SECOND, lambda _: me.schedule("stranger"))
        return in_parallel([(after, (2, "a"))])

    assert run(main) == ["a"]


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        (5, "needs a list of .* pairs, got 5"),
        ({max: (1, 2)}, "needs a list of"),
        ([5], "entry 0 must be a .* pair, got 5"),
        ([(max, (1, 2)), (max,)], "entry 1 must be a .* pair"),
        ([(max, (1, 2), 3)], "entry 0 must be a .* pair"),
        ([("max", (1, 2))], "entry 0 needs a function, got 'max'"),
        ([(max, "ab")], "entry 0 needs its arguments as a tuple or list, got 'ab'"),
        ([(max, 5)], "entry 0 needs its arguments as a tuple or list, got 5"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(calls: Any, message: str) -> None:
    ran: list[int] = []

    def main() -> int:
        bad = [(ran.append, (1,)), *calls] if isinstance(calls, list) else calls
        message_here = message.replace("entry 1", "entry 2").replace("entry 0", "entry 1")
        with pytest.raises(TypeError, match=message_here):
            in_parallel(bad)
        return coro.get_live_coros()

    assert run(main) == 1
    assert ran == []


def test_outside_the_loop_it_is_refused_and_nothing_is_spawned() -> None:
    with pytest.raises(coro.YieldFromMain, match=r"in_parallel\(\) needs a running loop"):
        in_parallel([(max, (1, 2))])
    assert coro.get_live_coros() == 0
