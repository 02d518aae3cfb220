"""The module-level functions of the core."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing

SECOND = coro.ticks_per_sec


# -- run()


def test_run_returns_the_value_and_passes_arguments_on() -> None:
    assert coro.run(divmod, 7, 2) == (3, 1)
    assert coro.run(lambda **keywords: keywords, a=1) == {"a": 1}
    assert not coro.all_threads


@pytest.mark.parametrize("error", [ValueError("spilled"), SystemExit(3), GeneratorExit(), KeyboardInterrupt()])
def test_run_raises_what_the_function_raised(error: BaseException) -> None:
    told = []
    coro.set_exception_notifier(lambda thread, exception: told.append(exception))

    def main() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        coro.run(main)
    assert caught.value is error
    assert told == [], "whoever gets the exception need not be told"


def test_run_shuts_the_other_threads_down_and_their_finally_blocks_run() -> None:
    cleaned: list[str] = []

    def other() -> None:
        try:
            coro.sleep_relative(1000)
        finally:
            coro.sleep_relative(1)
            cleaned.append("cleaned")

    def main() -> str:
        coro.spawn(other)
        coro.sleep_relative(1)
        return "value"

    assert testing.run(main, real_descriptors=False) == "value"
    assert cleaned == ["cleaned"]
    assert not coro.all_threads


def test_run_raises_system_exit_when_set_exit_was_called() -> None:
    def main() -> str:
        coro.set_exit(3)
        try:
            coro.sleep_relative(1000)
        finally:
            cleaned.append("cleaned")
        return "never"

    cleaned: list[str] = []
    with pytest.raises(SystemExit) as caught:
        coro.run(main)
    assert caught.value.code == 3
    assert cleaned == ["cleaned"]


def test_what_cannot_be_called_is_refused_by_run() -> None:
    with pytest.raises(TypeError, match="a thread needs a function to run, got 5"):
        coro.run(5)  # type: ignore[arg-type]

    assert not coro.coro_is_running()


# -- current() and the finding of threads


def test_current_is_a_stub_outside_the_loop_and_never_none() -> None:
    def stub_of(thread: coro.coro) -> tuple[int, str]:
        return thread.id, thread.name

    expected = (-1, "main/scheduler")
    assert stub_of(coro.current()) == expected
    coro.run(int)
    assert stub_of(coro.current()) == expected
    assert coro.current() is coro.current()
    assert -1 not in coro.all_threads
    assert coro.get_live_coros() == 0


def test_current_is_the_running_thread() -> None:
    def main() -> None:
        me = coro.current()
        assert me is coro.all_threads[me.id]
        thread = coro.spawn(coro.current)
        assert thread.result() is thread
        assert coro.current() is me

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("what", ["schedule", "start", "raise_exception", "shutdown"])
def test_stub_of_the_main_greenlet_cannot_be_resumed(what: str) -> None:
    stub = coro.current()
    arguments = (KeyError,) if what == "raise_exception" else ()
    with pytest.raises(coro.Shutdown if what == "shutdown" else coro.ScheduleError):
        getattr(stub, what)(*arguments)

    coro.run(coro.yield_slice)
    assert coro.current() is stub
    assert not stub.dead


def test_threads_are_found_by_id_and_counted_while_they_live() -> None:
    def main() -> None:
        unstarted, waiting = coro.new(int), coro.spawn(coro._yield)
        coro.yield_slice()
        assert coro.get_live_coros() == len(coro.all_threads) == 3
        for thread in (unstarted, waiting, coro.current()):
            assert coro.get_thread_by_id(thread.id) is thread
        waiting.schedule()
        unstarted.shutdown()
        coro.yield_slice()
        assert coro.get_live_coros() == 1
        for thread in (unstarted, waiting):
            with pytest.raises(KeyError):
                coro.get_thread_by_id(thread.id)

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("thread_id", [0, -1, 10**9, "x"])
def test_unknown_id_is_a_key_error(thread_id: Any) -> None:
    with pytest.raises(KeyError):
        coro.get_thread_by_id(thread_id)


# -- where


def wait_in_here() -> None:
    coro.sleep_relative(1)


def test_where_shows_the_place_outermost_call_first() -> None:
    def main() -> None:
        thread = coro.spawn(lambda: wait_in_here())
        assert "has not started" in coro.where(thread)
        coro.yield_slice()
        text = coro.where(thread)
        assert text.index("<lambda>") < text.index("wait_in_here") < text.index("sleep_relative")
        assert re.search(r'File ".*test_runtime.py", line \d+, in wait_in_here', text)
        thread.join()
        assert "has ended" in coro.where(thread)
        assert repr(thread) in coro.where(thread)

    testing.run(main, real_descriptors=False)


def test_where_of_the_current_thread_and_of_the_stub() -> None:
    assert "main/scheduler" in coro.where(coro.current())

    def main() -> None:
        assert "in main" in coro.where(coro.current())

    testing.run(main, real_descriptors=False)


def test_where_of_something_else_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="got 5"):
        coro.where(5)  # type: ignore[arg-type]


def test_where_all_has_every_thread_with_name_and_place() -> None:
    def main() -> None:
        thread = coro.spawn(wait_in_here, thread_name="waiting")
        unstarted = coro.new(int)
        coro.yield_slice()
        everything = coro.where_all()
        assert sorted(everything) == sorted([coro.current().id, thread.id, unstarted.id])
        name, who, text = everything[thread.id]
        assert (name, who, text) == ("waiting", thread, coro.where(thread))
        assert "in main" in everything[coro.current().id][2]

    testing.run(main, real_descriptors=False)


# -- time


def test_ticks_are_nanoseconds_of_a_monotonic_clock() -> None:
    assert (coro.ticks_per_sec, coro.ticks_per_usec) == (1_000_000_000, 1_000)
    before, now, after = time.monotonic_ns(), coro.get_now(), time.monotonic_ns()
    assert before <= now <= after
    assert isinstance(now, int)


def test_now_is_the_reading_of_the_latest_switch() -> None:
    def main() -> None:
        coro.yield_slice()
        reading = coro.now
        assert isinstance(reading, int)
        assert coro.get_now() == reading
        coro.sleep_relative(3)
        assert coro.now == reading + 3 * SECOND

    testing.run(main, real_descriptors=False)


def test_conversions_are_each_others_inverse() -> None:
    assert coro.usec_to_ticks(1.5) == 1500
    assert coro.ticks_to_usec(1999) == 1
    assert coro.ticks_to_relative_sec(1_500_000_000) == 1.5
    assert coro.seconds_to_ticks(1.5) == 1_500_000_000
    now = coro.get_now()
    epoch = coro.ticks_to_absolute_secs(now)
    assert abs(epoch - time.time()) < 5
    assert abs(coro.absolute_secs_to_ticks(epoch) - now) < 5 * SECOND
    assert abs(coro.absolute_time_to_ticks(epoch + 100) - now - 100 * SECOND) < 5 * SECOND


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [(0, 0), (-1, 0), (float("-inf"), 0), (1e-9, 1), (float("inf"), 2**63 - 1), (1e30, 2**63 - 1)],
)
def test_durations_are_cut_to_what_can_be_waited(seconds: float, ticks: int) -> None:
    assert coro.seconds_to_ticks(seconds) == ticks


@pytest.mark.parametrize(
    ("convert", "argument", "error"),
    [
        (coro.seconds_to_ticks, "x", TypeError),
        (coro.seconds_to_ticks, None, TypeError),
        (coro.seconds_to_ticks, float("nan"), ValueError),
        (coro.usec_to_ticks, "12", TypeError),
        (coro.usec_to_ticks, None, TypeError),
        (coro.usec_to_ticks, float("nan"), ValueError),
        (coro.ticks_to_usec, "x", TypeError),
        (coro.ticks_to_relative_sec, "x", TypeError),
        (coro.ticks_to_absolute_secs, "x", TypeError),
        (coro.absolute_secs_to_ticks, "x", TypeError),
        (coro.absolute_secs_to_ticks, float("nan"), ValueError),
    ],
)
def test_wrong_durations_are_refused(convert: Callable[[Any], Any], argument: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        convert(argument)


# -- sleeping


@pytest.mark.parametrize("seconds", [0.5, 1, 3600, 1e-9])
def test_sleep_relative_sleeps_as_long_as_it_says(seconds: float) -> None:
    def main() -> int:
        begin = coro.get_now()
        coro.sleep_relative(seconds)
        return coro.get_now() - begin

    assert testing.run(main, real_descriptors=False) == coro.seconds_to_ticks(seconds)


def test_sleepers_wake_by_deadline_and_then_in_the_order_of_falling_asleep() -> None:
    def main() -> list[tuple[int, int]]:
        woken: list[tuple[int, int]] = []

        def sleep(number: int, seconds: int) -> None:
            coro.sleep_relative(seconds)
            woken.append((seconds, number))

        for number, seconds in enumerate([3, 1, 2, 1, 3, 2, 1]):
            coro.spawn(sleep, number, seconds)
        coro.sleep_relative(10)
        return woken

    assert testing.run(main, real_descriptors=False) == [
        (1, 1),
        (1, 3),
        (1, 6),
        (2, 2),
        (2, 5),
        (3, 0),
        (3, 4),
    ]


@pytest.mark.parametrize("seconds", [0, -1, -0.5])
def test_sleep_of_nothing_lets_the_others_run(seconds: float) -> None:
    def main() -> None:
        ran: list[int] = []
        coro.spawn(ran.append, 1)
        begin = coro.get_now()
        coro.sleep_relative(seconds)
        assert ran == [1]
        assert coro.get_now() == begin

    testing.run(main, real_descriptors=False)


def test_sleep_absolute_sleeps_until_the_point_and_yields_when_it_has_passed() -> None:
    def main() -> None:
        ran: list[int] = []
        deadline = coro.get_now() + 5 * SECOND
        coro.spawn(ran.append, 1)
        coro.sleep_absolute(deadline)
        assert coro.get_now() == deadline
        coro.spawn(ran.append, 2)
        coro.sleep_absolute(deadline - 1)
        assert coro.get_now() == deadline
        assert ran == [1, 2]

    testing.run(main, real_descriptors=False)


def test_sleeper_that_is_scheduled_stops_sleeping() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 1000)
        coro.sleep_relative(1)
        begin = coro.get_now()
        thread.schedule()
        thread.join()
        assert coro.get_now() == begin
        # Its timer is gone with it: nothing is left to wait for.
        coro._yield()

    with pytest.raises(testing.NothingWillHappen):
        testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("sleep", [coro.sleep_relative, coro.sleep_absolute])
@pytest.mark.parametrize("argument", ["x", None, [], 1j])
def test_sleep_for_what_is_no_number_is_a_type_error(sleep: Callable[[Any], None], argument: Any) -> None:
    def main() -> None:
        with pytest.raises(TypeError, match=re.escape(repr(argument))):
            sleep(argument)

    main()
    testing.run(main, real_descriptors=False)


def test_sleep_absolute_wants_whole_ticks_and_sleep_relative_no_nan() -> None:
    def main() -> None:
        with pytest.raises(TypeError, match=r"sleep_absolute\(\) needs a number of ticks as an int, got 1.5"):
            coro.sleep_absolute(1.5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="got nan"):
            coro.sleep_relative(float("nan"))

    testing.run(main, real_descriptors=False)


# -- outside the loop


def test_sleep_relative_outside_the_loop_is_time_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)

    for seconds in (1.5, 0, -1):
        coro.sleep_relative(seconds)

    assert slept == [1.5, 0, 0]


def join_unstarted() -> None:
    thread = coro.new(int)
    try:
        thread.join()
    finally:
        thread.shutdown()


def result_of_unstarted() -> None:
    thread = coro.new(int)
    try:
        thread.result()
    finally:
        thread.shutdown()


@pytest.mark.parametrize(
    "block",
    [
        coro.yield_slice,
        coro._yield,
        lambda: coro.sleep_absolute(coro.get_now() + SECOND),
        lambda: coro.sleep_absolute(0),
        join_unstarted,
        result_of_unstarted,
        lambda: coro.wait_for_read(0),
    ],
)
def test_blocking_call_outside_the_loop_says_what_to_do(block: Callable[[], Any]) -> None:
    message = (
        r"needs a running loop: spawn\(\) a thread that makes the call and start event_loop\(\), or use coro.run"
    )
    with pytest.raises(coro.YieldFromMain, match=message):
        block()
    # The same after a loop has run.
    coro.run(int)
    with pytest.raises(coro.YieldFromMain, match=message):
        block()
