"""Random threads, interrupts, timeouts and strangers, against a model of each primitive.

Every round draws its own seed (pytest-randomly prints the one that they all come from) and takes the same course
for the same seed. Times are few and round, so that much happens in the same instant. A wake-up that is lost raises
NothingWillHappen; the models see the rest.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import coro
import coro.testing
from coro.fifo import fifo
from coro.scheduler import scheduler
from coro.sync import condition_variable, event, inverted_semaphore, mutex, rw_lock, semaphore
from tests.sync.waiting import Stop

THREADS = 8
ROUNDS = 12
TURNS = 30
TIMES = (0, 0.1, 0.1, 0.2, 0.5)


class Storm:
    """Threads that work at random, and one that torments them.

    rng: everything random comes from here.
    disturbed: how many calls ended by an interrupt or a timeout.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.disturbed = 0
        self.workers: list[coro.coro] = []

    def timeout(self) -> float | None:
        """For half of the waits one of a few."""
        return self.rng.choice(TIMES) if self.rng.random() < 0.5 else None

    def pause(self) -> None:
        """Stay at work for a while; who is woken early stays no longer."""
        if self.rng.random() < 0.7:
            coro.sleep_relative(self.rng.choice(TIMES))

    def run(self, work: Callable[[], None], check: Callable[[], None], workers: int = THREADS) -> None:
        """Have workers do their work TURNS times each; check whenever all of them wait or sleep."""
        self.workers = [coro.spawn(self._work, work) for _ in range(workers)]
        checks = 0
        while self._alive():
            for _ in range(self.rng.randrange(4)):
                self._torment(self.rng.choice(self.workers))
            coro.sleep_relative(self.rng.choice((0, 0, 0.05, 0.1)))
            if self._all_at_rest():
                checks += 1
                check()
        for worker in self.workers:
            worker.result()
        assert checks

    def _alive(self) -> bool:
        return any(not worker.dead for worker in self.workers)

    def _all_at_rest(self) -> bool:
        for _ in range(50):
            if not scheduler.ready:
                return True
            coro.yield_slice()
        return False

    def _work(self, work: Callable[[], None]) -> None:
        for _ in range(TURNS):
            try:
                work()
            except (Stop, coro.TimeoutError):
                self.disturbed += 1
        while True:
            # What came too late for the last turn must not hit the end of the thread.
            try:
                coro.yield_slice()
                return
            except Stop:
                continue

    def _torment(self, victim: coro.coro) -> None:
        if victim.dead or not victim.started:
            return
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            if self.rng.random() < 0.5:
                victim.raise_exception(Stop)
            elif not victim.scheduled:
                victim.schedule("stranger")


def in_storm(test: Callable[..., None]) -> Callable[[int], None]:
    """Run a test ROUNDS times, each with a storm of its own."""

    @pytest.mark.parametrize("round_number", range(ROUNDS))
    def rounds(round_number: int) -> None:
        seed = random.getrandbits(32)
        print(f"the seed of this round is {seed}")
        coro.testing.run(test, Storm(seed), real_descriptors=False)

    rounds.__name__ = test.__name__
    rounds.__doc__ = test.__doc__
    return rounds


@in_storm
def test_mutex_excludes_and_serves_in_order(storm: Storm) -> None:
    lock = mutex()
    inside: list[coro.coro] = []
    asked = served = 0

    def work() -> None:
        nonlocal asked, served
        asked += 1
        number = asked
        me = coro.current()
        lock.lock(storm.timeout())
        try:
            assert inside == []
            inside.append(me)
            assert number > served
            served = number
            again = storm.rng.randrange(3)
            for _ in range(again):
                assert lock.lock() is False
            try:
                storm.pause()
            finally:
                for _ in range(again):
                    assert lock.unlock() is False
                assert inside == [me]
                inside.clear()
        finally:
            lock.unlock()

    def check() -> None:
        assert lock.holder is not None or not lock.waiters

    storm.run(work, check)
    assert (lock.locked(), lock.waiters) == (False, ())


@in_storm
def test_semaphore_conserves_its_permits_and_keeps_nobody_waiting_for_what_is_there(storm: Storm) -> None:
    total = 5
    permits = semaphore(total)
    taken: Counter[coro.coro] = Counter()
    wanted: dict[coro.coro, int] = {}

    def work() -> None:
        me = coro.current()
        k = wanted[me] = storm.rng.randint(1, total)
        permits.acquire(k, storm.timeout())
        taken[me] += k
        try:
            assert taken.total() <= total
            storm.pause()
        finally:
            taken[me] -= k
            permits.release(k)

    def check() -> None:
        assert permits.avail == total - taken.total()
        first = next(iter(permits.waiters), None)
        assert first is None or wanted[first] > permits.avail

    storm.run(work, check)
    assert (permits.avail, permits.waiters) == (total, ())


@in_storm
def test_rw_lock_lets_readers_share_and_writers_exclude(storm: Storm) -> None:
    rw = rw_lock()
    readers: Counter[coro.coro] = Counter()
    writers: Counter[coro.coro] = Counter()

    def assert_exclusion() -> None:
        assert len(+writers) <= 1
        assert not writers or set(+readers) <= set(+writers)

    def hold(holders: Counter[coro.coro], unlock: Callable[[], None], depth: int) -> None:
        me = coro.current()
        holders[me] += 1
        try:
            assert_exclusion()
            storm.pause()
            if depth:
                go_deeper(depth)
            assert_exclusion()
        finally:
            holders[me] -= 1
            if not holders[me]:
                del holders[me]
            unlock()

    def go_deeper(depth: int) -> None:
        if storm.rng.random() < 0.5 and writers[coro.current()]:
            rw.write_lock(timeout=0)
            hold(writers, rw.write_unlock, depth - 1)
        else:
            rw.read_lock(timeout=0)
            hold(readers, rw.read_unlock, depth - 1)

    def work() -> None:
        if storm.rng.random() < 0.4:
            rw.write_lock(storm.timeout())
            hold(writers, rw.write_unlock, storm.rng.randrange(3))
        else:
            rw.read_lock(storm.timeout())
            hold(readers, rw.read_unlock, storm.rng.randrange(3))

    def check() -> None:
        assert not rw.waiting_writers or rw.writer or rw.readers
        assert not rw.waiting_readers or rw.writer or rw.waiting_writers
        assert rw.writer is None or set(rw.readers) <= {rw.writer}
        assert set(rw.readers) == set(readers)
        assert {rw.writer} - {None} == set(writers)

    storm.run(work, check)
    assert (rw.writer, rw.readers, rw.waiters) == (None, (), ())


@in_storm
def test_inverted_semaphore_lets_waiters_go_at_zero(storm: Storm) -> None:
    jobs = inverted_semaphore()
    open_jobs = 0

    def work() -> None:
        nonlocal open_jobs
        if storm.rng.random() < 0.5:
            jobs.block_till_zero(storm.timeout())
            assert jobs.value == open_jobs == 0
            return
        k = storm.rng.randint(1, 3)
        jobs.acquire(k)
        open_jobs += k
        try:
            storm.pause()
        finally:
            jobs.release(k)
            open_jobs -= k

    def check() -> None:
        assert jobs.value == open_jobs
        assert jobs.value or not jobs.waiters

    storm.run(work, check)
    assert (jobs.value, jobs.waiters) == (0, ())


@in_storm
def test_event_releases_whoever_waits_when_it_is_set(storm: Storm) -> None:
    happened = event()
    times_set = 0

    def work() -> None:
        nonlocal times_set
        act = storm.rng.random()
        if act < 0.3:
            times_set += 1
            happened.set()
        elif act < 0.6:
            happened.clear()
        else:
            before, was_set = times_set, happened.is_set()
            happened.wait(storm.rng.choice(TIMES))
            assert was_set or times_set > before
        storm.pause()

    def check() -> None:
        assert not happened.is_set() or not happened.waiters

    storm.run(work, check)
    assert happened.waiters == ()


@in_storm
def test_condition_variable_delivers_each_wake_up_once(storm: Storm) -> None:
    told = condition_variable()
    sent: set[int] = set()
    received: Counter[int] = Counter()
    interrupted = 0

    def work() -> None:
        nonlocal interrupted
        act = storm.rng.random()
        number = len(sent)
        if act < 0.3:
            if told.wake_one(number):
                sent.add(number)
        elif act < 0.4:
            count = told.wake_n(2, (number, number + 1))
            assert 0 <= count <= 2
        elif act < 0.45:
            told.raise_all(Stop)
        else:
            try:
                value = told.wait(storm.rng.choice(TIMES))
            except (Stop, coro.TimeoutError):
                interrupted += 1
                raise
            assert value != "stranger"
            if isinstance(value, int):
                received[value] += 1
        storm.pause()

    def check() -> None:
        assert set(received) <= sent
        assert all(times == 1 for times in received.values())

    storm.run(work, check)
    check()
    assert len(sent) - len(received) <= interrupted
    assert len(told) == 0


def fifo_storm(storm: Storm, items: Any, limit: int | None) -> None:
    pushed: list[int] = []
    popped: list[int] = []
    put_back = 0
    next_item = iter(range(1_000_000)).__next__

    def work() -> None:
        nonlocal put_back
        act = storm.rng.random()
        if act < 0.5:
            item = next_item()
            items.push(item, storm.timeout())
            pushed.append(item)
        elif act < 0.9:
            # Not for ever: all workers may be poppers.
            item = items.pop(storm.rng.choice(TIMES))
            popped.append(item)
            if storm.rng.random() < 0.1:
                items.push_front(popped.pop())
                put_back += 1
        else:
            popped.extend(items.pop_all(storm.rng.choice(TIMES)))
        if storm.rng.random() < 0.5:
            storm.pause()

    def check() -> None:
        assert popped == pushed[: len(popped)]
        assert list(items) == pushed[len(popped) :]
        assert not items.poppers or not len(items)
        assert not items.pushers or len(items) >= limit
        assert limit is None or len(items) <= limit + put_back

    def drain() -> None:
        try:
            while True:
                popped.append(items.pop(timeout=2))
        except coro.TimeoutError:
            return

    coro.spawn(drain)
    storm.run(work, check)
    coro.sleep_relative(5)
    assert popped == pushed
    assert (len(items), items.waiters) == (0, ())


@in_storm
def test_fifo_neither_loses_nor_doubles_nor_reorders_items(storm: Storm) -> None:
    fifo_storm(storm, fifo(), None)


@in_storm
def test_fifo_with_maxsize_neither_loses_nor_doubles_nor_reorders_items(storm: Storm) -> None:
    fifo_storm(storm, fifo(2), 2)
