"""inverted_semaphore: wait until all is done."""

from __future__ import annotations

from typing import Any

import pytest

import coro
from coro.sync import inverted_semaphore
from tests.sync.waiting import Stop, Waiters, in_loop, settle


@in_loop
def test_acquire_raises_and_release_lowers_the_count_without_waiting() -> None:
    jobs = inverted_semaphore()
    assert (jobs.value, int(jobs)) == (0, 0)

    jobs.acquire()
    jobs.acquire(4)
    assert (jobs.value, int(jobs)) == (5, 5)

    jobs.release(3)
    jobs.release()
    assert (jobs.value, int(jobs)) == (1, 1)


@in_loop
def test_at_zero_nobody_waits() -> None:
    inverted_semaphore().block_till_zero(timeout=0)


@in_loop
def test_all_waiters_go_on_at_zero_and_not_before() -> None:
    jobs, waiters = inverted_semaphore(2), Waiters()
    for name in "abc":
        waiters.spawn(name, jobs.block_till_zero)

    jobs.release()
    settle()
    assert waiters.order == []

    jobs.release()
    settle()
    assert waiters.order == ["a", "b", "c"]
    assert jobs.waiters == ()


@in_loop
def test_waiter_woken_while_the_value_is_not_zero_waits_on_and_is_woken_again() -> None:
    """Fault 2: in the original such a waiter waited again without standing in the queue, and hung for ever."""
    jobs, waiters = inverted_semaphore(1), Waiters()
    a, b = waiters.spawn("a", jobs.block_till_zero), waiters.spawn("b", jobs.block_till_zero)

    jobs.release()
    jobs.acquire(2)
    settle()
    assert waiters.order == []
    assert jobs.waiters == (a, b)

    jobs.release(2)
    settle()
    assert waiters.order == ["a", "b"]


@in_loop
def test_value_is_zero_when_block_till_zero_returns() -> None:
    jobs = inverted_semaphore(1)
    seen: list[int] = []

    def wait() -> None:
        jobs.block_till_zero()
        seen.append(jobs.value)
        jobs.acquire()

    for _ in range(2):
        coro.spawn(wait)
    coro.yield_slice()
    jobs.release()
    settle()
    # The first has raised the count again before the second ran.
    assert (seen, jobs.value) == ([0], 1)

    jobs.release()
    settle()
    assert seen == [0, 0]


@in_loop
def test_woken_waiter_times_out_if_the_count_was_raised_again() -> None:
    jobs, waiters = inverted_semaphore(1), Waiters()
    waiters.spawn("a", jobs.block_till_zero, 1.0)
    jobs.release()
    jobs.acquire()

    coro.sleep_relative(1.5)

    assert waiters.kinds == [("a", "TimeoutError")]


@in_loop
def test_with_counts_its_block() -> None:
    jobs = inverted_semaphore()

    with jobs:
        assert jobs.value == 1
        with pytest.raises(Stop), jobs:
            assert jobs.value == 2
            raise Stop
    assert jobs.value == 0


@in_loop
def test_releasing_more_than_the_count_is_refused_and_changes_nothing() -> None:
    jobs = inverted_semaphore(2)

    with pytest.raises(ValueError, match=r"cannot release 3 of <inverted_semaphore at 2 at .*no more than 2"):
        jobs.release(3)

    assert jobs.value == 2


@pytest.mark.parametrize("what", ["acquire", "release"])
@pytest.mark.parametrize(("k", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)])
@in_loop
def test_wrong_number_is_refused_and_changes_nothing(what: str, k: Any, error: type[Exception]) -> None:
    jobs = inverted_semaphore(1)

    with pytest.raises(error, match=rf"inverted_semaphore\.{what}\(\) .*must be .*got {k!r}$"):
        getattr(jobs, what)(k)

    assert jobs.value == 1


@pytest.mark.parametrize(("n", "error"), [(-1, ValueError), ("0", TypeError)])
def test_wrong_start_is_refused(n: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"an inverted_semaphore's value must be .*got {n!r}$"):
        inverted_semaphore(n)


def test_counting_works_outside_the_loop() -> None:
    jobs = inverted_semaphore()
    jobs.acquire(2)
    jobs.release(2)
    jobs.block_till_zero()

    assert jobs.value == 0


@in_loop
def test_repr_shows_count_and_waiters() -> None:
    jobs, waiters = inverted_semaphore(3), Waiters()
    assert repr(jobs).startswith("<inverted_semaphore at 3 at 0x")
    a = waiters.spawn("a", jobs.block_till_zero)

    assert repr(jobs).startswith(f"<inverted_semaphore at 3, 1 waiting: #{a.id} 'a' at 0x")
