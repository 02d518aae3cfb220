"""What all primitives promise, whichever way one waits for them."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from greenlet import greenlet

import coro
import coro.testing
from coro.scheduler import scheduler
from tests.sync.waiting import CASES, Case, Stop, Waiters, in_loop, leave_behind, name_of_case, settle

pytestmark = pytest.mark.parametrize("make", CASES, ids=name_of_case)


# -- waiting and being let go


@in_loop
def test_waiter_sleeps_until_the_grant(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    waiters.spawn("a", case.wait)
    coro.sleep_relative(3600)
    assert waiters.order == []

    case.grant()
    settle()

    assert waiters.kinds == [("a", "")]


@in_loop
def test_waiting_thread_says_what_it_waits_for(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    before = repr(case.primitive)
    a, b = waiters.spawn("a", case.wait), waiters.spawn("b", case.wait)

    assert (a.waiting_for, a.waiting_on) == (case.kind, case.primitive)
    assert case.primitive.waiters == (a, b)
    assert f"2 waiting: #{a.id} 'a', #{b.id} 'b'" in repr(case.primitive)

    for thread in (a, b):
        thread.shutdown()
    settle()

    assert case.primitive.waiters == ()
    assert repr(case.primitive) == before


@in_loop
def test_waiters_of_the_primitive_are_read_only(make: Callable[[], Case]) -> None:
    with pytest.raises(AttributeError):
        make().primitive.waiters = ()


@in_loop
def test_first_come_first_served(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    for name in "abcde":
        waiters.spawn(name, case.get)

    case.grant()
    settle()

    assert waiters.kinds == [(name, "") for name in "abcde"]


@in_loop
def test_one_grant_lets_one_waiter_go_or_all(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    for name in "abc":
        waiters.spawn(name, case.wait)

    case.grant()
    settle()

    assert waiters.order == (["a"] if case.one_each else ["a", "b", "c"])


# -- interrupts


@in_loop
def test_waiter_interrupted_before_the_grant_leaves_without_a_trace(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    a = waiters.spawn("a", case.get)
    b = waiters.spawn("b", case.get)
    a.raise_exception(Stop)
    settle()
    assert case.primitive.waiters == (b,)

    case.grant()
    settle()

    assert waiters.kinds == [("a", "Stop"), ("b", "")]


@in_loop
def test_waiter_interrupted_just_before_the_grant_does_not_keep_it(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    a = waiters.spawn("a", case.get)
    waiters.spawn("b", case.get)

    a.raise_exception(Stop)
    case.grant()
    settle()

    assert sorted(waiters.kinds) == [("a", "Stop"), ("b", "")]
    assert case.primitive.waiters == ()


@in_loop
def test_waiter_interrupted_just_after_the_grant_passes_it_on(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    a = waiters.spawn("a", case.get)
    waiters.spawn("b", case.get)

    case.grant()
    a.raise_exception(Stop, force=True)
    settle()

    assert sorted(waiters.kinds) == [("a", "Stop"), ("b", "")]
    assert case.primitive.waiters == ()


@in_loop
def test_several_waiters_interrupted_at_the_moment_of_the_grant(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    threads = [waiters.spawn(name, case.get) for name in "abcdef"]

    threads[1].raise_exception(Stop)
    case.grant()
    for thread in (threads[0], threads[2], threads[4]):
        thread.raise_exception(Stop)
    settle()

    outcomes = [(name, "Stop" if name in "abce" else "") for name in "abcdef"]
    assert sorted(waiters.kinds) == outcomes
    assert [name for name, what in waiters.kinds if what == ""] == ["d", "f"]


@in_loop
def test_grant_to_an_interrupted_waiter_serves_the_next_who_asks(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    a = waiters.spawn("a", case.wait)

    case.grant()
    a.raise_exception(Stop)
    settle()
    with contextlib.nullcontext() if case.remembers else pytest.raises(coro.TimeoutError):
        case.wait(timeout=0)

    assert waiters.kinds == [("a", "Stop")]


@in_loop
def test_chain_of_interrupts_does_not_lose_the_grant_that_the_first_replaced(make: Callable[[], Case]) -> None:
    """Fault 6: in the original the second interrupt found a thread that was scheduled with an exception, and the
    wake-up under both was never passed on."""
    case, waiters = make(), Waiters()

    def stubborn() -> None:
        for _ in range(3):
            try:
                case.wait()
            except Stop:
                continue

    a = waiters.spawn("a", stubborn)
    waiters.spawn("b", case.get)

    case.grant()
    for _ in range(3):
        a.raise_exception(Stop)
    settle()

    assert sorted(waiters.kinds) == [("a", ""), ("b", "")]


@in_loop
def test_waiter_that_is_shut_down_ends_and_passes_the_grant_on(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    a, b = waiters.spawn("a", case.get), waiters.spawn("b", case.get)
    waiters.spawn("c", case.get)

    a.shutdown()
    case.grant()
    b.shutdown()
    settle()

    assert sorted(waiters.kinds) == [("a", "Shutdown"), ("b", "Shutdown"), ("c", "")]
    assert a.dead
    assert b.dead


@in_loop
def test_all_waiters_shut_down_at_once(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    threads = [waiters.spawn(name, case.get) for name in "abc"]

    case.grant()
    for thread in threads:
        thread.shutdown()
    settle()

    assert waiters.kinds == [(name, "Shutdown") for name in "abc"]
    assert case.primitive.waiters == ()
    if case.remembers:
        case.wait(timeout=0)


def test_waiters_are_shut_down_when_the_loop_ends(make: Callable[[], Case]) -> None:
    waiters = Waiters()
    cases = []

    def main() -> None:
        cases.append(make())
        for name in "ab":
            waiters.spawn(name, cases[0].get)

    coro.testing.run(main, real_descriptors=False)

    assert waiters.kinds == [("a", "Shutdown"), ("b", "Shutdown")]
    assert cases[0].primitive.waiters == ()


# -- strangers


@in_loop
def test_waiter_that_a_stranger_schedules_waits_on_in_its_place(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    a = waiters.spawn("a", case.get)
    waiters.spawn("b", case.get)
    for value in (None, "item", [], [a, "item"]):
        a.schedule(value)
        settle()
    assert waiters.order == []
    assert a.waiting_on is case.primitive

    case.grant()
    settle()

    assert waiters.kinds == [("a", ""), ("b", "")]
    assert "stranger" not in [what for _, what in waiters.outcomes]


@in_loop
def test_waiter_that_a_stranger_schedules_just_before_the_grant_is_let_go(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    a = waiters.spawn("a", case.get)
    waiters.spawn("b", case.get)

    a.schedule("stranger")
    case.grant()
    settle()

    assert waiters.kinds == [("a", ""), ("b", "")]
    assert "stranger" not in [what for _, what in waiters.outcomes]


@in_loop
def test_waiter_that_is_scheduled_granted_and_interrupted_in_one_turn_passes_the_grant_on(
    make: Callable[[], Case],
) -> None:
    case, waiters = make(), Waiters()
    a = waiters.spawn("a", case.get)
    waiters.spawn("b", case.get)

    a.schedule("stranger")
    case.grant()
    a.raise_exception(Stop)
    settle()

    assert sorted(waiters.kinds) == [("a", "Stop"), ("b", "")]


# -- timeouts


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
    waiters.spawn("a", case.get, 1.0)
    coro.sleep_relative(0.5)

    case.grant()
    coro.sleep_relative(5)

    assert waiters.kinds == [("a", "")]


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


# -- callers that are no threads


def test_waiting_outside_the_loop_is_refused(make: Callable[[], Case]) -> None:
    cases: list[Case] = []
    coro.testing.run(lambda: cases.append(make()), real_descriptors=False)

    with pytest.raises(coro.YieldFromMain, match=r"coro\.run"):
        cases[0].wait()

    assert cases[0].primitive.waiters == ()


@in_loop
def test_waiting_and_granting_from_another_os_thread_are_refused(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    waiters.spawn("a", case.get)
    errors: list[BaseException] = []

    def call(function: Callable[[], object]) -> None:
        try:
            function()
        except coro.YieldFromMain as error:
            errors.append(error)

    for function in (case.wait, case.grant):
        os_thread = threading.Thread(target=call, args=(function,))
        os_thread.start()
        os_thread.join()

    assert len(errors) == 2
    assert all("OS thread" in str(error) for error in errors)
    settle()
    assert waiters.order == []

    case.grant()
    settle()
    assert waiters.kinds == [("a", "")]


@in_loop
def test_waiting_on_a_greenlet_of_ones_own_is_refused(make: Callable[[], Case]) -> None:
    case = make()
    errors: list[BaseException] = []

    def call() -> None:
        try:
            case.wait()
        except coro.YieldFromMain as error:
            errors.append(error)

    greenlet(call).switch()

    assert len(errors) == 1
    assert "greenlet of your own" in str(errors[0])
    assert case.primitive.waiters == ()


# -- threads that are gone for ever


@in_loop
def test_waiter_that_is_left_behind_for_ever_is_passed_over(make: Callable[[], Case]) -> None:
    case, waiters = make(), Waiters()
    gone = waiters.spawn("gone", case.get)
    waiters.spawn("a", case.get)
    leave_behind(gone)

    case.grant()
    settle()

    assert waiters.kinds == [("a", "")]
    assert case.primitive.waiters == ()
