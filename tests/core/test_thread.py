import functools
import re
from typing import Any

import pytest

import coro
from coro import testing
from coro.thread import MAX_SELFISH_ACTS


def nothing() -> None:
    """A thread's function that ends at once."""


def start_all(*threads: coro.coro) -> None:
    """Let each of these threads run until it parks or ends."""
    coro.yield_slice()
    for thread in threads:
        assert thread.started


# -- making


def test_new_thread_stands_in_all_threads_and_waits_for_start() -> None:
    def main() -> None:
        ran = []
        thread = coro.new(ran.append, 1)
        assert coro.all_threads[thread.id] is thread
        assert (thread.started, thread.scheduled, thread.dead) == (False, False, False)
        coro.sleep_relative(1)
        assert ran == []
        thread.start()
        assert (thread.started, thread.scheduled, thread.dead) == (False, True, False)
        thread.join()
        assert ran == [1]
        assert (thread.started, thread.scheduled, thread.dead) == (True, False, True)
        assert thread.id not in coro.all_threads

    testing.run(main, real_descriptors=False)


def test_spawn_runs_on_a_later_turn_in_the_order_of_spawning() -> None:
    def main() -> None:
        ran: list[int] = []
        threads = [coro.spawn(ran.append, number) for number in range(5)]
        assert ran == []
        assert all(thread.scheduled and not thread.started for thread in threads)
        assert all(coro.all_threads[thread.id] is thread for thread in threads)
        coro.yield_slice()
        assert ran == [0, 1, 2, 3, 4]

    testing.run(main, real_descriptors=False)


def test_keywords_that_spawn_does_not_take_itself_reach_the_function() -> None:
    def function(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        return args, kwargs, coro.current().name

    def main() -> None:
        spawned = coro.spawn(function, 1, 2, thread_name="named", name="kept", value=3)
        made = coro.new(function, 1, 2, thread_name="named", name="kept", value=3)
        made.start()
        for thread in (spawned, made):
            assert thread.result() == ((1, 2), {"name": "kept", "value": 3}, "named")

    testing.run(main, real_descriptors=False)


def test_class_makes_a_thread_of_function_arguments_keywords_id_and_name() -> None:
    def main() -> None:
        thread = coro.coro(divmod, (7, 2), {}, 10_000_000, "by hand")
        assert (thread.id, thread.name) == (10_000_000, "by hand")
        assert coro.get_thread_by_id(10_000_000) is thread
        thread.start()
        assert thread.result() == (3, 1)

    testing.run(main, real_descriptors=False)


def test_ids_are_positive_and_never_used_twice() -> None:
    def main() -> list[int]:
        ids = []
        for _ in range(100):
            thread = coro.spawn(nothing)
            ids.append(thread.id)
            thread.join()
        return ids

    ids = testing.run(main, real_descriptors=False) + testing.run(main, real_descriptors=False)

    assert all(number > 0 for number in ids)
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("make", [coro.new, coro.spawn, coro.coro])
@pytest.mark.parametrize("function", [5, None, "nothing"])
def test_what_cannot_be_called_is_refused(make: Any, function: Any) -> None:
    with pytest.raises(TypeError, match=f"a thread needs a function to run, got {function!r}"):
        make(function)

    assert not coro.all_threads


@pytest.mark.parametrize("make", [coro.new, coro.spawn])
def test_name_that_is_no_str_is_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="a thread's name must be a str, got b'x'"):
        make(nothing, thread_name=b"x")

    assert not coro.all_threads


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((5,), TypeError, "5"),
        (((), 5), TypeError, "5"),
        (((), {}, "7"), TypeError, "'7'"),
        (((), {}, -5), ValueError, "-5"),
        (((), {}, 0), ValueError, "0"),
    ],
)
def test_class_refuses_wrong_arguments_and_ids(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        coro.coro(nothing, *arguments)

    assert not coro.all_threads


def test_id_of_a_live_thread_is_refused() -> None:
    thread = coro.new(nothing)
    try:
        with pytest.raises(ValueError, match=str(thread.id)):
            coro.coro(nothing, (), {}, thread.id)
        assert coro.all_threads == {thread.id: thread}
    finally:
        thread.shutdown()


# -- names


class Callable:
    """Something that can be called and has no name of its own."""

    def __call__(self) -> None: ...

    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (nothing, "nothing"),
        (len, "len"),
        (Callable().method, "Callable.method"),
        (functools.partial(nothing), "nothing"),
        (Callable(), "Callable"),
    ],
)
def test_generated_name_is_the_functions_and_stays(function: Any, name: str) -> None:
    def main() -> None:
        asked_early, asked_late, cancelled = coro.new(function), coro.new(function), coro.new(function)
        assert asked_early.name == name
        for thread in (asked_early, asked_late):
            thread.start()
        cancelled.shutdown()
        coro.sleep_relative(1)
        assert [thread.name for thread in (asked_early, asked_late, cancelled)] == [name] * 3

    coro.set_exception_notifier(lambda thread, error: None)
    testing.run(main, real_descriptors=False)


def test_set_name_returns_the_thread_and_changes_every_spelling() -> None:
    thread = coro.new(nothing, thread_name="first")
    try:
        assert (thread.name, thread.get_name()) == ("first", "first")
        assert thread.set_name("second") is thread
        assert (thread.name, thread.get_name()) == ("second", "second")
        thread.name = "third"
        assert (thread.name, thread.get_name()) == ("third", "third")
        for change in (thread.set_name, functools.partial(setattr, thread, "name")):
            with pytest.raises(TypeError, match="a thread's name must be a str, got 5"):
                change(5)  # type: ignore[arg-type]
        assert thread.name == "third"
    finally:
        thread.shutdown()


def test_repr_is_shrapnels() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 1, thread_name="thing")
        texts = [repr(thread)]
        coro.yield_slice()
        texts.append(repr(thread))
        thread.join()
        texts.append(repr(thread))
        for text, flags in zip(
            texts,
            ("dead=0 started=0 scheduled=1", "dead=0 started=1 scheduled=0", "dead=1 started=1 scheduled=0"),
            strict=True,
        ):
            assert re.fullmatch(f"<coro #{thread.id} name='thing' {flags} at 0x[0-9a-f]+>", text), text

    testing.run(main, real_descriptors=False)


# -- starting and scheduling


def test_start_a_second_time_raises_with_the_thread() -> None:
    def main() -> None:
        thread = coro.new(coro._yield)
        thread.start()
        with pytest.raises(coro.ScheduleError, match="started already") as caught:
            thread.start()
        assert caught.value.thread is thread
        coro.yield_slice()
        with pytest.raises(coro.ScheduleError, match="started already"):
            thread.start()
        thread.shutdown()
        thread.join()
        with pytest.raises(coro.ScheduleError):
            thread.start()

    testing.run(main, real_descriptors=False)


def test_start_of_a_cancelled_thread_says_that_it_is_dead() -> None:
    def main() -> None:
        for thread in (coro.new(nothing), coro.spawn(nothing)):
            thread.shutdown()
            assert (thread.started, thread.scheduled, thread.dead) == (False, False, True)
            with pytest.raises(coro.DeadCoroutine):
                thread.start()

    testing.run(main, real_descriptors=False)


def test_schedule_resumes_with_the_value_and_none_by_default() -> None:
    def main() -> None:
        got: list[Any] = []
        thread = coro.spawn(lambda: got.extend((coro._yield(), coro._yield(), coro._yield())))
        start_all(thread)
        thread.schedule("value")
        assert thread.scheduled
        assert thread.value == "value"
        coro.yield_slice()
        coro.schedule(thread, 7)
        coro.yield_slice()
        coro.schedule(thread)
        thread.join()
        assert got == ["value", 7, None]
        assert thread.value is None

    testing.run(main, real_descriptors=False)


def test_value_of_a_thread_that_only_yielded_is_none() -> None:
    def main() -> None:
        thread = coro.spawn(coro.yield_slice)
        seen = []
        coro.spawn(lambda: seen.append((thread.scheduled, thread.value)))
        coro.yield_slice()
        assert seen == [(True, None)]

    testing.run(main, real_descriptors=False)


def test_schedule_on_a_new_thread_starts_it_and_ignores_the_value() -> None:
    def main() -> None:
        got: list[Any] = []
        thread = coro.new(lambda: got.append(coro._yield()))
        thread.schedule("ignored")
        start_all(thread)
        assert got == []
        thread.schedule("value")
        thread.join()
        assert got == ["value"]

    testing.run(main, real_descriptors=False)


def test_schedule_twice_or_oneself_raises_schedule_error_with_the_thread() -> None:
    def main() -> None:
        thread = coro.spawn(coro._yield)
        with pytest.raises(coro.ScheduleError, match="scheduled already") as caught:
            thread.schedule()
        assert caught.value.thread is thread
        assert not isinstance(caught.value, coro.DeadCoroutine)
        me = coro.current()
        with pytest.raises(coro.ScheduleError, match="current thread cannot schedule itself") as caught:
            coro.schedule(me)
        assert caught.value.thread is me
        start_all(thread)
        thread.schedule("kept")
        with pytest.raises(coro.ScheduleError, match="scheduled already"):
            thread.schedule("lost")
        assert thread.result() == "kept"

    testing.run(main, real_descriptors=False)


def test_schedule_of_a_dead_thread_raises_dead_coroutine() -> None:
    def main() -> None:
        ended = coro.spawn(nothing)
        ended.join()
        cancelled = coro.spawn(nothing)
        cancelled.shutdown()
        for thread in (ended, cancelled):
            with pytest.raises(coro.DeadCoroutine, match="the thread has ended") as caught:
                thread.schedule()
            assert caught.value.thread is thread
            assert isinstance(caught.value, coro.ScheduleError)

    testing.run(main, real_descriptors=False)


def test_schedule_of_something_else_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"schedule\(\) needs a thread, got 5"):
        coro.schedule(5)  # type: ignore[arg-type]


# -- join and result


def test_join_waits_for_the_end_and_returns_at_once_after_it() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 5)
        begin = coro.get_now()
        assert thread.join() is None
        assert coro.get_now() - begin == 5 * coro.ticks_per_sec
        assert thread.join() is None
        assert coro.get_now() - begin == 5 * coro.ticks_per_sec

    testing.run(main, real_descriptors=False)


def test_join_of_a_dead_thread_returns_at_once_outside_the_loop_too() -> None:
    threads: list[coro.coro] = []
    testing.run(lambda: threads.append(coro.current()), real_descriptors=False)

    assert threads[0].dead
    threads[0].join()


def test_all_joiners_are_woken() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 1)
        joiners = [coro.spawn(thread.join) for _ in range(10)]
        coro.sleep_relative(2)
        assert all(joiner.dead and joiner.error is None for joiner in joiners)

    testing.run(main, real_descriptors=False)


def test_join_goes_on_waiting_when_a_stranger_schedules_the_joiner() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 5)
        joiner = coro.spawn(thread.join)
        coro.sleep_relative(1)
        joiner.schedule()
        coro.sleep_relative(1)
        assert not joiner.dead
        thread.join()
        joiner.join()

    testing.run(main, real_descriptors=False)


def test_join_with_timeout_raises_and_leaves_the_thread_alone() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 5)
        begin = coro.get_now()
        with pytest.raises(coro.TimeoutError, match=r"timed out after 2 s") as caught:
            thread.join(2)
        assert caught.value.seconds == 2
        assert coro.get_now() - begin == 2 * coro.ticks_per_sec
        with pytest.raises(coro.TimeoutError):
            thread.join(timeout=0)
        with pytest.raises(coro.TimeoutError):
            thread.join(-1)
        assert not thread.dead
        thread.join(4)
        assert thread.dead
        thread.join(0)

    testing.run(main, real_descriptors=False)


def test_interrupted_joiner_just_stops_waiting() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 5)
        joiner = coro.spawn(thread.join)
        other = coro.spawn(thread.join)
        coro.sleep_relative(1)
        joiner.shutdown()
        joiner.join()
        other.join()
        assert thread.dead

    testing.run(main, real_descriptors=False)


def test_joining_oneself_raises() -> None:
    def main() -> None:
        with pytest.raises(coro.ScheduleError, match="a thread cannot join itself") as caught:
            coro.current().join()
        assert caught.value.thread is coro.current()
        with pytest.raises(coro.ScheduleError, match="a thread cannot join itself"):
            coro.current().result()

    testing.run(main, real_descriptors=False)


def test_joining_a_thread_that_is_never_started_waits_for_ever() -> None:
    def main() -> None:
        coro.new(nothing).join()

    with pytest.raises(testing.NothingWillHappen):
        testing.run(main, real_descriptors=False)


@pytest.mark.parametrize(("timeout", "error"), [("x", TypeError), (float("nan"), ValueError), ([], TypeError)])
@pytest.mark.parametrize("what", ["join", "result"])
def test_wrong_timeout_is_refused_and_waits_for_nothing(what: str, timeout: Any, error: type[Exception]) -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 1)
        with pytest.raises(error, match=f"timeout must be a number.*{re.escape(repr(timeout))}"):
            getattr(thread, what)(timeout)
        thread.join()

    testing.run(main, real_descriptors=False)


def test_result_is_the_value_of_the_function() -> None:
    def main() -> None:
        early = coro.spawn(divmod, 7, 2)
        assert early.result() == (3, 1)
        assert early.result() == (3, 1)
        late = coro.spawn(coro.sleep_relative, 1)
        with pytest.raises(coro.TimeoutError):
            late.result(0.5)
        assert late.result(1) is None

    testing.run(main, real_descriptors=False)


def test_result_raises_what_the_function_raised() -> None:
    error = ValueError("spilled")

    def fail() -> None:
        raise error

    def main() -> None:
        for _ in range(2):
            with pytest.raises(ValueError, match="spilled") as caught:
                coro.spawn(fail).result()
            assert caught.value is error

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("exception", [coro.Shutdown, coro.Interrupted])
def test_result_of_an_interrupted_thread_is_an_ordinary_exception_from_it(
    exception: type[BaseException],
) -> None:
    def main() -> None:
        coro.set_exception_notifier(lambda thread, error: None)
        thread = coro.spawn(coro.sleep_relative, 9)
        start_all(thread)
        thread.raise_exception(exception)
        with pytest.raises(coro.DeadCoroutine, match=exception.__name__) as caught:
            thread.result()
        assert isinstance(caught.value.__cause__, exception)
        cancelled = coro.new(nothing)
        cancelled.shutdown()
        with pytest.raises(coro.DeadCoroutine, match="Shutdown") as caught:
            cancelled.result()
        assert isinstance(caught.value.__cause__, coro.Shutdown)

    testing.run(main, real_descriptors=False)


def test_result_of_a_thread_that_timed_out_is_its_timeout_error() -> None:
    def main() -> None:
        never = coro.new(nothing)
        thread = coro.spawn(never.join, 1)
        with pytest.raises(coro.TimeoutError, match="timed out after 1 s"):
            thread.result()
        never.shutdown()

    testing.run(main, real_descriptors=False)


# -- frames


def test_frame_is_none_before_and_after_and_the_place_where_it_waits_between() -> None:
    def wait_here() -> None:
        coro.sleep_relative(1)

    def main() -> None:
        thread = coro.new(wait_here)
        assert thread.get_frame() is None
        thread.start()
        coro.yield_slice()
        names = []
        frame = thread.get_frame()
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        assert "wait_here" in names
        thread.join()
        assert thread.get_frame() is None
        mine = coro.current().get_frame()
        assert mine is not None
        assert mine.f_code.co_name == "main"

    testing.run(main, real_descriptors=False)


# -- selfishness


def test_max_selfish_acts_returns_the_old_limit() -> None:
    thread = coro.new(nothing)
    try:
        assert thread.set_max_selfish_acts(1) == 4
        assert thread.set_max_selfish_acts(MAX_SELFISH_ACTS) == 1
        assert thread.set_max_selfish_acts(7) == 32768
    finally:
        thread.shutdown()


def test_set_selfishness_holds_for_threads_made_later() -> None:
    before = coro.new(nothing)
    assert coro.set_selfishness(9) == 4
    after = coro.new(nothing)
    assert coro.set_selfishness(4) == 9
    try:
        assert before.set_max_selfish_acts(1) == 4
        assert after.set_max_selfish_acts(1) == 9
    finally:
        before.shutdown()
        after.shutdown()


@pytest.mark.parametrize(
    ("maximum", "error"),
    [(0, ValueError), (-1, ValueError), (32769, ValueError), (1.5, TypeError), ("4", TypeError), (True, TypeError)],
)
def test_wrong_selfishness_is_refused_with_the_limits(maximum: Any, error: type[Exception]) -> None:
    thread = coro.new(nothing)
    try:
        for change in (thread.set_max_selfish_acts, coro.set_selfishness):
            with pytest.raises(error, match=f"max selfish acts must be .*got {maximum!r}"):
                change(maximum)
        assert thread.set_max_selfish_acts(1) == 4
        assert coro.set_selfishness(4) == 4
    finally:
        thread.shutdown()


def test_a_function_that_refuses_to_be_looked_at_still_runs_and_has_a_name() -> None:
    class Odd:
        def __call__(self) -> str:
            return "ran"

        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

    def main() -> tuple[str, str, object]:
        thread = coro.spawn(Odd())
        before = thread.name
        thread.join()
        return before, thread.name, thread.result()

    name = Odd.__qualname__
    assert coro.run(main) == (name, name, "ran")
