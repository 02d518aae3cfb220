"""fifo(maxsize): push() waits for room."""

from __future__ import annotations

from typing import Any

import pytest

import coro
from coro.fifo import fifo
from tests.sync.waiting import Stop, Waiters, in_loop, leave_behind, settle


@in_loop
def test_push_waits_while_there_are_maxsize_items() -> None:
    items, waiters = fifo(2), Waiters()
    assert items.maxsize == 2
    items.push(1)
    items.push(2)
    waiters.spawn("a", items.push, 3)
    waiters.spawn("b", items.push, 4)
    settle()
    assert (waiters.order, list(items)) == ([], [1, 2])

    assert items.pop() == 1
    settle()
    assert (waiters.order, list(items)) == (["a"], [2, 3])

    assert items.pop_all() == [2, 3]
    settle()
    assert (waiters.order, list(items)) == (["a", "b"], [4])


@in_loop
def test_without_maxsize_push_never_waits() -> None:
    items = fifo()
    assert items.maxsize is None

    for item in range(10_000):
        items.push(item, timeout=0)

    assert len(items) == 10_000


@in_loop
def test_room_that_was_kept_for_a_pusher_cannot_be_snatched() -> None:
    items, waiters = fifo(1), Waiters()
    items.push(1)
    waiters.spawn("a", items.push, 2)

    items.pop()

    with pytest.raises(coro.TimeoutError):
        items.push(3, timeout=0)
    settle()
    assert list(items) == [2]


@pytest.mark.parametrize("how", ["before", "after", "timeout"])
@in_loop
def test_pusher_that_is_interrupted_has_pushed_nothing(how: str) -> None:
    items, waiters = fifo(1), Waiters()
    items.push(1)
    a = waiters.spawn("a", items.push, 2, 5 if how == "timeout" else None)
    waiters.spawn("b", items.push, 3)

    if how == "before":
        a.raise_exception(Stop)
    if how == "timeout":
        coro.sleep_relative(6)
    assert items.pop() == 1
    if how == "after":
        a.raise_exception(Stop)
    settle()

    assert sorted(waiters.kinds) == [("a", "TimeoutError" if how == "timeout" else "Stop"), ("b", "")]
    assert list(items) == [3]


@in_loop
def test_room_is_not_kept_for_a_pusher_that_is_leaving() -> None:
    items, waiters = fifo(1), Waiters()
    items.push(1)
    waiters.spawn("a", items.push, 2).raise_exception(Stop)

    items.pop()
    items.push(3, timeout=0)

    assert list(items) == [3]


@in_loop
def test_pop_all_makes_room_for_all_it_takes() -> None:
    items, waiters = fifo(3), Waiters()
    for item in range(3):
        items.push(item)
    for name in "abcd":
        waiters.spawn(name, items.push, name)

    assert items.pop_all() == [0, 1, 2]
    settle()

    assert waiters.order == ["a", "b", "c"]
    assert list(items) == ["a", "b", "c"]


@in_loop
def test_push_to_a_waiting_popper_needs_its_room_until_the_item_is_taken() -> None:
    items, waiters = fifo(1), Waiters()
    waiters.spawn("popper", items.pop)

    items.push(1)
    with pytest.raises(coro.TimeoutError):
        items.push(2, timeout=0)
    settle()
    items.push(2, timeout=0)

    assert waiters.outcomes == [("popper", 1)]


@in_loop
def test_waiting_pusher_and_popper_find_each_other() -> None:
    items, waiters = fifo(1), Waiters()
    items.push(1)
    waiters.spawn("pusher", items.push, 2)

    assert [items.pop(), items.pop()] == [1, 2]


@in_loop
def test_push_front_puts_back_beyond_maxsize() -> None:
    items, waiters = fifo(1), Waiters()
    items.push("b")
    items.push_front("a")
    assert list(items) == ["a", "b"]
    waiters.spawn("pusher", items.push, "c")

    items.pop()
    settle()
    assert waiters.order == []
    items.pop()
    settle()
    assert (waiters.order, list(items)) == (["pusher"], ["c"])


@in_loop
def test_room_kept_for_a_thread_that_is_left_behind_is_free_again() -> None:
    items, waiters = fifo(1), Waiters()
    items.push(1)
    gone = waiters.spawn("gone", items.push, 2)
    items.pop()
    leave_behind(gone)

    items.push(3, timeout=0)

    assert list(items) == [3]


@pytest.mark.parametrize(
    ("maxsize", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), ("9", TypeError), (True, TypeError)]
)
def test_wrong_maxsize_is_refused(maxsize: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"a fifo's maxsize must be .*, got {maxsize!r}$"):
        fifo(maxsize)
