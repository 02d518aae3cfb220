"""The emulated locks, as classes: nothing is installed."""

import _thread
import copy
import itertools
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from coro.emulation.locks import Lock, RLock, allocate_lock, allocate_sentinel
from coro.emulation.place import os_get_ident
from coro.testing import NothingWillHappen

both = pytest.mark.parametrize("make", [allocate_lock, RLock])


def run(function: Callable[[], Any]) -> Any:
    """In a loop in which a lost wake-up is an error at once."""
    return testing.run(function, real_descriptors=False)


@both
def test_second_thread_waits_until_the_first_releases(make: Callable[[], Any]) -> None:
    lock, order = make(), []

    def holder() -> None:
        with lock:
            order.append("held")
            coro.sleep_relative(1)
            order.append("released")

    def waiter() -> None:
        with lock:
            order.append("got it")

    def main() -> None:
        for thread in [coro.spawn(holder), coro.spawn(waiter)]:
            thread.join()

    run(main)

    assert order == ["held", "released", "got it"]


@both
def test_lock_is_handed_over_first_come_first_served(make: Callable[[], Any]) -> None:
    lock, order = make(), []

    def worker(number: int) -> None:
        for _ in range(3):
            with lock:
                order.append(number)
                coro.sleep_relative(0.1)

    def main() -> None:
        for thread in [coro.spawn(worker, number) for number in range(3)]:
            thread.join()

    run(main)

    # A thread that takes the lock again at once does not pass those who wait.
    assert order == [0, 1, 2] * 3


@both
def test_timeout_is_over_and_leaves_no_trace(make: Callable[[], Any]) -> None:
    lock = make()

    def waiter() -> tuple[bool, bool]:
        return lock.acquire(timeout=1), lock.acquire(False)

    def main() -> None:
        with lock:
            assert coro.spawn(waiter).result() == (False, False)
        # Nobody stands in line any more: else the lock would have been handed over.
        assert not _is_locked(lock)

    run(main)


@both
def test_interrupted_waiter_leaves_the_line(make: Callable[[], Any]) -> None:
    lock = make()

    def main() -> None:
        with lock:
            waiter = coro.spawn(lock.acquire)
            coro.yield_slice()
            waiter.raise_exception(coro.WakeUp)
            with pytest.raises(coro.WakeUp):
                waiter.result()
        assert not _is_locked(lock)

    run(main)


@both
def test_waiter_interrupted_when_it_was_handed_the_lock_hands_it_on(make: Callable[[], Any]) -> None:
    lock = make()

    def main() -> None:
        lock.acquire()
        first, second = coro.spawn(lock.acquire), coro.spawn(lock.acquire)
        coro.yield_slice()
        lock.release()
        first.raise_exception(coro.WakeUp)
        with pytest.raises(coro.WakeUp):
            first.result()
        assert second.result() is True

    run(main)


@both
def test_waiter_that_a_stranger_schedules_goes_on_waiting(make: Callable[[], Any]) -> None:
    lock = make()

    def main() -> None:
        with lock:
            waiter = coro.spawn(lock.acquire)
            coro.yield_slice()
            waiter.schedule()
            coro.sleep_relative(1)
            assert not waiter.dead
        assert waiter.result() is True

    run(main)


def test_lock_that_nobody_releases_is_a_deadlock() -> None:
    lock = allocate_lock()

    def main() -> None:
        lock.acquire()
        lock.acquire()

    with pytest.raises(NothingWillHappen):
        run(main)


def test_lock_may_be_released_by_another_thread() -> None:
    lock = allocate_lock()

    def main() -> None:
        lock.acquire()
        coro.spawn(lock.release)
        lock.acquire()

    run(main)

    assert lock.locked()


@pytest.mark.parametrize(
    "arguments",
    [(True, -2), (False, 1), (False, -2), (True, 1e20), (True, float("nan")), (True, "1"), (True, None)],
)
@pytest.mark.parametrize("is_taken", [False, True])
def test_wrong_arguments_get_the_original_s_errors(arguments: Any, is_taken: bool) -> None:
    original, lock = _thread.allocate_lock(), allocate_lock()
    with pytest.raises((ValueError, OverflowError, TypeError)) as expected:
        original.acquire(*arguments)
    if is_taken:
        lock.acquire()

    with pytest.raises(expected.type) as found:
        lock.acquire(*arguments)

    assert str(found.value) == str(expected.value)
    assert lock.locked() is is_taken


def test_release_of_a_free_lock_gets_the_original_s_errors() -> None:
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        allocate_lock().release()
    with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
        RLock().release()


def test_rlock_is_owned_by_a_thread_not_by_the_os_thread() -> None:
    lock = RLock()

    def other() -> tuple[bool, bool]:
        with pytest.raises(RuntimeError, match="cannot release"):
            lock.release()
        return lock.acquire(False), lock._is_owned()

    def main() -> None:
        with lock, lock:
            assert lock._is_owned()
            assert lock._recursion_count() == 2
            assert coro.spawn(other).result() == (False, False)
        assert coro.spawn(other).result()[0] is True

    run(main)


def test_rlock_saves_and_restores_how_often_it_is_held() -> None:
    lock = RLock()

    def main() -> None:
        with lock, lock:
            state = lock._release_save()
            assert not lock._is_owned()
            assert coro.spawn(lambda: (lock.acquire(), lock.release())).result() is not None
            lock._acquire_restore(state)
            assert lock._recursion_count() == 2

    run(main)


def test_locks_look_like_the_originals() -> None:
    lock, rlock = allocate_lock(), RLock()

    assert repr(lock) == f"<unlocked _thread.lock object at {id(lock):#x}>"
    with lock:
        assert repr(lock).startswith("<locked _thread.lock object at ")
    with rlock:
        assert repr(rlock).startswith(f"<locked _thread.RLock object owner={os_get_ident()} count=1 at ")
    assert isinstance(_thread.allocate_lock(), Lock)
    assert isinstance(rlock, _thread.RLock)
    for each in (lock, rlock):
        with pytest.raises(TypeError, match="cannot pickle '_thread"):
            pickle.dumps(each)
        with pytest.raises(TypeError, match="cannot pickle '_thread"):
            copy.copy(each)


def test_sentinel_is_free_when_it_is_released_and_all_who_wait_get_it_in_turn() -> None:
    sentinel, got = allocate_sentinel(), []

    def joiner(number: int) -> None:
        assert sentinel.acquire()
        got.append(number)
        sentinel.release()
        assert not sentinel.locked()

    def main() -> None:
        sentinel.acquire()
        joiners = [coro.spawn(joiner, number) for number in range(3)]
        assert coro.spawn(sentinel.acquire, True, 1).result() is False
        sentinel.release()
        assert not sentinel.locked()
        for each in joiners:
            each.join()

    run(main)

    assert got == [0, 1, 2]


@both
def test_os_thread_waits_for_a_coroutine_thread(make: Callable[[], Any]) -> None:
    lock = make()
    ticks = itertools.count()

    def in_os_thread() -> float:
        begin = time.monotonic()
        with lock:
            return time.monotonic() - begin

    def tick() -> None:
        while True:
            next(ticks)
            coro.sleep_relative(0.005)

    def main() -> None:
        coro.spawn(tick)
        with lock:
            waiter = coro.spawn(coro.in_os_thread, in_os_thread)
            coro.sleep_relative(0.2)
        assert waiter.result() > 0.1

    coro.run(main)

    assert next(ticks) > 5


@both
def test_coroutine_thread_waits_for_an_os_thread_without_blocking_the_loop(make: Callable[[], Any]) -> None:
    lock = make()
    held = allocate_lock()
    ticks = itertools.count()

    def in_os_thread() -> None:
        with lock:
            held.release()
            time.sleep(0.2)

    def tick() -> None:
        while True:
            next(ticks)
            coro.sleep_relative(0.005)

    def main() -> None:
        coro.spawn(tick)
        held.acquire()
        holder = coro.spawn(coro.in_os_thread, in_os_thread)
        held.acquire()
        assert not lock.acquire(timeout=0.01)
        with lock:
            pass
        holder.join()

    coro.run(main)

    assert next(ticks) > 5


@both
def test_count_is_right_whoever_adds_to_it(make: Callable[[], Any]) -> None:
    lock, count = make(), 0

    def add(pause: Callable[[], object]) -> None:
        nonlocal count
        for _ in range(100):
            with lock:
                before = count
                pause()
                count = before + 1

    def main() -> None:
        threads = [coro.spawn(add, coro.yield_slice) for _ in range(5)]
        threads += [coro.spawn(coro.in_os_thread, add, lambda: time.sleep(0)) for _ in range(3)]
        for thread in threads:
            thread.join()

    coro.run(main)

    assert count == 800


def _is_locked(lock: Any) -> bool:
    got = coro.spawn(lock.acquire, False).result()
    return not got
