"""Descriptors, timers and locks, taken one by one."""

from __future__ import annotations

import os

import coro
from coro import inspect, testing
from coro.inspect.resources import IDS_PER_LOCK, lock_records


def test_lock_is_told_as_it_is_after_its_waiter_went_on() -> None:
    def main() -> None:
        lock = coro.mutex()
        lock.lock()

        def take_and_keep() -> None:
            lock.lock()
            coro.sleep_relative(60)

        waiter = coro.spawn(take_and_keep)
        coro.yield_slice()
        records = lock_records()
        for _ in coro.all_threads:
            assert next(records) is None
        lock.unlock()
        coro.yield_slice()

        [record] = [record for record in records if record is not None]
        assert (record.kind, record.holders, record.waiters) == ("mutex", (waiter.id,), (waiter.id,))
        assert record.text.endswith(f"held by {waiter.id}")

    testing.run(main, real_descriptors=False)


def test_lock_that_very_many_wait_for_names_some_and_counts_all() -> None:
    def main() -> None:
        event = coro.event()
        waiters = [coro.spawn(event.wait) for _ in range(IDS_PER_LOCK + 7)]
        coro.sleep_relative(1)

        [record] = inspect.locks()
        assert record.waiting == IDS_PER_LOCK + 7
        assert record.waiters == tuple([thread.id for thread in waiters[:IDS_PER_LOCK]])

    testing.run(main, real_descriptors=False)


def test_most_awaited_lock_is_first() -> None:
    def main() -> None:
        events = [coro.event() for _ in range(3)]
        for event, times in zip(events, (2, 3, 1), strict=True):
            for _ in range(times):
                coro.spawn(event.wait)
        coro.yield_slice()

        assert [record.waiting for record in inspect.locks()] == [3, 2, 1]

    testing.run(main, real_descriptors=False)


def test_descriptors_come_by_number_whatever_the_order_of_their_registration() -> None:
    def main() -> None:
        pipes = [os.pipe() for _ in range(40)]
        for read_fd, _ in reversed(pipes):
            coro.spawn(coro.wait_for_read, read_fd)
        coro.sleep_relative(0.01)

        numbers = [record.fd for record in inspect.descriptors()]
        assert numbers == sorted(numbers)
        assert {read_fd for read_fd, _ in pipes} <= set(numbers)
        for thread in list(coro.all_threads.values()):
            if thread is not coro.current():
                thread.shutdown()
        coro.sleep_relative(0.01)
        for fds in pipes:
            for fd in fds:
                os.close(fd)

    coro.run(main)
