"""condition_variable: who is told, and what."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import pytest

import coro
from coro.sync import condition_variable
from tests.sync.waiting import Stop, Waiters, in_loop, settle


@in_loop
def test_wait_returns_what_the_wake_up_was_given() -> None:
    told, waiters = condition_variable(), Waiters()
    for name in "abcdef":
        waiters.spawn(name, told.wait)

    told.wake_one()
    told.wake_one(("one", 1))
    told.wake_n(1)
    told.wake_n(1, "n")
    told.wake_all([1])
    settle()

    assert waiters.outcomes == [("a", ()), ("b", ("one", 1)), ("c", ()), ("d", "n"), ("e", [1]), ("f", [1])]

    waiters.spawn("g", told.wait)
    told.wake_all()
    settle()
    assert waiters.outcomes[-1] == ("g", ())


@in_loop
def test_wake_one_says_whether_there_was_one() -> None:
    told, waiters = condition_variable(), Waiters()
    assert told.wake_one() is False

    waiters.spawn("a", told.wait)
    assert told.wake_one() is True
    assert told.wake_one() is False


@in_loop
def test_wake_n_says_how_many_there_were() -> None:
    told, waiters = condition_variable(), Waiters()
    for name in "abcde":
        waiters.spawn(name, told.wait)

    assert told.wake_n(0) == 0
    assert told.wake_n(2) == 2
    assert len(told) == 3
    assert told.wake_n(10) == 3
    settle()

    assert waiters.order == list("abcde")


@in_loop
def test_waiters_that_are_about_to_leave_are_not_counted() -> None:
    told, waiters = condition_variable(), Waiters()
    threads = [waiters.spawn(name, told.wait) for name in "abc"]
    threads[0].raise_exception(Stop)

    assert told.wake_n(3, "args") == 2
    assert told.wake_one() is False
    settle()

    assert waiters.outcomes[1:] == [("b", "args"), ("c", "args")]


@in_loop
def test_len_is_the_number_of_waiters() -> None:
    told, waiters = condition_variable(), Waiters()
    assert len(told) == 0
    a = waiters.spawn("a", told.wait)
    waiters.spawn("b", told.wait)
    assert len(told) == 2

    a.raise_exception(Stop)
    settle()
    assert len(told) == 1

    told.wake_all()
    assert len(told) == 0


@in_loop
def test_wake_up_that_finds_nobody_is_over() -> None:
    told = condition_variable()
    told.wake_one()
    told.wake_all()

    with pytest.raises(coro.TimeoutError):
        told.wait(timeout=1)


@pytest.mark.parametrize("wake", ["wake_one", "wake_n"])
@in_loop
def test_wake_up_of_an_interrupted_thread_goes_to_the_next_with_its_args(wake: str) -> None:
    told, waiters = condition_variable(), Waiters()
    a = waiters.spawn("a", told.wait)
    waiters.spawn("b", told.wait)
    waiters.spawn("c", told.wait)

    assert told.wake_one("args") if wake == "wake_one" else told.wake_n(1, "args") == 1
    a.raise_exception(Stop)
    settle()

    assert waiters.kinds == [("a", "Stop"), ("b", "")]
    assert waiters.outcomes[1] == ("b", "args")


@in_loop
def test_wake_all_is_not_passed_on_to_who_came_later() -> None:
    told, waiters = condition_variable(), Waiters()
    a = waiters.spawn("a", told.wait)

    late = coro.spawn(told.wait)
    told.wake_all()
    a.raise_exception(Stop)
    settle()

    # The late one ran first, and waited when the other was interrupted.
    assert waiters.kinds == [("a", "Stop")]
    assert told.waiters == (late,)


@in_loop
def test_thread_that_waits_again_in_the_same_turn_is_not_woken_twice() -> None:
    told, waiters = condition_variable(), Waiters()

    def wait_twice() -> list[Any]:
        return [told.wait(), told.wait()]

    waiters.spawn("a", wait_twice)
    told.wake_all("first")
    settle()
    assert waiters.order == []

    told.wake_all("second")
    settle()
    assert waiters.outcomes == [("a", ["first", "second"])]


@in_loop
def test_raise_all_makes_one_exception_per_thread_of_a_class() -> None:
    told, waiters = condition_variable(), Waiters()
    for name in "abc":
        waiters.spawn(name, told.wait)

    told.raise_all(Stop)
    settle()

    assert waiters.kinds == [("a", "Stop"), ("b", "Stop"), ("c", "Stop")]
    assert len({id(error) for _, error in waiters.outcomes}) == 3


def tracebacks(error: BaseException) -> list[TracebackType]:
    """Each entry of an exception's traceback, outermost first."""
    entries = []
    entry = error.__traceback__
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    return entries


class Picky(Exception):
    """Cannot be made again from its `args`."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.one = one
        self.two = two


@pytest.mark.parametrize(
    "original",
    [Stop("why", 7), Picky(1, 2), OSError(5, "oh", "file"), coro.LockError("lock"), coro.Interrupted("now")],
    ids=repr,
)
@in_loop
def test_raise_all_gives_each_thread_a_copy_of_an_exception(original: BaseException) -> None:
    told, waiters = condition_variable(), Waiters()
    cause, context = KeyError("cause"), KeyError("context")
    try:
        raise original
    except type(original):
        traceback = original.__traceback__
    original.__context__ = context
    original.__cause__ = cause
    original.__notes__ = ["note"]
    for name in "ab":
        waiters.spawn(name, told.wait)

    told.raise_all(original)
    settle()

    errors = [error for _, error in waiters.outcomes]
    assert len({id(error) for error in [*errors, original]}) == 3
    for error in errors:
        assert type(error) is type(original)
        assert error.args == original.args
        assert error.__dict__ == original.__dict__
        assert (error.__cause__, error.__context__) == (cause, context)
        assert traceback in tracebacks(error)
        assert str(error) == str(original)


@in_loop
def test_tracebacks_of_raise_all_are_not_mixed_up() -> None:
    told, waiters = condition_variable(), Waiters()

    def first() -> None:
        told.wait()

    def second() -> None:
        told.wait()

    waiters.spawn("a", first)
    waiters.spawn("b", second)
    told.raise_all(Stop())
    settle()

    for (_, error), function in zip(waiters.outcomes, (first, second), strict=True):
        codes = [entry.tb_frame.f_code for entry in tracebacks(error)]
        assert codes[1] is function.__code__
        assert len(codes) == 3


@in_loop
def test_raise_all_is_over_when_it_finds_nobody() -> None:
    told = condition_variable()

    told.raise_all(Stop)

    with pytest.raises(coro.TimeoutError):
        told.wait(timeout=1)


@in_loop
def test_interrupt_wins_over_raise_all_in_the_same_turn() -> None:
    told, waiters = condition_variable(), Waiters()
    a, b = waiters.spawn("a", told.wait), waiters.spawn("b", told.wait)

    a.raise_exception(KeyError)
    told.raise_all(Stop)
    b.raise_exception(KeyError)
    settle()

    assert waiters.kinds == [("a", "KeyError"), ("b", "KeyError")]
    assert len(told) == 0


@in_loop
def test_exception_that_cannot_be_made_leaves_everybody_waiting() -> None:
    told, waiters = condition_variable(), Waiters()
    waiters.spawn("a", told.wait)

    with pytest.raises(TypeError, match="missing 2 required"):
        told.raise_all(Picky)

    assert len(told) == 1
    told.wake_all()
    settle()
    assert waiters.outcomes == [("a", ())]


@pytest.mark.parametrize("wrong", ["oops", None, int, 3])
@in_loop
def test_raising_what_is_no_exception_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"raise_all\(\) needs an exception, got"):
        condition_variable().raise_all(wrong)


@pytest.mark.parametrize(
    ("count", "error"), [(-1, ValueError), ("1", TypeError), (1.0, TypeError), (True, TypeError)]
)
@in_loop
def test_wrong_count_is_refused(count: Any, error: type[Exception]) -> None:
    told, waiters = condition_variable(), Waiters()
    waiters.spawn("a", told.wait)

    with pytest.raises(error, match=r"wake_n\(\) must be .*got"):
        told.wake_n(count)

    assert len(told) == 1


def test_waking_nobody_works_outside_the_loop() -> None:
    told = condition_variable()

    assert told.wake_one() is False
    assert told.wake_n(3) == 0


@in_loop
def test_repr_shows_waiters() -> None:
    told, waiters = condition_variable(), Waiters()
    assert repr(told).startswith("<condition_variable nobody waiting at 0x")
    a = waiters.spawn("a", told.wait)

    assert repr(told).startswith(f"<condition_variable 1 waiting: #{a.id} 'a' at 0x")
