"""Deadlocks among many threads."""

from __future__ import annotations

import time

import coro
from coro import inspect, testing
from coro.inspect.waits import _cycles_in, deadlock_records
from coro.records.waits import LONGEST_CHAIN


def test_convoy_costs_no_square_of_its_length() -> None:
    """Each of 5000 threads waits for the one before it: no deadlock, and each is looked at once."""
    locks = [coro.mutex() for _ in range(5001)]

    def take(number: int) -> None:
        locks[number + 1].lock()
        coro.yield_slice()
        locks[number].lock()

    def main() -> None:
        locks[0].lock()
        for number in range(5000):
            coro.spawn(take, number)
        coro.sleep_relative(1)
        begin = time.monotonic()
        assert inspect.deadlocks() == []
        # Each chain anew would be 12 million steps.
        assert time.monotonic() - begin < 2
        # The longest one is not told to its end.
        found = inspect.why(max(coro.all_threads))
        assert (len(found.chain), found.cycle) == (LONGEST_CHAIN, ())

    testing.run(main, real_descriptors=False)


def test_writers_behind_many_readers_are_no_product() -> None:
    shared, lock = coro.rw_lock(), coro.mutex()

    def reader() -> None:
        shared.read_lock()
        coro.sleep_relative(100)

    def entangled_reader() -> None:
        shared.read_lock()
        coro.sleep_relative(1)
        lock.lock()

    def writer(first: bool) -> None:
        if first:
            lock.lock()
        shared.write_lock()

    def main() -> None:
        for _ in range(500):
            coro.spawn(reader)
        culprit = coro.spawn(entangled_reader)
        coro.yield_slice()
        writers = [coro.spawn(writer, number == 300) for number in range(500)]
        coro.sleep_relative(2)
        assert inspect.deadlocks() == [(culprit.id, writers[300].id)]
        record = inspect.thread(writers[0].id)
        assert str(record.waiting_on).endswith(" and 496 more")

    testing.run(main, real_descriptors=False)


def test_thread_that_joins_itself_through_another_is_a_deadlock() -> None:
    def main() -> None:
        threads: list[coro.coro] = []

        def wait_for(number: int) -> None:
            threads[number].join()

        threads += [coro.spawn(wait_for, 1), coro.spawn(wait_for, 0)]
        coro.sleep_relative(1)
        assert inspect.deadlocks() == [tuple(thread.id for thread in threads)]
        threads[0].shutdown()

    testing.run(main, real_descriptors=False)


def test_two_deadlocks_are_two() -> None:
    def main() -> None:
        ids = []
        for _ in range(2):
            locks = [coro.mutex(), coro.mutex()]

            def take(number: int, locks: list[coro.mutex] = locks) -> None:
                locks[number].lock()
                coro.yield_slice()
                locks[1 - number].lock()

            ids.append(tuple(coro.spawn(take, number).id for number in range(2)))
        coro.sleep_relative(1)
        assert inspect.deadlocks() == ids
        told = [record for record in deadlock_records() if record is not None]
        assert [record.cycle for record in told] == ids
        assert [record.chain[0].id for record in told] == [cycle[0] for cycle in ids]

    testing.run(main, real_descriptors=False)


def test_cycle_of_the_picture_that_is_gone_is_no_deadlock() -> None:
    """Between two slices threads go on: what was never true at one moment is not told."""

    def main() -> None:
        lock = coro.mutex()
        lock.lock()
        waiter = coro.spawn(lock.lock)
        joiner = coro.spawn(waiter.join)
        coro.yield_slice()
        coro.yield_slice()
        found = [cycle for cycle in _cycles_in({coro.current().id: joiner, joiner.id: coro.current()}) if cycle]
        assert found == [(coro.current().id, joiner.id)]
        assert inspect.deadlocks() == []
        lock.unlock()

    testing.run(main, real_descriptors=False)
