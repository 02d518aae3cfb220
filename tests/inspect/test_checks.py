"""Checks of the application's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

import coro
from coro import inspect, testing
from coro.inspect import checks
from coro.inspect.checks import MAX_TEXT, registered_checks, run_checks
from coro.records import CheckRecord


@pytest.fixture(autouse=True)
def no_checks() -> Iterator[None]:
    yield
    checks._checks.clear()
    checks._unfinished.clear()


def answer_of(function: Any) -> CheckRecord:
    inspect.register_check(function, "mine")

    def main() -> CheckRecord:
        [record] = run_checks()
        return record

    return testing.run(main, real_descriptors=False)


def raise_it(error: BaseException) -> Any:
    raise error


GOOD = CheckRecord("other name", "warning", 0.5, 0.1, 1, "s", "half full")


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (None, "ok", "ok"),
        (True, "ok", "ok"),
        (False, "critical", "failed"),
        ("queue is full", "critical", "queue is full"),
        (("warning", "queue is long"), "warning", "queue is long"),
        (("unknown", "no answer"), "unknown", "no answer"),
        (("bad", "x"), "critical", "answered with a tuple, "),
        (("ok", 7), "critical", "answered with a tuple, "),
        (17, "critical", "answered with a int, "),
        (GOOD, "warning", "half full"),
        (CheckRecord("x", "ok", math.nan, None, None, "", ""), "critical", "answered with a CheckRecord, "),
        (CheckRecord("x", "fine", None, None, None, "", ""), "critical", "answered with a CheckRecord, "),  # type: ignore[arg-type]
        ("x" * 10_000, "critical", "x" * MAX_TEXT),
    ],
)
def test_what_an_answer_means(answer: Any, status: str, text: str) -> None:
    record = answer_of(lambda: answer)
    assert (record.name, record.status) == ("mine", status)
    assert record.text.startswith(text)
    assert len(record.text) <= MAX_TEXT


def test_numbers_of_a_record_are_kept() -> None:
    record = answer_of(lambda: GOOD)
    assert (record.value, record.warn, record.crit, record.unit) == (0.5, 0.1, 1, "s")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "ValueError: no"),
        (SystemExit(1), "SystemExit: 1"),
        (coro.TimeoutError("db"), "TimeoutError: db"),
        (GeneratorExit(), "GeneratorExit"),
    ],
)
def test_what_it_raises_is_critical(error: BaseException, text: str) -> None:
    record = answer_of(lambda: raise_it(error))
    assert (record.status, record.text) == ("critical", text)


def test_slow_checks_are_given_up_together_and_not_asked_twice() -> None:
    asked = []

    def slow(name: str) -> None:
        asked.append(name)
        while True:
            try:
                coro.sleep_relative(10)
                return
            except coro.Shutdown:
                # Rude: it goes on.
                pass

    inspect.register_check(lambda: slow("a"), "a")
    inspect.register_check(lambda: "quick", "quick")
    inspect.register_check(lambda: slow("b"), "b")

    def main() -> None:
        begin = coro.get_now()
        first = run_checks()
        assert (coro.get_now() - begin) / 1e9 == 0.2
        assert [(one.name, one.text) for one in first] == [
            ("a", "did not answer in 0.2 s"),
            ("quick", "quick"),
            ("b", "did not answer in 0.2 s"),
        ]
        coro.sleep_relative(1)
        second = run_checks()
        assert second[0].text == "was asked 1.2 s ago and has not answered"
        assert asked == ["a", "b"]
        coro.sleep_relative(20)
        run_checks()
        assert asked == ["a", "b", "a", "b"]
        coro.sleep_relative(20)

    testing.run(main, real_descriptors=False)


def test_slow_check_is_shut_down() -> None:
    inspect.register_check(lambda: coro.sleep_relative(100), "slow")

    def main() -> None:
        assert run_checks()[0].status == "critical"
        coro.sleep_relative(0)
        coro.sleep_relative(0)
        assert coro.get_live_coros() == 1

    testing.run(main, real_descriptors=False)


def test_interrupted_caller_takes_the_checks_with_it() -> None:
    inspect.register_check(lambda: coro.sleep_relative(100), "slow")

    def main() -> None:
        caller = coro.spawn(run_checks)
        coro.sleep_relative(0.1)
        caller.shutdown()
        coro.sleep_relative(0.01)
        assert coro.get_live_coros() == 1

    testing.run(main, real_descriptors=False)


def test_check_is_replaced_and_forgotten() -> None:
    inspect.register_check(lambda: False, "x")
    inspect.register_check(lambda: True, "x")
    assert registered_checks() == ("x",)
    assert testing.run(run_checks, real_descriptors=False)[0].status == "ok"
    inspect.unregister_check("x")
    assert testing.run(run_checks, real_descriptors=False) == ()
    with pytest.raises(KeyError):
        inspect.unregister_check("x")


@pytest.mark.parametrize(
    ("function", "name", "error"),
    [
        (None, "x", TypeError),
        (int, 7, TypeError),
        (int, "", ValueError),
        (int, "lag", ValueError),
        (int, "require:x", ValueError),
    ],
)
def test_wrong_registration_is_refused(function: Any, name: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        inspect.register_check(function, name)
