"""The emulated threading.local, as a class: nothing is installed."""

import gc
import weakref

import pytest

import coro
from coro.emulation.thread_locals import local


def test_each_thread_has_its_own_attributes() -> None:
    mine = local()
    mine.x = "main greenlet"

    def thread(value: int) -> tuple[bool, int]:
        had = hasattr(mine, "x")
        mine.x = value
        coro.yield_slice()
        return had, mine.x

    def main() -> list[tuple[bool, int]]:
        return [each.result() for each in [coro.spawn(thread, value) for value in range(3)]]

    assert coro.run(main) == [(False, 0), (False, 1), (False, 2)]
    assert mine.x == "main greenlet"


def test_subclass_is_initialised_in_each_thread_and_shares_its_slots() -> None:
    class Counter(local):
        __slots__ = ("shared",)

        def __init__(self, start: int) -> None:
            self.count = start

    counter = Counter(5)
    counter.count += 1
    counter.shared = "for all"

    assert coro.run(lambda: (counter.count, counter.shared)) == (5, "for all")
    assert counter.count == 6


def test_arguments_without_an_init_are_refused() -> None:
    with pytest.raises(TypeError):
        local(1)


def test_values_go_with_their_thread() -> None:
    class Value:
        pass

    mine, refs = local(), []

    def thread() -> None:
        mine.value = Value()
        refs.append(weakref.ref(mine.value))

    coro.run(thread)
    gc.collect()

    assert refs[0]() is None
