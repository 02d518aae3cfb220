"""Group: its threads end before its block does, and nothing that they raise is lost."""

import gc
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import coro
import coro.testing
from coro.exceptions import Interrupted
from coro.group import Group
from coro.shield import shielded
from coro.state import ThreadState
from coro.timed import timers
from coro.timeouts import timeout, with_timeout

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


class Watch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = coro.get_now()

    @property
    def seconds(self) -> float:
        return (coro.get_now() - self.start) / SECOND


def after(seconds: float, value: object = None) -> object:
    """Sleep, then return the value, or raise it if it is an exception."""
    coro.sleep_relative(seconds)
    if isinstance(value, BaseException):
        raise value
    return value


def fail(seconds: float) -> None:
    """Sleep, then raise KeyError."""
    coro.sleep_relative(seconds)
    raise KeyError


def with_clean_up(steps: list[object], seconds: float, step: object = "cleaned up") -> None:
    """Sleep long, and take `seconds` to clean up."""
    try:
        coro.sleep_relative(60)
    finally:
        coro.sleep_relative(seconds)
        steps.append(step)


# -- the ordinary course


def test_block_waits_for_all_its_threads() -> None:
    def main() -> tuple[float, list[object]]:
        watch = Watch()
        with Group() as group:
            threads = [group.spawn(after, seconds, seconds) for seconds in (3, 1, 2)]
        return watch.seconds, [thread.result() for thread in threads]

    assert run(main) == (3, [3, 1, 2])


def test_empty_block_just_ends() -> None:
    def main() -> float:
        watch = Watch()
        with Group() as group:
            assert group
        return watch.seconds + len(group)

    assert run(main) == 0


def test_spawn_passes_everything_on() -> None:
    def main() -> None:
        with Group() as group:
            thread = group.spawn(dict, [("a", 1)], thread_name="maker", function=2)
        assert thread.result() == {"a": 1, "function": 2}
        assert thread.name == "maker"
        assert thread.spawn_line is not None
        assert thread.spawn_line.startswith(__file__)

    run(main)


def test_threads_and_length_tell_who_is_alive() -> None:
    def main() -> None:
        with Group() as group:
            first, second = group.spawn(after, 2), group.spawn(after, 4)
            assert (group.threads, len(group)) == ((first, second), 2)
            assert repr(group) == "<Group of 'mainly', open, 2 threads>"
            coro.sleep_relative(3)
            assert group.threads == (second,)
        assert (group.threads, len(group), bool(group)) == ((), 0, True)
        assert repr(group) == "<Group of 'mainly', closed, 0 threads>"
        assert repr(Group()) == "<Group, new, 0 threads>"

    run(lambda: coro.spawn(main, thread_name="mainly").result())


def test_threads_of_the_group_may_spawn_more_while_one_lives() -> None:
    def main() -> tuple[float, int]:
        watch = Watch()
        ran: list[float] = []

        def chain(group: Group, left: int) -> None:
            coro.sleep_relative(1)
            ran.append(watch.seconds)
            if left:
                group.spawn(chain, group, left - 1)

        with Group() as group:
            group.spawn(chain, group, 4)
        return watch.seconds, len(ran)

    assert run(main) == (5, 5)


def test_thread_that_joins_another_of_its_group() -> None:
    def main() -> float:
        watch = Watch()
        with Group() as group:
            first = group.spawn(after, 2, "value")
            second = group.spawn(first.result)
        assert second.result() == "value"
        return watch.seconds

    assert run(main) == 2


def test_stranger_that_schedules_the_owner_does_not_end_the_wait() -> None:
    def main() -> float:
        watch, me = Watch(), coro.current()
        timers.arm(coro.get_now() + SECOND, lambda _: me.schedule("stranger"))
        with Group() as group:
            group.spawn(after, 3)
        return watch.seconds

    assert run(main) == 3


# -- failures


def test_first_failure_shuts_down_the_others_and_leaves_as_a_group() -> None:
    error = KeyError("bad")
    steps: list[object] = []

    def main() -> float:
        watch = Watch()
        with pytest.raises(ExceptionGroup) as caught, Group() as group:
            group.spawn(with_clean_up, steps, 2)
            group.spawn(after, 1, error)
            group.spawn(after, 60, thread_name="other")
        assert caught.value.exceptions == (error,)
        assert str(caught.value) == "failed in a group: 'after' (1 sub-exception)"
        assert caught.value.__suppress_context__
        return watch.seconds

    assert run(main) == 3
    assert steps == ["cleaned up"]


def test_failure_interrupts_the_body_by_a_token_of_its_own() -> None:
    seen: list[BaseException] = []

    def main() -> float:
        watch = Watch()
        with pytest.raises(ExceptionGroup), Group() as group:
            group.spawn(after, 1, KeyError())
            try:
                coro.sleep_relative(60)
            except Exception as error:
                raise AssertionError("`except Exception` caught the interrupt") from error
            except BaseException as error:
                seen.append(error)
                assert error.args == (group,)
                coro.sleep_relative(2)
                raise
        return watch.seconds

    assert run(main) == 3
    assert type(seen[0]) is Interrupted


def test_body_that_keeps_the_interrupt_to_itself_changes_nothing() -> None:
    def main() -> float:
        watch = Watch()
        with pytest.raises(ExceptionGroup) as caught, Group() as group:
            group.spawn(after, 1, KeyError())
            try:
                coro.sleep_relative(60)
            except Interrupted:
                coro.sleep_relative(5)
        assert [type(error) for error in caught.value.exceptions] == [KeyError]
        return watch.seconds

    assert run(main) == 6


def test_body_that_ends_without_blocking_again_is_not_interrupted_later() -> None:
    def main() -> None:
        me = coro.current()
        with pytest.raises(ExceptionGroup), Group() as group:

            def fail() -> None:
                me.schedule("data")
                raise KeyError

            group.spawn(fail)
            assert coro._yield() == "data"
        coro.sleep_relative(5)

    run(main)


def test_all_failures_are_in_the_group_in_the_order_in_which_they_came() -> None:
    def in_clean_up() -> None:
        try:
            coro.sleep_relative(60)
        finally:
            raise LookupError("in clean-up")

    def main() -> list[str]:
        with pytest.raises(ExceptionGroup) as caught, Group() as group:
            group.spawn(in_clean_up, thread_name="cleaner")
            group.spawn(after, 1, KeyError(), thread_name="first")
            group.spawn(after, 1, ValueError(), thread_name="second")
            try:
                coro.sleep_relative(60)
            finally:
                raise OSError("body")
        assert str(caught.value) == "failed in a group: 'first', 'cleaner', the body (3 sub-exceptions)"
        return [type(error).__name__ for error in caught.value.exceptions]

    # The second had been woken, but had not failed yet when it was shut down.
    assert run(main) == ["KeyError", "LookupError", "OSError"]


def test_failure_of_the_body_shuts_down_the_threads_and_leaves_as_a_group() -> None:
    error = KeyError("body")
    steps: list[object] = []

    def main() -> float:
        watch = Watch()
        with pytest.raises(ExceptionGroup, match="failed in a group: the body") as caught, Group() as group:
            group.spawn(with_clean_up, steps, 2)
            coro.sleep_relative(1)
            raise error
        assert caught.value.exceptions == (error,)
        return watch.seconds

    assert run(main) == 3
    assert steps == ["cleaned up"]


def test_timeout_error_of_the_body_is_a_failure_like_any_other() -> None:
    def main() -> None:
        with pytest.raises(ExceptionGroup) as caught, Group():
            with_timeout(1, coro.sleep_relative, 60)
        assert isinstance(caught.value.exceptions[0], coro.TimeoutError)

    run(main)


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), Interrupted("own")])
def test_what_is_no_exception_makes_a_base_exception_group(error: BaseException) -> None:
    def main() -> None:
        with pytest.raises(BaseExceptionGroup) as caught, Group() as group:
            group.spawn(after, 1, error)
            group.spawn(after, 60)
        assert not isinstance(caught.value, ExceptionGroup)
        assert caught.value.exceptions == (error,)

    run(main)


def test_keyboard_interrupt_in_a_thread_leaves_the_loop() -> None:
    steps: list[object] = []

    def main() -> None:
        with Group() as group:
            group.spawn(with_clean_up, steps, 1)
            group.spawn(after, 1, KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        run(main)
    assert steps == ["cleaned up"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_exit_raised_by_the_body_leaves_bare(error: BaseException) -> None:
    steps: list[object] = []

    def main() -> None:
        with pytest.raises(type(error)) as caught, Group() as group:
            group.spawn(with_clean_up, steps, 1)
            coro.yield_slice()
            raise error
        assert caught.value is error

    run(main)
    assert steps == ["cleaned up"]


def test_shutdown_of_a_thread_is_no_failure() -> None:
    def main() -> float:
        watch = Watch()
        with Group() as group:
            victim, other = group.spawn(after, 60), group.spawn(after, 3)
            never_started = group.spawn(after, 60)
            never_started.shutdown()
            coro.sleep_relative(1)
            victim.shutdown()
        assert other.error is None
        return watch.seconds

    assert run(main) == 3


def test_thread_that_ends_itself_by_shutdown_is_no_failure() -> None:
    def main() -> None:
        with Group() as group:
            group.spawn(lambda: coro.current().shutdown())
            group.spawn(after, 3)

    run(main)


def test_owner_that_cancels_a_thread_of_its_own_by_another_exception() -> None:
    def main() -> float:
        watch = Watch()
        with pytest.raises(ExceptionGroup) as caught, Group() as group:
            group.spawn(after, 60).raise_exception(KeyError("early"), cancel_start=True)
            coro.sleep_relative(60)
        assert [type(error) for error in caught.value.exceptions] == [KeyError]
        return watch.seconds

    assert run(main) == 0


def test_owner_that_cancels_a_thread_and_does_not_block_again_is_not_interrupted() -> None:
    def main() -> float:
        watch = Watch()
        with pytest.raises(ExceptionGroup), Group() as group:
            group.spawn(with_clean_up, [], 1)
            coro.yield_slice()
            group.spawn(after, 60).raise_exception(KeyError("early"), cancel_start=True)
        coro.sleep_relative(5)
        return watch.seconds

    assert run(main) == 6


def test_failure_handed_on_is_not_notified_and_has_its_traceback(notified: list[BaseException]) -> None:
    def fails_here() -> None:
        raise KeyError

    def main() -> str:
        with pytest.raises(ExceptionGroup) as caught, Group() as group:
            group.spawn(fails_here)
        coro.sleep_relative(1)
        return "".join(traceback.format_exception(caught.value))

    text = run(main)
    assert notified == []
    assert "fails_here" in text
    assert "Interrupted" not in text


def test_except_star_catches_what_threads_raise() -> None:
    def main() -> list[str]:
        caught: list[str] = []
        try:
            with Group() as group:
                group.spawn(after, 1, KeyError())
                group.spawn(after, 1, ValueError())
                coro.sleep_relative(60)
        except* KeyError:
            caught.append("key")
        except* ValueError:
            caught.append("value")
        return caught

    # The second was shut down in the turn in which it would have failed, or failed before that.
    assert run(main)[0] == "key"


# -- interrupts of the owner


INTERRUPTS = [coro.Shutdown, coro.WakeUp, Interrupted, KeyError]


@pytest.mark.parametrize("error", INTERRUPTS)
@pytest.mark.parametrize("body_s", [0, 60], ids=["joining", "in the body"])
def test_interrupt_of_the_owner_leaves_bare_after_the_threads(error: type[BaseException], body_s: float) -> None:
    steps: list[object] = []
    sent = error("for the owner")

    def main() -> float:
        watch = Watch()
        me = coro.current()
        timers.arm(coro.get_now() + SECOND, lambda _: me.raise_exception(sent))
        with pytest.raises(error) as caught, Group() as group:
            group.spawn(with_clean_up, steps, 2)
            group.spawn(after, 60)
            coro.sleep_relative(body_s)
        assert caught.value is sent
        assert sent.__context__ is None
        return watch.seconds

    assert run(main) == 3
    assert steps == ["cleaned up"]


def test_interrupt_that_waited_for_a_shield_in_the_body_leaves_bare() -> None:
    def main() -> None:
        me = coro.current()
        timers.arm(coro.get_now() + SECOND, lambda _: me.raise_exception(coro.WakeUp))
        with pytest.raises(coro.WakeUp), Group() as group:
            group.spawn(after, 60)
            with shielded():
                coro.sleep_relative(2)

    run(main)


@pytest.mark.parametrize("body_s", [0, 60], ids=["joining", "in the body"])
@pytest.mark.parametrize("limit", [0, 1])
def test_timeout_of_the_owner_leaves_bare(body_s: float, limit: float) -> None:
    steps: list[object] = []

    def work() -> None:
        with Group() as group:
            group.spawn(with_clean_up, steps, 2)
            if limit:
                coro.sleep_relative(body_s)

    def main() -> float:
        watch = Watch()
        with pytest.raises(coro.TimeoutError):
            with_timeout(limit, work)
        with pytest.raises(coro.TimeoutError), timeout(limit):
            work()
        return watch.seconds

    # With no time at all the thread is cancelled before it starts.
    assert run(main) == (6 if limit else 0)
    assert steps == (["cleaned up"] * 2 if limit else [])


def test_more_interrupts_wait_until_the_threads_have_ended() -> None:
    steps: list[object] = []

    def owner() -> None:
        try:
            with Group() as group:
                group.spawn(with_clean_up, steps, 10)
        except coro.WakeUp as error:
            steps.append(f"first {error}")
            try:
                coro.sleep_relative(60)
            except coro.WakeUp as later:
                steps.append(f"then {later}")
                coro.sleep_relative(60)

    def main() -> object:
        thread = coro.spawn(owner)
        for interrupt in (coro.WakeUp("a"), coro.WakeUp("b"), coro.Shutdown()):
            coro.sleep_relative(1)
            thread.raise_exception(interrupt)
        thread.join()
        assert coro.get_live_coros() == 1
        return type(thread.error)

    assert run(main) is coro.Shutdown
    assert steps == ["cleaned up", "first a", "then b"]


def test_interrupt_while_the_body_is_on_its_way_out_waits_too() -> None:
    steps: list[object] = []

    def main() -> float:
        watch, me = Watch(), coro.current()
        for seconds, name in ((1, "in the body"), (2, "joining")):
            timers.arm(coro.get_now() + seconds * SECOND, lambda _, n=name: me.raise_exception(coro.WakeUp(n)))
        with pytest.raises(coro.WakeUp, match="in the body"), Group() as group:
            group.spawn(with_clean_up, steps, 5)
            coro.sleep_relative(60)
        assert watch.seconds == 6
        with pytest.raises(coro.WakeUp, match="joining"):
            coro.sleep_relative(60)
        return watch.seconds

    assert run(main) == 6


def test_shutdown_of_the_owner_drops_what_came_behind_it() -> None:
    steps: list[object] = []

    def owner() -> None:
        try:
            with Group() as group:
                group.spawn(with_clean_up, steps, 5)
        finally:
            coro.sleep_relative(1)
            steps.append("owner cleaned up")

    def main() -> None:
        thread = coro.spawn(owner)
        coro.sleep_relative(1)
        thread.shutdown()
        coro.sleep_relative(1)
        thread.raise_exception(coro.WakeUp)
        thread.join()

    run(main)
    assert steps == ["cleaned up", "owner cleaned up"]


def test_failures_go_to_the_notifier_when_an_interrupt_leaves(notified: list[BaseException]) -> None:
    body, in_clean_up = OSError("body"), KeyError("in clean-up")

    def fail_in_clean_up() -> None:
        try:
            coro.sleep_relative(60)
        finally:
            coro.sleep_relative(5)
            raise in_clean_up

    def main() -> None:
        me = coro.current()
        timers.arm(coro.get_now() + 2 * SECOND, lambda _: me.raise_exception(coro.WakeUp))
        with pytest.raises(coro.WakeUp) as caught, Group() as group:
            group.spawn(fail_in_clean_up)
            coro.sleep_relative(1)
            raise body
        assert caught.value.__context__ is body
        coro.sleep_relative(1)

    run(main)
    assert notified == [body, in_clean_up]


def test_threads_get_one_shutdown_only() -> None:
    """A second one would cut their clean-up short."""
    steps: list[object] = []

    def main() -> float:
        watch, me = Watch(), coro.current()
        timers.arm(coro.get_now() + 2 * SECOND, lambda _: me.raise_exception(coro.WakeUp))
        with pytest.raises(coro.WakeUp), Group() as group:
            group.spawn(with_clean_up, steps, 10)
            coro.sleep_relative(1)
            group.shutdown()
            group.shutdown()
        return watch.seconds

    assert run(main) == 11
    assert steps == ["cleaned up"]


def test_exit_of_the_loop_gives_threads_one_shutdown_only() -> None:
    steps: list[object] = []

    def spin(step: str) -> None:
        try:
            while True:
                coro.yield_slice()
        finally:
            steps.append("begins")
            coro.sleep_relative(2)
            steps.append(step)

    def owner() -> None:
        try:
            with Group() as group:
                group.spawn(spin, "first")
                group.spawn(spin, "second")
        except coro.Shutdown:
            steps.append("owner")

    def main() -> None:
        # Runnable already when the loop ends, the threads get their Shutdown before their owner gets his.
        coro.spawn(owner)
        coro.yield_slice()
        coro.yield_slice()

    run(main)
    assert steps == ["begins", "begins", "first", "second", "owner"]


def test_group_made_while_the_loop_ends_shuts_its_threads_down() -> None:
    steps: list[object] = []

    def late() -> None:
        try:
            coro.sleep_relative(60)
        finally:
            try:
                with Group() as group:
                    group.spawn(with_clean_up, steps, 0.5)
                    group.spawn(after, 1, KeyError())
            except* KeyError:
                steps.append("caught")

    def main() -> None:
        coro.spawn(late)
        coro.yield_slice()

    run(main)
    assert steps == ["cleaned up", "caught"]


# -- the very moment


def test_interrupt_at_the_moment_of_the_last_end() -> None:
    def main() -> int:
        me = coro.current()

        def last() -> None:
            coro.sleep_relative(1)
            me.raise_exception(coro.WakeUp)

        with pytest.raises(coro.WakeUp), Group() as group:
            group.spawn(last)
        coro.sleep_relative(5)
        return coro.get_live_coros()

    assert run(main) == 1


@pytest.mark.parametrize("limit_s", [0.5, 1, 1.5])
def test_failure_and_timeout_of_the_owner_around_one_moment(limit_s: float, notified: list[BaseException]) -> None:
    error = KeyError()

    def work() -> None:
        with Group() as group:
            group.spawn(after, 1, error)
            coro.sleep_relative(60)

    def main() -> str:
        try:
            with_timeout(limit_s, work)
        except coro.TimeoutError:
            return "timeout"
        except ExceptionGroup as group:
            assert group.exceptions == (error,)
            return "failure"
        finally:
            coro.sleep_relative(5)
        return "nothing"

    assert run(main) == ("timeout" if limit_s <= 1 else "failure")
    assert notified == []


def test_failure_and_end_of_the_body_at_one_moment() -> None:
    def main() -> None:
        with pytest.raises(ExceptionGroup), Group() as group:
            group.spawn(after, 1, KeyError())
            coro.sleep_relative(1)
        coro.sleep_relative(5)

    run(main)


# -- nested groups


def test_failure_in_the_inner_group_passes_through_the_outer_one() -> None:
    steps: list[object] = []

    def inner() -> None:
        with Group() as group:
            group.spawn(with_clean_up, steps, 1, "inner")
            group.spawn(after, 1, KeyError())

    def main() -> float:
        watch = Watch()
        with pytest.raises(ExceptionGroup) as caught, Group() as group:
            group.spawn(with_clean_up, steps, 1, "outer")
            group.spawn(inner)
        [nested] = caught.value.exceptions
        assert isinstance(nested, ExceptionGroup)
        assert [type(error) for error in nested.exceptions] == [KeyError]
        return watch.seconds

    assert run(main) == 3
    assert steps == ["inner", "outer"]


def test_failure_in_the_outer_group_ends_the_inner_one_bare() -> None:
    steps: list[object] = []

    def main() -> float:
        watch = Watch()
        with pytest.raises(ExceptionGroup) as caught, Group() as outer:
            outer.spawn(after, 1, KeyError())
            try:
                with Group() as inner:
                    inner.spawn(with_clean_up, steps, 2)
            except Interrupted as interrupt:
                assert interrupt.args == (outer,)
                steps.append("bare")
                raise
        assert [type(error) for error in caught.value.exceptions] == [KeyError]
        return watch.seconds

    assert run(main) == 3
    assert steps == ["cleaned up", "bare"]


def test_shutdown_goes_down_a_tree_of_groups() -> None:
    steps: list[object] = []

    def branch(depth: int) -> None:
        with Group() as group:
            for _ in range(2):
                if depth:
                    group.spawn(branch, depth - 1)
                else:
                    group.spawn(with_clean_up, steps, 1)

    def main() -> tuple[float, int]:
        watch = Watch()
        with pytest.raises(coro.TimeoutError):
            with_timeout(1, branch, 3)
        return watch.seconds, coro.get_live_coros()

    assert run(main) == (2, 1)
    assert len(steps) == 16


# -- spawn() when it is too late, shutdown()


def test_spawn_outside_the_block_is_refused() -> None:
    def main() -> None:
        group = Group()
        with pytest.raises(RuntimeError, match="takes no threads: it is not open"):
            group.spawn(int)
        with group:
            assert group.is_open
        assert not group.is_open
        with pytest.raises(RuntimeError, match="takes no threads: it is not open"):
            group.spawn(int)
        assert coro.get_live_coros() == 1

    run(main)


def test_spawn_in_a_group_that_is_shutting_down_is_refused() -> None:
    refused: list[str] = []

    def late(group: Group) -> None:
        try:
            coro.sleep_relative(60)
        finally:
            with pytest.raises(RuntimeError, match="or it is shutting down") as caught:
                group.spawn(int)
            refused.append(str(caught.value))

    def main() -> None:
        with pytest.raises(ExceptionGroup), Group() as group:
            group.spawn(late, group)
            group.spawn(after, 1, KeyError())
        with Group() as group:
            group.spawn(late, group)
            coro.yield_slice()
            group.shutdown()

    run(main)
    assert len(refused) == 2


def test_shutdown_ends_the_threads_and_the_body_goes_on() -> None:
    steps: list[object] = []

    def main() -> float:
        watch = Watch()
        with Group() as group:
            group.spawn(with_clean_up, steps, 2)
            not_started = group.spawn(after, 60)
            group.shutdown()
            assert not_started.dead
            coro.sleep_relative(5)
            assert len(group) == 0
        return watch.seconds

    assert run(main) == 5
    assert steps == []


def test_first_answer_wins() -> None:
    """A thread of the group may shut the group down, and itself goes on."""

    def main() -> tuple[list[object], float]:
        watch, answers = Watch(), []

        def ask(seconds: float) -> None:
            coro.sleep_relative(seconds)
            answers.append(seconds)
            group.shutdown()
            coro.sleep_relative(0.5)

        with Group() as group:
            for seconds in (3, 1, 2):
                group.spawn(ask, seconds)
        return answers, watch.seconds

    assert run(main) == ([1], 1.5)


def test_group_can_be_used_once_and_in_threads_only() -> None:
    with pytest.raises(coro.YieldFromMain, match=r"Group\(\) needs a running loop"), Group():
        pass

    def main() -> None:
        group = Group()
        with group, pytest.raises(RuntimeError, match="once"):
            group.__enter__()
        with pytest.raises(RuntimeError, match="once"), group:
            pass
        with pytest.raises(TypeError, match="a thread needs a function to run, got 5"):
            try:
                with Group() as group:
                    group.spawn(5)  # type: ignore[arg-type]
            except ExceptionGroup as caught:
                raise caught.exceptions[0] from None

    run(main)


@pytest.mark.parametrize("ending", ["well", "failure", "interrupt in the body", "interrupt while joining"])
def test_groups_that_have_ended_are_no_work_for_the_collector(ending: str) -> None:
    def one() -> None:
        me = coro.current()
        if "interrupt" in ending:
            timers.arm(coro.get_now() + SECOND // 2, lambda _: me.raise_exception(coro.WakeUp))
        try:
            with Group() as group:
                group.spawn(fail if ending == "failure" else after, 1)
                coro.sleep_relative(0 if "joining" in ending else 2)
        except (ExceptionGroup, coro.WakeUp):
            pass

    def main() -> int:
        one()
        gc.collect()
        for _ in range(10):
            one()
        return gc.collect()

    gc.disable()
    try:
        assert run(main) < 10
    finally:
        gc.enable()


def test_finaliser_that_the_collector_runs_cannot_wait_and_does_not_hang() -> None:
    raised: list[BaseException] = []

    class Circle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            try:
                with Group() as group:
                    group.spawn(after, 60)
            except BaseException as error:
                raised.append(error)

    def main() -> int:
        Circle()
        gc.collect()
        coro.yield_slice()
        return coro.get_live_coros()

    assert run(main) == 1
    assert [type(error) for error in raised] == [coro.YieldFromMain]


def test_fork_in_the_body_leaves_the_child_nothing_to_wait_for() -> None:
    def main() -> tuple[float, int]:
        watch = Watch()
        pid, status = -1, 1
        try:
            with Group() as group:
                group.spawn(after, 60)
                coro.sleep_relative(1)
                pid = coro.fork()
                if pid:
                    group.shutdown()
            status = 42
        finally:
            if not pid:
                # Whatever happened, the child must not go on with the tests.
                os._exit(status)
        return watch.seconds, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert run(main) == (1, 42)


def test_thousands_of_threads() -> None:
    def main() -> int:
        with Group() as group:
            threads = [group.spawn(after, number / 1000, number) for number in range(5000)]
        return sum(thread.result_value for thread in threads)

    assert run(main) == sum(range(5000))
