"""The emulated SimpleQueue, as a class: nothing is installed."""

import queue
import time
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from coro.emulation.queues import SimpleQueue


def run(function: Callable[[], Any]) -> Any:
    """In a loop in which a lost wake-up is an error at once."""
    return testing.run(function, real_descriptors=False)


def test_items_come_out_in_order_and_getters_wait() -> None:
    items: Any = SimpleQueue()

    def main() -> list[int]:
        getter = coro.spawn(lambda: [items.get() for _ in range(3)])
        coro.yield_slice()
        for number in range(3):
            items.put(number)
        return getter.result()  # type: ignore[no-any-return]

    assert run(main) == [0, 1, 2]
    assert items.empty()
    assert items.qsize() == 0


def test_every_item_is_got_once() -> None:
    items: Any = SimpleQueue()
    got: list[int] = []

    def consume() -> None:
        while (item := items.get()) is not None:
            got.append(item)
            coro.yield_slice()

    def main() -> None:
        consumers = [coro.spawn(consume) for _ in range(10)]
        for number in range(100):
            items.put(number)
            if number % 7 == 0:
                coro.yield_slice()
        for _ in consumers:
            items.put(None)
        for consumer in consumers:
            consumer.join()

    run(main)

    assert sorted(got) == list(range(100))


def test_empty_is_raised_at_once_or_when_the_time_is_over() -> None:
    items: Any = SimpleQueue()

    def main() -> None:
        before = coro.get_now()
        with pytest.raises(queue.Empty):
            items.get(False)
        with pytest.raises(queue.Empty):
            items.get_nowait()
        with pytest.raises(queue.Empty):
            items.get(timeout=0)
        assert coro.get_now() == before
        with pytest.raises(ValueError, match="must be a non-negative number"):
            items.get(timeout=-1)

    run(main)


def test_interrupted_getter_leaves_the_item_to_the_next() -> None:
    items: Any = SimpleQueue()

    def main() -> None:
        first, second = coro.spawn(items.get), coro.spawn(items.get)
        coro.yield_slice()
        items.put("item")
        first.raise_exception(coro.WakeUp)
        with pytest.raises(coro.WakeUp):
            first.result()
        assert second.result() == "item"

    run(main)


def test_items_go_between_os_threads_and_coroutine_threads() -> None:
    to_os, to_coro = SimpleQueue(), SimpleQueue()

    def echo() -> None:
        while (item := to_os.get()) is not None:
            time.sleep(0.001)
            to_coro.put(item)

    def main() -> list[int]:
        echoer = coro.spawn(coro.in_os_thread, echo)
        got = []
        for number in range(20):
            to_os.put(number)
            got.append(to_coro.get())
        to_os.put(None)
        echoer.join()
        return got

    assert coro.run(main) == list(range(20))
