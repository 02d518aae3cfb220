"""semaphore: permits are counted, and nobody overtakes."""

from __future__ import annotations

from typing import Any

import pytest

import coro
from coro.sync import semaphore
from tests.sync.waiting import Stop, Waiters, in_loop, settle


@in_loop
def test_acquire_takes_permits_and_release_puts_them_back() -> None:
    permits = semaphore(5)

    permits.acquire()
    permits.acquire(3)
    assert (permits.avail, int(permits)) == (1, 1)

    permits.release(3)
    permits.release()
    assert (permits.avail, int(permits)) == (5, 5)


@in_loop
def test_acquire_waits_until_there_are_enough() -> None:
    permits, waiters = semaphore(1), Waiters()
    waiters.spawn("a", permits.acquire, 3)

    permits.release()
    settle()
    assert (waiters.order, permits.avail) == ([], 2)

    permits.release()
    settle()
    assert (waiters.order, permits.avail) == (["a"], 0)


@in_loop
def test_big_request_at_the_head_is_not_overtaken() -> None:
    permits, waiters = semaphore(2), Waiters()
    waiters.spawn("big", permits.acquire, 3)
    waiters.spawn("small", permits.acquire, 1)
    settle()
    assert (waiters.order, permits.avail) == ([], 2)
    with pytest.raises(coro.TimeoutError):
        permits.acquire(timeout=0)

    permits.release(2)
    settle()

    assert (waiters.order, permits.avail) == (["big", "small"], 0)


@in_loop
def test_permits_that_were_given_to_a_waiter_cannot_be_snatched() -> None:
    permits, waiters = semaphore(0), Waiters()
    waiters.spawn("a", permits.acquire)

    permits.release()

    assert permits.avail == 0
    with pytest.raises(coro.TimeoutError):
        permits.acquire(timeout=0)
    settle()
    assert waiters.order == ["a"]


@in_loop
def test_one_release_serves_several() -> None:
    permits, waiters = semaphore(0), Waiters()
    for name, k in (("a", 2), ("b", 1), ("c", 3), ("d", 1)):
        waiters.spawn(name, permits.acquire, k)

    permits.release(5)
    settle()

    assert (waiters.order, permits.avail) == (["a", "b"], 2)
    assert [thread.name for thread in permits.waiters] == ["c", "d"]


@pytest.mark.parametrize("granted", [False, True])
@in_loop
def test_small_requests_go_on_when_the_big_one_before_them_leaves(granted: bool) -> None:
    permits, waiters = semaphore(2), Waiters()
    big = waiters.spawn("big", permits.acquire, 3)
    waiters.spawn("a", permits.acquire, 1)
    waiters.spawn("b", permits.acquire, 1)

    if granted:
        permits.release()
    big.raise_exception(Stop)
    settle()

    assert waiters.kinds == [("big", "Stop"), ("a", ""), ("b", "")]
    assert permits.avail == int(granted)


@in_loop
def test_newcomer_is_not_held_up_by_a_big_request_that_is_leaving() -> None:
    permits, waiters = semaphore(2), Waiters()
    waiters.spawn("big", permits.acquire, 3).raise_exception(Stop)

    permits.acquire(2, timeout=0)

    assert permits.avail == 0


@in_loop
def test_timeout_of_a_big_request_lets_the_small_ones_go_on() -> None:
    permits, waiters = semaphore(2), Waiters()
    waiters.spawn("big", permits.acquire, 3, 1.0)
    waiters.spawn("a", permits.acquire, 2)

    coro.sleep_relative(2)

    assert waiters.kinds == [("big", "TimeoutError"), ("a", "")]


@in_loop
def test_release_makes_a_semaphore_larger() -> None:
    permits = semaphore(0)

    permits.release(1000)

    assert permits.avail == 1000


@in_loop
def test_with_takes_one_permit_and_puts_it_back_also_when_the_block_fails() -> None:
    permits = semaphore(1)

    with permits:
        assert permits.avail == 0
    assert permits.avail == 1

    with pytest.raises(Stop), permits:
        raise Stop
    assert permits.avail == 1


def test_semaphore_can_be_filled_and_used_outside_the_loop() -> None:
    permits = semaphore(0)
    permits.release(2)
    permits.acquire()

    assert permits.avail == 1


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (-1, ValueError, "a semaphore's permits must be 0 or more, got -1"),
        (1.5, TypeError, "a semaphore's permits must be an int, got 1.5"),
        (True, TypeError, "a semaphore's permits must be an int, got True"),
        (None, TypeError, "a semaphore's permits must be an int, got None"),
    ],
)
def test_semaphore_of_a_wrong_size_is_refused(n: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        semaphore(n)

    assert str(caught.value) == message


@pytest.mark.parametrize("what", ["acquire", "release"])
@pytest.mark.parametrize(("k", "error"), [(0, ValueError), (-2, ValueError), ("1", TypeError), (True, TypeError)])
@in_loop
def test_wrong_number_of_permits_is_refused_and_changes_nothing(what: str, k: Any, error: type[Exception]) -> None:
    permits = semaphore(3)

    with pytest.raises(error, match=rf"the permits of semaphore\.{what}\(\) must be .*got {k!r}$"):
        getattr(permits, what)(k)

    assert permits.avail == 3


def test_avail_cannot_be_assigned() -> None:
    with pytest.raises(AttributeError):
        semaphore(1).avail = 2  # type: ignore[misc]


@in_loop
def test_repr_shows_permits_and_waiters() -> None:
    permits, waiters = semaphore(2), Waiters()
    assert repr(permits).startswith("<semaphore 2 available at 0x")
    a = waiters.spawn("a", permits.acquire, 3)

    assert repr(permits).startswith(f"<semaphore 2 available, 1 waiting: #{a.id} 'a' at 0x")
