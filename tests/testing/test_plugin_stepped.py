"""The loop of a marked test, which turns in steps."""

import contextlib
from collections.abc import Iterator

import pytest

import coro
from coro.loop import loop
from coro.scheduler import scheduler
from coro.testing import FakeClock
from coro.testing.stepped import SteppedLoop


@pytest.fixture
def stepped() -> Iterator[SteppedLoop]:
    stepped = SteppedLoop("the test", fake_clock=True)
    yield stepped
    if loop.running:
        stepped.close()


def clock_of(stepped: SteppedLoop) -> FakeClock:
    assert stepped.clock is not None
    return stepped.clock


def test_steps_are_made_in_one_thread(stepped: SteppedLoop) -> None:
    assert stepped.call(coro.current) is stepped.thread
    assert stepped.call(coro.current) is stepped.thread
    assert stepped.thread.name == "the test"


def test_step_inside_a_step_is_made_right_there(stepped: SteppedLoop) -> None:
    assert stepped.call(lambda: stepped.call(coro.current)) is stepped.thread


def test_exception_of_a_step_is_raised_and_the_next_step_goes_on(stepped: SteppedLoop) -> None:
    with pytest.raises(KeyError):
        stepped.call(lambda: {}["nothing"])
    assert stepped.call(lambda: 5) == 5


def test_nothing_moves_between_the_steps(stepped: SteppedLoop) -> None:
    values: list[int] = []
    begin = clock_of(stepped).now_ns
    stepped.call(lambda: coro.spawn(values.append, 1))
    assert values == []
    assert clock_of(stepped).now_ns == begin
    stepped.call(coro.yield_slice)
    assert values == [1]


def test_time_between_the_steps_is_no_lag(stepped: SteppedLoop) -> None:
    stepped.call(coro.yield_slice)
    clock_of(stepped).advance(10)
    stepped.call(coro.yield_slice)
    assert list(loop.long_turns) == []


def test_blocking_between_the_steps_is_refused(stepped: SteppedLoop) -> None:
    with pytest.raises(coro.YieldFromMain):
        coro.sleep_relative(1)


def test_exit_that_was_asked_for_before_is_none_of_ours() -> None:
    coro.set_exit(5)
    stepped = SteppedLoop("the test")
    try:
        assert stepped.call(lambda: 5) == 5
    finally:
        stepped.close()


def test_threads_get_the_grace_time_once(stepped: SteppedLoop, capfd: pytest.CaptureFixture[str]) -> None:
    def stubborn() -> None:
        while True:
            try:
                coro.sleep_relative(1000)
            except coro.Shutdown:
                continue

    stepped.call(lambda: (coro.spawn(stubborn), coro.yield_slice()))
    clock = clock_of(stepped)
    begin = clock.now_ns
    stepped.shut_down_others()
    stepped.close()
    assert clock.now_ns - begin == 3 * coro.ticks_per_sec
    assert not coro.all_threads
    assert "stubborn" in capfd.readouterr().err


def test_loop_that_cannot_start_leaves_nothing() -> None:
    def inside() -> None:
        before = dict(coro.all_threads)
        clock = scheduler.clock
        with pytest.raises(RuntimeError, match="a loop is running in this process already"):
            SteppedLoop("the test")
        assert dict(coro.all_threads) == before
        assert scheduler.clock is clock

    coro.run(inside)


def test_error_in_the_loop_itself_is_raised_in_the_thread_with_its_own_place(stepped: SteppedLoop) -> None:
    def broken() -> None:
        raise ZeroDivisionError("in the loop")

    def step() -> None:
        loop.post(broken)
        coro.sleep_relative(1)

    with pytest.raises(ZeroDivisionError) as caught:
        stepped.call(step)
    names = [entry.name for entry in caught.traceback]
    assert names.index("step") < names.index("broken")
    assert "the test's own" in stepped.places


def test_second_ctrl_c_does_not_wait_for_the_thread(stepped: SteppedLoop) -> None:
    def deaf() -> None:
        for _ in range(2):
            scheduler.uncaught = KeyboardInterrupt()
            with contextlib.suppress(KeyboardInterrupt):
                coro.sleep_relative(1)
        coro._yield()

    begin = clock_of(stepped).now_ns
    with pytest.raises(KeyboardInterrupt):
        stepped.call(deaf)
    assert clock_of(stepped).now_ns - begin <= coro.ticks_per_sec
    # The thread hangs: further calls are the caller's own.
    assert stepped.call(coro.current).id == -1
