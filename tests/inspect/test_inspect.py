"""Live state as records."""

from __future__ import annotations

import gc
import socket
from typing import Any

import pytest

import coro
from coro import inspect, testing
from coro.inspect.quantiles import quantile_ns
from coro.inspect.slices import DUTY, SLICE_NS, sliced
from coro.inspect.stacks import IDS_PER_GROUP, stack_records
from coro.inspect.threads import thread_records
from tests.core.ticking import TickingClock


def test_threads_in_every_state() -> None:
    def main() -> None:
        lock = coro.mutex()
        lock.lock()
        new = coro.new(int)
        sleeper = coro.spawn(coro.sleep_relative, 5, thread_name="sleeper")
        locker = coro.spawn(lock.lock)
        joiner = coro.spawn(sleeper.join)
        coro.sleep_relative(2)
        runnable = coro.spawn(int)
        by_id = {record.id: record for record in inspect.threads()}

        me = coro.current()
        assert by_id[me.id].state == "running"
        assert by_id[me.id].waiting_for is None
        assert by_id[new.id].state == "new"
        assert by_id[new.id].waiting_s is None
        assert by_id[runnable.id].state == "runnable"
        record = by_id[sleeper.id]
        assert (record.name, record.state, record.waiting_for, record.waiting_on) == (
            "sleeper",
            "waiting",
            "sleep",
            "3.000 s",
        )
        assert record.waiting_s == 2
        assert record.spawned_by == me.id
        assert record.spawn_line is not None
        assert "test_inspect.py:" in record.spawn_line
        assert (record.switches, record.selfish_acts, record.max_selfish_acts) == (1, 4, 4)
        assert f"held by {me.id}" in str(by_id[locker.id].waiting_on)
        assert by_id[joiner.id].waiting_on == f"thread {sleeper.id}"
        assert inspect.thread(sleeper.id) == record
        new.shutdown()

    testing.run(main, real_descriptors=False)


def test_thread_that_is_not_there_is_a_key_error() -> None:
    for look in (inspect.thread, inspect.stack, inspect.why):
        with pytest.raises(KeyError):
            look(10**9)


def test_run_time_and_share_of_the_time_that_passed() -> None:
    def main() -> None:
        record = inspect.thread(coro.current().id)
        assert record.run_time_s > 0
        assert 0 < record.share <= 1

    coro.run(main)


def fall(depth: int) -> None:
    if depth:
        fall(depth - 1)
    else:
        coro.sleep_relative(10)


def test_stacks_and_threads_at_the_same_place_counted_once() -> None:
    def main() -> None:
        threads = [coro.spawn(fall, 2) for _ in range(5)]
        deep = coro.spawn(fall, 3)
        coro.yield_slice()

        record = inspect.stack(deep.id)
        assert [frame.function for frame in record.frames][:4] == ["fall"] * 4
        assert record.frames[3].source == "coro.sleep_relative(10)"
        assert record.frames[3].file == __file__
        assert record.frames[-1].function == "sleep_relative"

        groups = inspect.stack_groups()
        assert groups[0].count == 5
        assert groups[0].ids == tuple(thread.id for thread in threads)
        assert sum(group.count for group in groups) == 7
        assert {stack.id for stack in inspect.stacks()} == {*coro.all_threads}
        me = inspect.stack(coro.current().id)
        assert "main" in me.frames[-1].function

    testing.run(main, real_descriptors=False)


def test_group_of_very_many_names_some_and_counts_all() -> None:
    def main() -> None:
        threads = [coro.spawn(fall, 0) for _ in range(IDS_PER_GROUP + 7)]
        coro.yield_slice()

        group = inspect.stack_groups()[0]
        assert group.count == IDS_PER_GROUP + 7
        assert group.ids == tuple([thread.id for thread in threads[:IDS_PER_GROUP]])

    testing.run(main, real_descriptors=False)


def test_records_one_by_one_leave_out_who_has_ended_meanwhile() -> None:
    def main() -> None:
        threads = [coro.spawn(fall, 0) for _ in range(3)]
        coro.yield_slice()
        me = coro.current()
        found, stood = thread_records(), stack_records()
        threads[1].shutdown()
        coro.yield_slice()

        left = [me.id, threads[0].id, threads[2].id]
        assert [record.id for record in found if record is not None] == left
        assert [record.id for record in stood if record is not None] == left

    testing.run(main, real_descriptors=False)


def test_thread_that_has_not_started_has_no_frames() -> None:
    def main() -> None:
        thread = coro.new(int)
        assert inspect.stack(thread.id).frames == ()
        thread.shutdown()

    testing.run(main, real_descriptors=False)


def test_three_threads_over_three_mutexes_are_named_as_a_deadlock() -> None:
    locks = [coro.mutex() for _ in range(3)]

    def take(number: int) -> None:
        locks[number].lock()
        coro.yield_slice()
        locks[(number + 1) % 3].lock()

    def main() -> None:
        threads = [coro.spawn(take, number) for number in range(3)]
        outsider = coro.spawn(threads[1].join)
        coro.sleep_relative(1)
        ids = tuple(thread.id for thread in threads)

        assert inspect.deadlocks() == [ids]
        why = inspect.why(ids[1])
        assert why.cycle == (ids[1], ids[2], ids[0])
        assert [step.id for step in why.chain] == [ids[1], ids[2], ids[0]]
        assert [step.holders for step in why.chain] == [(ids[2],), (ids[0],), (ids[1],)]
        assert all(step.waiting_for == "mutex" for step in why.chain)
        # Who waits for a deadlocked thread is not part of the cycle, but is led to it.
        why = inspect.why(outsider.id)
        assert why.chain[0].id == outsider.id
        assert set(why.cycle) == set(ids)
        threads[0].shutdown()
        coro.sleep_relative(1)
        assert inspect.deadlocks() == []

    testing.run(main, real_descriptors=False)


def test_writer_that_waits_for_two_readers_leads_to_the_one_in_the_cycle() -> None:
    shared, lock = coro.rw_lock(), coro.mutex()

    def innocent() -> None:
        shared.read_lock()
        coro.sleep_relative(100)

    def reader() -> None:
        shared.read_lock()
        coro.sleep_relative(1)
        lock.lock()

    def writer() -> None:
        lock.lock()
        shared.write_lock()

    def main() -> None:
        coro.spawn(innocent)
        second = coro.spawn(reader)
        third = coro.spawn(writer)
        coro.sleep_relative(2)
        assert inspect.deadlocks() == [(second.id, third.id)]
        assert [step.id for step in inspect.why(third.id).chain] == [third.id, second.id]

    testing.run(main, real_descriptors=False)


def test_wait_for_nobody_in_particular_has_no_holders() -> None:
    def main() -> None:
        queue: Any = coro.fifo()
        popper = coro.spawn(queue.pop)
        coro.yield_slice()
        why = inspect.why(popper.id)
        assert [(step.waiting_for, step.holders) for step in why.chain] == [("fifo pop", ())]
        assert why.cycle == ()
        assert inspect.why(coro.current().id).chain == ()

    testing.run(main, real_descriptors=False)


def test_ring_of_many_threads_is_no_recursion() -> None:
    locks = [coro.mutex() for _ in range(3000)]

    def take(number: int) -> None:
        locks[number].lock()
        coro.yield_slice()
        locks[(number + 1) % len(locks)].lock()

    def main() -> None:
        threads = [coro.spawn(take, number) for number in range(len(locks))]
        coro.sleep_relative(1)
        assert len(inspect.why(threads[0].id).cycle) == 3000

    testing.run(main, real_descriptors=False)


def test_descriptors_timers_and_locks() -> None:
    left, right = socket.socketpair()

    def main() -> None:
        lock = coro.mutex()
        lock.lock()
        reader = coro.spawn(coro.wait_for_read, left, 50)
        sleeper = coro.spawn(coro.sleep_relative, 20)
        lockers = [coro.spawn(lock.lock) for _ in range(3)]
        coro.sleep_relative(1)

        by_fd = {record.fd: record for record in inspect.descriptors()}
        assert by_fd[left.fileno()].reader == reader.id
        assert by_fd[left.fileno()].writer is None
        assert [(round(record.due_s), record.thread) for record in inspect.timers()] == [
            (19, sleeper.id),
            (49, reader.id),
        ]
        [record] = inspect.locks()
        assert record.kind == "mutex"
        assert record.holders == (coro.current().id,)
        assert record.waiters == tuple(thread.id for thread in lockers)

    with left, right:
        testing.run(main)


def test_loop_counts() -> None:
    def main() -> None:
        before = inspect.loop()
        for thread in [coro.spawn(int) for _ in range(10)]:
            thread.join()
        coro.sleep_relative(1)
        after = inspect.loop()
        assert after.running
        assert after.ended - before.ended == 10
        assert after.switches - before.switches >= 12
        assert after.turn > before.turn
        assert after.age_s - before.age_s == 1
        assert after.threads == 1
        assert after.lag_p50_s is not None
        assert after.lag_p99_s is not None
        assert after.lag_p50_s <= after.lag_p99_s

    testing.run(main)
    assert not inspect.loop().running


@pytest.mark.parametrize(
    ("histogram", "share", "expected"),
    [([0, 0], 0.5, None), ([1], 1.0, 1), ([0, 3, 1], 0.5, 2), ([0, 3, 1], 0.99, 4), ([0, 0, 0, 1], 0.0, 8)],
)
def test_quantile_is_the_upper_bound_of_its_bucket(
    histogram: list[int], share: float, expected: int | None
) -> None:
    assert quantile_ns(histogram, share) == expected


def test_observer_works_in_slices_and_keeps_to_its_duty(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that moves by 10 us at each reading, nobody waits for longer than a slice and a reading."""
    clock = TickingClock(10_000)
    monkeypatch.setattr("coro.testing.running.FakeClock", lambda: clock)

    def main() -> coro.coro:
        observer = coro.spawn(sliced, range(1000), lambda number: number if number % 2 else None)
        observer.join()
        assert observer.result() == list(range(1, 1000, 2))
        return observer

    begin = clock.now_ns
    observer = testing.run(main, real_descriptors=False)

    assert observer.longest_slice_ns <= SLICE_NS + 60_000
    assert observer.switches > 50
    assert observer.run_time_ns / (clock.now_ns - begin) < 2 * DUTY


def test_records_keep_nothing_alive() -> None:
    def main() -> list[Any]:
        thread = coro.spawn(fall, 1)
        coro.yield_slice()
        records = [inspect.threads(), inspect.stacks(), inspect.why(thread.id), inspect.loop(), inspect.timers()]
        seen = gc.get_referents(*records)
        while seen:
            found = [one for one in seen if not isinstance(one, (str, int, float, type, type(None)))]
            assert not any(isinstance(one, coro.coro) for one in found)
            seen = gc.get_referents(*found) if found else []
        return records

    assert testing.run(main, real_descriptors=False)
