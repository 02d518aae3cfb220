"""The recently dead."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import coro
from coro import inspect, testing
from coro.inspect.dead import MAX_TEXT, error_text, leave_out
from coro.scheduler import scheduler


@pytest.fixture(autouse=True)
def recording() -> Iterator[None]:
    coro.set_exception_notifier(lambda thread, error: None)
    inspect.start_recording()
    yield
    inspect.stop_recording()
    coro.set_exception_notifier(None)


def fail(error: BaseException) -> None:
    coro.sleep_relative(1)
    raise error


def test_dead_are_told_latest_first_with_error_account_and_origin() -> None:
    def main() -> None:
        bad = coro.spawn(fail, ValueError("bad port"), thread_name="bad")
        coro.sleep_relative(3)
        good = coro.spawn(int, thread_name="good")
        coro.sleep_relative(2)

        later, earlier = inspect.dead()
        assert (later.id, later.name, later.error, later.ended_s_ago) == (good.id, "good", None, 2)
        assert (earlier.id, earlier.name, earlier.error) == (bad.id, "bad", "ValueError: bad port")
        assert earlier.ended_s_ago == 4
        assert earlier.switches == 2
        assert earlier.spawned_by == coro.current().id
        assert str(earlier.spawn_line).startswith(f"{__file__}:")
        assert earlier.spawn_line == bad.spawn_line

    testing.run(main, real_descriptors=False)


def test_shutdown_says_so_and_cancelled_thread_is_told_too() -> None:
    def main() -> None:
        sleeper = coro.spawn(coro.sleep_relative, 100)
        coro.yield_slice()
        sleeper.shutdown()
        coro.new(int, thread_name="never ran").shutdown()
        coro.yield_slice()
        records = {record.name: record for record in inspect.dead()}
        assert records["sleep_relative"].error == "Shutdown"
        never_ran = records["never ran"]
        assert (never_ran.error, never_ran.switches, never_ran.run_time_s) == ("Shutdown", 0, 0)

    testing.run(main, real_descriptors=False)


def test_thread_that_outlived_the_loop_was_abandoned() -> None:
    def stubborn() -> None:
        while True:
            try:
                coro.sleep_relative(100)
            except coro.Shutdown:
                pass

    testing.run(lambda: coro.spawn(stubborn, thread_name="stubborn") and coro.yield_slice(), real_descriptors=False)

    [record] = [record for record in inspect.dead() if record.name == "stubborn"]
    assert record.error == "abandoned when the loop ended"


def test_ring_is_bounded_and_configurable() -> None:
    def main() -> None:
        inspect.start_recording(3)
        threads = [coro.spawn(int) for _ in range(10)]
        threads[-1].join()
        assert [record.id for record in inspect.dead()] == [thread.id for thread in reversed(threads[-3:])]
        inspect.start_recording(2)
        assert len(inspect.dead()) == 2
        inspect.start_recording(0)
        coro.spawn(int).join()
        assert inspect.dead() == []
        inspect.start_recording(100_000)

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), (100_001, ValueError), ("9", TypeError), (True, TypeError)]
)
def test_wrong_size_is_refused(size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="dead threads"):
        inspect.start_recording(size)


def test_nothing_is_recorded_when_it_is_off() -> None:
    inspect.stop_recording()
    testing.run(lambda: coro.spawn(int).join(), real_descriptors=False)
    assert inspect.dead() == []
    assert scheduler.obituary is None


def test_record_keeps_neither_thread_nor_error_nor_arguments() -> None:
    class Mark:
        pass

    class MarkedError(Exception):
        pass

    marks: list[weakref.ref[Any]] = []

    def failing(mark: Mark) -> None:
        local = Mark()
        marks.append(weakref.ref(local))
        raise MarkedError(mark)

    def main() -> None:
        mark = Mark()
        thread = coro.spawn(failing, mark)
        marks.extend([weakref.ref(mark), weakref.ref(thread)])
        del mark
        coro.yield_slice()
        marks.append(weakref.ref(thread.error))
        del thread
        # Through the loop, whose frame knows the thread that it ran last.
        coro.sleep_relative(1)
        gc.collect()
        assert len(marks) == 4
        assert [mark() for mark in marks] == [None] * 4
        assert len(inspect.dead()) == 1

    testing.run(main, real_descriptors=False)


class Hostile(Exception):
    def __init__(self, what: Any) -> None:
        super().__init__()
        self.what = what

    def __str__(self) -> str:
        return self.what()


class OddStr(str):
    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError("no slices")

    def __str__(self) -> str:
        raise RuntimeError("no str")


def raise_it(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (coro.TimeoutError("late"), "TimeoutError: late"),
        (Hostile(lambda: raise_it(ZeroDivisionError())), "Hostile: <its __str__ raised ZeroDivisionError>"),
        (Hostile(lambda: raise_it(SystemExit(3))), "Hostile: <its __str__ raised SystemExit>"),
        (Hostile(lambda: 17), "Hostile: <its __str__ raised TypeError>"),
        (Hostile(lambda: OddStr("odd")), "Hostile: odd"),
        (Hostile(lambda: coro.sleep_relative(1)), "Hostile: <its __str__ raised YieldFromMain>"),
    ],
)
def test_error_text_survives_hostile_messages(error: BaseException, expected: str) -> None:
    def main() -> None:
        assert error_text(error) == expected
        assert not scheduler.collecting
        coro.spawn(fail, error)
        coro.sleep_relative(2)
        assert inspect.dead()[0].error == expected

    testing.run(main, real_descriptors=False)


def test_error_text_is_bounded() -> None:
    text = error_text(ValueError("x" * 10_000_000))
    assert text.startswith("ValueError: xxx")
    assert len(text) == MAX_TEXT
    kind = type("N" * 1000, (Exception,), {})
    assert len(error_text(kind())) == MAX_TEXT


def test_threads_of_a_quiet_directory_are_remembered_only_if_an_error_ended_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["coro.inspect.dead"], "_quiet_directories", ())
    leave_out(os.path.join(os.path.dirname(__file__), ""))

    def main() -> list[str]:
        for function in (int, lambda: fail(ValueError("seen"))):
            coro.spawn(function, thread_name="int" if function is int else "failing").join()
        return [record.name for record in inspect.dead()]

    assert testing.run(main) == ["failing"]
