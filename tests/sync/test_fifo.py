"""fifo: items come out in the order in which they were put in, each exactly once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import coro
import coro.testing
from coro.fifo import fifo
from tests.sync.waiting import Stop, Waiters, in_loop, leave_behind, settle


@in_loop
def test_items_come_out_in_order() -> None:
    items = fifo()
    for item in "abc":
        items.push(item)

    assert [items.pop(), items.pop(), items.pop()] == ["a", "b", "c"]


@in_loop
def test_push_front_is_taken_next() -> None:
    items = fifo()
    items.push("b")
    items.push_front("a")

    assert [items.pop(), items.pop()] == ["a", "b"]


@in_loop
def test_pop_waits_for_an_item() -> None:
    items, waiters = fifo(), Waiters()
    waiters.spawn("a", items.pop)
    waiters.spawn("b", items.pop)
    assert waiters.order == []

    items.push(1)
    items.push_front(2)
    settle()

    assert [name for name, _ in waiters.outcomes] == ["a", "b"]
    assert sorted(item for _, item in waiters.outcomes) == [1, 2]


@pytest.mark.parametrize("item", [None, False, 0, (), [], Ellipsis, object()], ids=lambda item: str(item)[:7])
@in_loop
def test_any_object_is_an_item(item: Any) -> None:
    items, waiters = fifo(), Waiters()
    items.push(item)
    assert items.pop() is item

    waiters.spawn("a", items.pop)
    items.push(item)
    settle()
    assert waiters.outcomes[0][1] is item


@in_loop
def test_pop_all_takes_everything() -> None:
    items, waiters = fifo(), Waiters()
    for item in range(3):
        items.push(item)
    assert items.pop_all() == [0, 1, 2]
    assert len(items) == 0

    waiters.spawn("a", items.pop_all)
    settle()
    assert waiters.order == []
    items.push(3)
    items.push(4)
    settle()
    assert waiters.outcomes == [("a", [3, 4])]


@in_loop
def test_pop_all_leaves_an_item_for_each_that_was_promised_one() -> None:
    items, waiters = fifo(), Waiters()
    waiters.spawn("a", items.pop_all)
    waiters.spawn("b", items.pop)

    for item in range(4):
        items.push(item)
    settle()

    assert waiters.outcomes == [("a", [0, 1, 2]), ("b", 3)]
    assert len(items) == 0


@in_loop
def test_top_shows_the_oldest_item_and_leaves_it() -> None:
    items = fifo()
    with pytest.raises(IndexError, match=r"<fifo 0 items at .* has no top: it is empty"):
        items.top()

    items.push("a")
    items.push("b")
    assert items.top() == "a"
    assert items.pop() == "a"
    assert items.top() == "b"


@in_loop
def test_len_and_iteration_show_what_can_be_popped_now() -> None:
    items, waiters = fifo(), Waiters()
    assert (len(items), list(items)) == (0, [])

    waiters.spawn("a", items.pop)
    items.push(1)
    assert (len(items), list(items)) == (0, [])
    with pytest.raises(IndexError):
        items.top()

    items.push(2)
    items.push(3)
    assert len(items) == len(list(items)) == 2
    assert items.top() == next(iter(items))
    settle()
    assert waiters.outcomes == [("a", 1)]
    assert list(items) == [2, 3]


@in_loop
def test_fifo_may_change_while_it_is_iterated_over() -> None:
    items = fifo()
    for item in range(3):
        items.push(item)

    seen = []
    for item in items:
        seen.append(item)
        items.push(items.pop())

    assert seen == [0, 1, 2]


@in_loop
def test_item_that_was_promised_cannot_be_snatched() -> None:
    items, waiters = fifo(), Waiters()
    waiters.spawn("a", items.pop)

    items.push("item")

    with pytest.raises(coro.TimeoutError):
        items.pop(timeout=0)
    settle()
    assert waiters.outcomes == [("a", "item")]


@in_loop
def test_newcomer_waits_behind_a_promise_that_was_not_redeemed_yet() -> None:
    items, waiters = fifo(), Waiters()
    waiters.spawn("a", items.pop)
    items.push(1)
    coro.spawn(items.push, 2)

    assert items.pop() == 2
    assert waiters.outcomes == [("a", 1)]


@in_loop
def test_items_are_popped_in_the_order_of_the_queue_whoever_runs_first() -> None:
    items, waiters = fifo(), Waiters()
    waiters.spawn("a", items.pop)
    items.push(1)
    items.push(2)

    assert items.pop() == 1
    settle()

    assert waiters.outcomes == [("a", 2)]


@pytest.mark.parametrize("others", [1, 3])
@in_loop
def test_chosen_popper_is_interrupted_and_another_gets_its_item(others: int) -> None:
    """Fault 1: in the original the item stayed in the queue while the other poppers slept on."""
    items, waiters = fifo(), Waiters()
    chosen = waiters.spawn("chosen", items.pop)
    for number in range(others):
        waiters.spawn(f"other {number}", items.pop)

    items.push("item")
    chosen.raise_exception(Stop)
    settle()

    assert waiters.kinds == [("chosen", "Stop"), ("other 0", "")]
    assert waiters.outcomes[1] == ("other 0", "item")
    assert len(items) == 0


@in_loop
def test_items_keep_their_order_when_several_chosen_poppers_are_interrupted() -> None:
    items, waiters = fifo(), Waiters()
    threads = [waiters.spawn(name, items.pop) for name in "abcd"]

    for item in range(6):
        items.push(item)
    for thread in threads[:3]:
        thread.raise_exception(Stop)
    settle()

    assert waiters.outcomes[3] == ("d", 0)
    assert list(items) == [1, 2, 3, 4, 5]


@in_loop
def test_promises_are_redeemed_in_order_though_a_stranger_scheduled_the_last_one_first() -> None:
    items, waiters = fifo(), Waiters()
    waiters.spawn("a", items.pop)
    b = waiters.spawn("b", items.pop)

    b.schedule("stranger")
    items.push(1)
    items.push(2)
    settle()

    assert waiters.outcomes == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("timeout", [None, 5])
@in_loop
def test_items_promised_to_threads_that_are_left_behind_are_free_again(timeout: float | None) -> None:
    items, waiters = fifo(), Waiters()
    gone = [waiters.spawn("gone", items.pop) for _ in range(3)]
    items.push(1)
    items.push(2)
    for thread in gone:
        leave_behind(thread)

    assert [items.pop(timeout), items.pop(timeout)] == [1, 2]
    waiters.spawn("a", items.pop)
    items.push(3)
    settle()
    assert waiters.outcomes == [("a", 3)]


def test_filled_before_the_loop_and_emptied_after_it() -> None:
    items = fifo()
    items.push(1)
    items.push_front(0)
    assert coro.testing.run(items.pop, real_descriptors=False) == 0
    assert items.pop() == 1

    with pytest.raises(coro.YieldFromMain, match=r"fifo\.pop\(\) needs a running loop"):
        items.pop()
    with pytest.raises(coro.YieldFromMain, match=r"fifo\.pop\(\) needs a running loop"):
        items.pop(timeout=1)


# -- other OS threads, and what people see


@pytest.mark.parametrize("call", [lambda items: items.push(2), lambda items: items.push_front(2), fifo.pop])
@in_loop
def test_calls_from_another_os_thread_are_refused_also_if_nobody_waits(call: Any) -> None:
    items, errors = fifo(), []
    items.push(1)

    def attempt() -> None:
        try:
            call(items)
        except coro.YieldFromMain as error:
            errors.append(error)

    os_thread = threading.Thread(target=attempt)
    os_thread.start()
    os_thread.join()

    assert len(errors) == 1
    assert list(items) == [1]


@in_loop
def test_poppers_pushers_and_repr() -> None:
    items, waiters = fifo(), Waiters()
    assert repr(items).startswith("<fifo 0 items at 0x")
    a = waiters.spawn("a", items.pop)
    assert (items.poppers, items.pushers, items.waiters) == ((a,), (), (a,))
    assert repr(items).startswith(f"<fifo 0 items, 1 waiting: #{a.id} 'a' at 0x")
    items.push(1)

    full = fifo(1)
    full.push(1)
    b = waiters.spawn("b", full.push, 2)
    assert (full.poppers, full.pushers, full.waiters) == ((), (b,), (b,))
    assert repr(full).startswith(f"<fifo 1 of 1 items, 1 waiting: #{b.id} 'b' at 0x")
