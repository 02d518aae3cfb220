"""The exception notifier: who is told of an exception that ended a thread, and how."""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from coro.scheduler import scheduler
from coro.testing import FakeClock

Told = list[tuple[Any, ...]]


def fail_deep(error: BaseException) -> None:
    raise error


def fail(error: BaseException) -> None:
    fail_deep(error)


def run_failing(error: BaseException, name: str = "culprit") -> coro.coro:
    """Run a thread that ends by this exception, and wait for its end; returns it."""

    def main() -> coro.coro:
        thread = coro.spawn(fail, error, thread_name=name)
        thread.join()
        return thread

    return testing.run(main, real_descriptors=False)


@pytest.fixture
def told() -> Told:
    """What a notifier of the new kind is called with."""
    calls: Told = []
    coro.set_exception_notifier(lambda thread, error: calls.append((thread, error)))
    return calls


def test_notifier_gets_the_thread_and_the_exception(told: Told) -> None:
    error = ValueError("spilled")

    thread = run_failing(error)

    assert told == [(thread, error)]
    assert thread.error is error


def test_traceback_begins_with_the_threads_function(told: Told) -> None:
    run_failing(ValueError("spilled"))

    names = []
    traceback = told[0][1].__traceback__
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert names == ["fail", "fail_deep"]


def test_shrapnels_notifier_without_arguments_finds_the_exception_in_sys_exc_info() -> None:
    seen: Told = []
    error = ValueError("spilled")

    def notifier() -> None:
        seen.append((*sys.exc_info()[:2], coro.current().name))

    coro.set_exception_notifier(notifier)
    run_failing(error)

    assert seen == [(ValueError, error, "culprit")]
    assert sys.exc_info() == (None, None, None)


class Notifier:
    """Callables of several shapes."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def of_two(self, thread: Any, exception: Any) -> None:
        self.calls.append((thread, exception))

    def of_any(self, *args: Any) -> None:
        self.calls.append(args)

    def of_none(self) -> None:
        self.calls.append(())

    def of_one_optional(self, stream: Any = None) -> None:
        self.calls.append(())


@pytest.mark.parametrize(("name", "count"), [("of_two", 2), ("of_any", 2), ("of_none", 0), ("of_one_optional", 0)])
def test_notifier_gets_two_arguments_if_it_takes_them(name: str, count: int) -> None:
    notifier = Notifier()
    coro.set_exception_notifier(getattr(notifier, name))

    run_failing(ValueError())

    assert [len(call) for call in notifier.calls] == [count]


def test_set_exception_notifier_returns_the_old_one() -> None:
    def first() -> None: ...

    def second() -> None: ...

    assert coro.set_exception_notifier(first) is None
    assert coro.set_exception_notifier(second) is first
    assert coro.set_exception_notifier(None) is second
    assert coro.set_exception_notifier(None) is None


@pytest.mark.parametrize("notifier", [5, "print", ()])
def test_notifier_that_cannot_be_called_is_refused(notifier: Any, told: Told) -> None:
    with pytest.raises(TypeError, match="an exception notifier must be callable or None"):
        coro.set_exception_notifier(notifier)

    run_failing(ValueError())
    assert len(told) == 1


def test_default_prints_the_traceback_and_the_thread_to_the_real_stderr(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stderr", replaced)

    thread = run_failing(ValueError("spilled"))

    text = stderr.getvalue()
    assert f"<coro #{thread.id} name='culprit'" in text
    assert "Traceback (most recent call last):" in text
    assert text.index("in fail\n") < text.index("in fail_deep\n") < text.index("ValueError: spilled")
    assert "scheduler.py" not in text
    assert replaced.getvalue() == ""


# -- a notifier that raises


def new_style(thread: Any, exception: Any) -> None:
    raise OSError("the notifier's own fault")


def old_style() -> None:
    raise OSError("the notifier's own fault")


def exits() -> None:
    raise SystemExit("the notifier's own fault")


@pytest.mark.parametrize("notifier", [new_style, old_style, exits])
def test_if_the_notifier_raises_the_default_runs_too(notifier: Callable[..., Any], stderr: io.StringIO) -> None:
    coro.set_exception_notifier(notifier)

    def main() -> str:
        threads = [coro.spawn(fail, ValueError(f"spilled {number}")) for number in range(2)]
        joiner = coro.spawn(threads[0].join)
        joiner.join()
        threads[1].join()
        coro.sleep_relative(1)
        return "went on"

    assert testing.run(main, real_descriptors=False) == "went on"
    text = stderr.getvalue()
    for number in range(2):
        assert f"ValueError: spilled {number}" in text
    assert text.count("the exception notifier failed") == 2
    assert "the notifier's own fault" in text
    # It stays: only the call failed.
    assert coro.set_exception_notifier(None) is notifier


def test_keyboard_interrupt_in_the_notifier_leaves_the_loop() -> None:
    def notifier() -> None:
        raise KeyboardInterrupt

    coro.set_exception_notifier(notifier)

    with pytest.raises(KeyboardInterrupt):
        run_failing(ValueError())
    assert not coro.all_threads


# -- who is told


@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), coro.Interrupted("stray"), coro.TimeoutError("late"), MemoryError()]
)
def test_whatever_else_a_thread_raises_ends_only_the_thread_and_is_told(error: BaseException, told: Told) -> None:
    """Fault 7 of the original, first half: SystemExit in a thread ends the thread, not the process (kept)."""
    thread = run_failing(error)

    assert told == [(thread, error)]
    assert thread.error is error
    assert thread.dead


def test_shutdown_is_silent(told: Told) -> None:
    run_failing(coro.Shutdown())

    assert told == []


def test_nobody_is_told_what_result_hands_on(told: Told) -> None:
    def main() -> None:
        waited_for = coro.spawn(fail, ValueError("handed on"))
        with pytest.raises(ValueError, match="handed on"):
            waited_for.result()
        # Who asks afterwards gets it as well, but by then it has been told.
        asked_late = coro.spawn(fail, ValueError("told"))
        coro.yield_slice()
        with pytest.raises(ValueError, match="told"):
            asked_late.result()
        # And who gave up waiting does not get it.
        given_up = coro.spawn(lambda: (coro.sleep_relative(5), fail(ValueError("given up"))))
        with pytest.raises(coro.TimeoutError):
            given_up.result(1)
        given_up.join()

    testing.run(main, real_descriptors=False)
    assert [str(error) for _, error in told] == ["told", "given up"]


def test_uncaught_exceptions_are_counted(told: Told) -> None:
    before = scheduler.uncaught_count

    run_failing(ValueError())
    run_failing(coro.Shutdown())

    assert scheduler.uncaught_count == before + 1


# -- where it runs


def test_notifier_runs_in_the_dying_thread_and_may_block() -> None:
    seen: Told = []

    def notifier(thread: Any, error: Any) -> None:
        begin = coro.get_now()
        coro.sleep_relative(5)
        seen.append((coro.current() is thread, thread.dead, coro.get_now() - begin))

    coro.set_exception_notifier(notifier)
    run_failing(ValueError())

    assert seen == [(True, False, 5 * coro.ticks_per_sec)]


@pytest.mark.parametrize("raises", [False, True])
def test_thread_is_not_charged_for_the_notifier(raises: bool, stderr: io.StringIO) -> None:
    def notifier(thread: Any, error: Any) -> None:
        clock = scheduler.clock
        assert isinstance(clock, FakeClock)
        clock.advance(5)
        if raises:
            raise OSError

    coro.set_exception_notifier(notifier)
    thread = run_failing(ValueError())

    assert thread.run_time_ns == 0
    assert thread.longest_slice_ns == 0
    assert "latency" not in stderr.getvalue()
