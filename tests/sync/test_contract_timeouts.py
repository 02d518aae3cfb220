"""What all primitives promise about `timeout=`, whichever way one waits for them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro.scheduler import scheduler
from tests.sync.waiting import CASES, Case, Stop, Waiters, in_loop, name_of_case, settle

pytestmark = pytest.mark.parametrize("make", CASES, ids=name_of_case)


@in_loop
def test_timeout_comes_after_exactly_that_time_and_leaves_no_trace(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    before, shown = coro.get_now(), repr(case.primitive)

    waiters.spawn("a", case.get, 2.5).join()

    assert coro.get_now() - before == 2_500_000_000
    assert waiters.kinds == [("a", "TimeoutError")]
    assert str(waiters.outcomes[0][1]) == "timed out after 2.5 s"
    assert waiters.outcomes[0][1].seconds == 2.5
    assert repr(case.primitive) == shown

    waiters.spawn("b", case.get)
    case.grant()
    settle()
    assert waiters.order == ["a", "b"]


@in_loop
def test_grant_before_the_timeout_disarms_it(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()

    def attempt() -> Any:
        case.get(timeout=1.0)
        return coro._yield()

    a = waiters.spawn("a", attempt)
    coro.sleep_relative(0.5)
    case.grant()
    coro.sleep_relative(5)
    assert waiters.order == []

    a.schedule("on time")
    settle()
    assert waiters.outcomes == [("a", "on time")]


@in_loop
def test_timeout_in_the_same_instant_just_after_the_grant_lets_the_grant_win(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    waiters.spawn("a", case.get, 1.0)
    waiters.spawn("b", case.get, 2.0)

    case.grant()
    old = coro.set_latency_warning(0)
    try:
        # A second passes in this slice, and the loop expires timers before it runs anybody.
        scheduler.clock.advance(1)  # type: ignore[attr-defined]
        scheduler.poll_due = 0
        settle()
    finally:
        coro.set_latency_warning(old)

    assert waiters.kinds == [("a", ""), ("b", "")]


@in_loop
def test_timeout_in_the_same_instant_just_before_the_grant_passes_the_grant_on(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    waiters.spawn("a", case.get, 1.0)
    waiters.spawn("b", case.get, 2.0)

    # This thread and the waiter's timer are due together; the grant comes when the timer has fired already.
    coro.sleep_relative(1)
    case.grant()
    settle()

    assert sorted(waiters.kinds) == [("a", "TimeoutError"), ("b", "")]


@in_loop
def test_grant_wins_over_a_timeout_that_has_come_but_was_not_noticed_yet(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    coro.spawn(waiters._call, "a", case.get, (1.0,))

    # This thread sleeps before the waiter waits, so it is woken first, and the waiter's time is over as well.
    coro.sleep_relative(1)
    case.grant()
    settle()

    assert waiters.kinds == [("a", "")]


@in_loop
def test_timeout_comes_though_interrupts_are_held_back(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()

    def attempt() -> None:
        with coro.shielded():
            case.wait(timeout=2.5)

    before = coro.get_now()
    a = waiters.spawn("a", attempt)
    a.raise_exception(Stop)
    a.join()

    assert coro.get_now() - before == 2_500_000_000
    assert waiters.kinds == [("a", "TimeoutError")]


@in_loop
def test_timed_waiter_that_a_stranger_schedules_still_times_out_in_time(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    a = waiters.spawn("a", case.get, 1.0)
    coro.sleep_relative(0.5)
    a.schedule("stranger")
    coro.sleep_relative(0.4)
    assert waiters.order == []

    coro.sleep_relative(0.2)

    assert waiters.kinds == [("a", "TimeoutError")]


@pytest.mark.parametrize("timeout", [0, -1, -math.inf])
@in_loop
def test_timeout_of_zero_or_less_does_not_wait_at_all(make: Callable[[], Case], timeout: float) -> None:
    case, waiters = make(), Waiters()
    turns: list[str] = []

    def attempt() -> None:
        coro.spawn(turns.append, "somebody else ran")
        try:
            case.wait(timeout=timeout)
        finally:
            turns.append("came back")

    waiters.spawn("a", attempt)
    settle()

    assert turns == ["came back", "somebody else ran"]
    assert waiters.kinds == [("a", "TimeoutError")]
    assert case.primitive.waiters == ()


@in_loop
def test_timeout_of_zero_does_not_wait_though_interrupts_are_held_back(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()

    def attempt() -> None:
        me = coro.current()
        me.shield = object()
        try:
            case.wait(timeout=0)
        finally:
            me.shield = None

    waiters.spawn("a", attempt)
    settle()

    assert waiters.kinds == [("a", "TimeoutError")]


@in_loop
def test_timeout_of_zero_takes_what_can_be_had_at_once(make: Callable[[], Case]) -> None:
    case = make()
    turns: list[int] = []
    coro.spawn(turns.append, 1)

    case.grant()
    with contextlib.nullcontext() if case.remembers else pytest.raises(coro.TimeoutError):
        case.wait(timeout=0)

    assert turns == []


@in_loop
def test_infinite_timeout_waits_for_ever(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    waiters.spawn("a", case.get, math.inf)
    coro.sleep_relative(1e9)
    assert waiters.order == []

    case.grant()
    settle()

    assert waiters.kinds == [("a", "")]


@pytest.mark.parametrize("granted", [False, True])
@pytest.mark.parametrize(("timeout", "error"), [("2", TypeError), (math.nan, ValueError), ([], TypeError)])
@in_loop
def test_timeout_that_is_no_duration_is_refused_whether_one_has_to_wait_or_not(
    make: Callable[[], Case], timeout: Any, error: type[Exception], granted: bool
) -> None:
    case = make()
    shown = repr(case.primitive)
    if granted:
        case.grant()
        shown = repr(case.primitive)

    with pytest.raises(error, match="timeout must be a number"):
        case.wait(timeout=timeout)

    assert repr(case.primitive) == shown
