"""What all primitives promise, whichever way one waits for them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pytest
from greenlet import greenlet

import coro
import coro.testing
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
