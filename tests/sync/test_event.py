"""event: it remembers."""

from __future__ import annotations

import pytest

import coro
from coro.sync import event
from tests.sync.waiting import Waiters, in_loop, settle


@in_loop
def test_once_set_nobody_waits_until_it_is_cleared() -> None:
    happened = event()
    assert happened.is_set() is False

    happened.set()
    happened.set()
    assert happened.is_set() is True
    happened.wait(timeout=0)

    happened.clear()
    happened.clear()
    assert happened.is_set() is False
    with pytest.raises(coro.TimeoutError):
        happened.wait(timeout=1)


@in_loop
def test_waiters_are_released_also_if_it_is_cleared_before_they_run() -> None:
    happened, waiters = event(), Waiters()
    waiters.spawn("a", happened.wait)
    waiters.spawn("b", happened.wait)

    happened.set()
    happened.clear()
    waiters.spawn("late", happened.wait)
    settle()

    assert waiters.outcomes == [("a", None), ("b", None)]
    assert [thread.name for thread in happened.waiters] == ["late"]


@in_loop
def test_waiter_interrupted_after_set_and_clear_may_wait_again() -> None:
    happened, waiters = event(), Waiters()

    def wait_twice() -> None:
        try:
            happened.wait()
        except KeyError:
            happened.wait()

    a = waiters.spawn("a", wait_twice)
    happened.set()
    happened.clear()
    a.raise_exception(KeyError)
    settle()
    assert happened.waiters == (a,)

    happened.set()
    settle()
    assert waiters.kinds == [("a", "")]


def test_setting_and_looking_work_outside_the_loop() -> None:
    happened = event()
    happened.set()
    happened.wait()
    assert happened.is_set()

    happened.clear()
    assert not happened.is_set()


@in_loop
def test_repr_shows_state_and_waiters() -> None:
    happened, waiters = event(), Waiters()
    assert repr(happened).startswith("<event not set at 0x")
    a = waiters.spawn("a", happened.wait)
    assert repr(happened).startswith(f"<event not set, 1 waiting: #{a.id} 'a' at 0x")

    happened.set()
    assert repr(happened).startswith("<event set at 0x")
