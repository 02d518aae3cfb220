"""Pools: never more than so many at once, each job once, results in order, and nobody left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import coro
from coro.testing import choose
from tests.explorer.services_tools import Fault, hear, is_parked, pause

__all__ = ["PoolScene", "maps", "pool_closed_while_waiting", "pool_of_one", "pools"]


class PoolScene:
    """A pool, its clients, and what became of their jobs.

    began, running: the numbers of the jobs that were begun, and of those that have not ended.
    taken: the numbers that map() or imap() have asked for.
    failures, received: what jobs raised, and what came to a client; excused: what nobody needed to hear of.
    """

    def __init__(self, size: int) -> None:
        self.pool = coro.Pool(size)
        self.began: set[int] = set()
        self.running: set[int] = set()
        self.taken: set[int] = set()
        self.failures: list[Fault] = []
        self.received: set[int] = set()
        self.excused: set[int] = set()
        self.asking: dict[int, coro.coro] = {}
        self.is_closed = False
        self.has_interrupted = False
        self._next_number = 0

    def number(self) -> int:
        self._next_number += 1
        return self._next_number

    def job(self, number: int) -> int:
        assert number not in self.began, f"job {number} runs twice"
        self.began.add(number)
        self.running.add(number)
        assert len(self.running) <= self.pool.size and len(self.pool) <= self.pool.size, self.pool
        try:
            self.work(number)
            return -number
        except coro.Interrupted:
            self.has_interrupted = True
            # A clean-up that takes its time, and may fail.
            coro.sleep_relative(1)
            if choose(3) == 2:
                self.fail(number)
            raise
        finally:
            self.running.remove(number)

    def work(self, number: int) -> None:
        """What a job does."""
        pause()
        if choose(3) == 2:
            self.fail(number)

    def fail(self, number: int) -> None:
        self.failures.append(Fault(number))
        raise self.failures[-1]

    def client(self, acts: Sequence[str]) -> None:
        for _ in range(1 + choose(2)):
            pause()
            self.do(getattr(self, acts[choose(len(acts))]))

    def do(self, act: Callable[[], object]) -> None:
        """Use the pool; what it raises must be what it may raise now."""
        try:
            act()
        except Fault as fault:
            assert fault in self.failures
            assert id(fault) not in self.received, f"{fault!r} came twice"
            self.received.add(id(fault))
        except coro.DeadCoroutine:
            assert self.has_interrupted or self.is_closed, "nobody has ended a call"
        except RuntimeError:
            assert self.is_closed, f"{self.pool!r} is open, and refuses"

    def ask(self, spawn: Callable[..., coro.coro]) -> tuple[int, coro.coro]:
        """Have the pool run a job; it must be this thread's turn.  The job's number, and its thread."""
        me, number = coro.current(), self.number()
        ahead = list(self.asking)
        self.asking[number] = me
        try:
            thread = spawn(self.job, number, thread_name=f"job {number}")
        finally:
            del self.asking[number]
        # Who was granted a place at the same time may run later.
        overtaken = [one for one in ahead if one in self.asking and not self.asking[one].scheduled]
        assert not overtaken, f"{me!r} was served before jobs {overtaken}"
        assert thread in self.pool.threads
        return number, thread

    def spawn(self) -> None:
        self.ask(self.pool.spawn)

    def submit(self) -> None:
        number, thread = self.ask(self.pool.submit)
        try:
            assert thread.result() == -number
        except coro.Interrupted:
            # Its failure was for this caller only.
            self.excused.add(number)
            raise

    def items(self, numbers: list[int]) -> Iterator[int]:
        for number in numbers:
            pause()
            self.taken.add(number)
            yield number
        if choose(4) == 3:
            self.failures.append(Fault("the iterable's"))
            raise self.failures[-1]

    def map(self) -> None:
        numbers = [self.number() for _ in range(3 - choose(4))]
        try:
            assert self.pool.map(self.job, self.items(numbers)) == [-number for number in numbers]
        finally:
            assert not self.running & set(numbers), "calls of map() outlive it"

    def imap(self) -> None:
        numbers = [self.number() for _ in range(3 - choose(4))]
        values = self.pool.imap(self.job, self.items(numbers))
        wanted = choose(len(numbers) + 2)
        got: list[int] = []
        try:
            for value in values:
                got.append(value)
                assert got == [-number for number in numbers[: len(got)]], "imap() gives values out of order"
                assert len(self.taken & set(numbers)) < len(got) + self.pool.size, "imap() runs ahead"
                if len(got) == wanted:
                    break
                pause()
            else:
                assert len(got) == len(numbers), "imap() ended early"
        except BaseException as error:
            assert not self.is_alive(numbers) or isinstance(error, coro.Interrupted), "calls of imap() outlive it"
            raise
        finally:
            # Dropped here: what is under way is shut down.
            del values

    def is_alive(self, numbers: list[int]) -> bool:
        return bool(self.running & set(numbers))

    def close(self) -> None:
        self.is_closed = True
        self.pool.close()
        assert not self.running and not len(self.pool), f"{self.pool!r} is closed, and has threads"

    def shut_down(self) -> None:
        self.is_closed = True
        self.pool.shutdown()

    def at_end(self, heard: list[BaseException]) -> None:
        pool: Any = self.pool
        assert not pool._granted and not pool._waiters and not len(pool), f"{pool!r}, granted: {pool._granted}"
        for fault in self.failures:
            count = sum(1 for one in heard if one is fault)
            is_received = id(fault) in self.received
            if fault.args[0] not in self.excused:
                assert count + is_received == 1, f"{fault!r} was received {is_received}, and notified {count} times"
        if self.is_closed:
            return
        for _ in range(pool.size):
            before = coro.current().switches
            pool.spawn(int)
            assert coro.current().switches == before, f"{pool!r} is empty, and makes wait"


def _use(scene: PoolScene, clients: int, acts: Sequence[str]) -> None:
    # When a pool is closed under a map() one of whose calls has failed, that the pool is closed comes second.
    with hear(RuntimeError) as heard:
        threads = [coro.spawn(scene.client, acts, thread_name=f"client {number}") for number in range(clients)]
        for _ in range(choose(3)):
            pause()
            victim = threads[choose(len(threads))]
            if is_parked(victim) and victim.waiting_for in ("pool", "join"):
                victim.schedule("from a stranger")
    scene.at_end(heard)


def pools() -> None:
    """One to three clients use a pool of one or two threads in all ways; one may close it."""
    acts = ("spawn", "submit", "map", "imap", "close", "shut_down")
    _use(PoolScene(1 + choose(2)), 1 + choose(3), acts)


def maps() -> None:
    """One or two clients have a pool of one or two threads call a function for each of many items."""
    _use(PoolScene(2 - choose(2)), 1 + choose(2), ("map", "imap"))


def pool_of_one() -> None:
    """The smallest: two clients want the only place."""
    pool = coro.Pool(1)
    running: list[int] = []

    def job() -> None:
        running.append(1)
        assert len(running) == 1
        try:
            coro.yield_slice()
        finally:
            running.pop()

    def client() -> None:
        pool.spawn(job)

    first = pool.spawn(job)
    clients = [coro.spawn(client, thread_name=f"client {number}") for number in range(2)]
    for thread in (first, *clients):
        thread.join()
    while len(pool):
        coro.yield_slice()
    before = coro.current().switches
    pool.spawn(int)
    assert coro.current().switches == before, "the place was lost"


def pool_closed_while_waiting() -> None:
    """A pool is closed while one waits for its place, which becomes free at the same moment."""
    pool = coro.Pool(1)
    ends: list[str] = []
    pool.spawn(coro.sleep_relative, 1)

    def client() -> None:
        try:
            pool.spawn(coro.sleep_relative, 1)
        except RuntimeError:
            assert pool_is_closed
            ends.append("refused")
        else:
            ends.append("done")

    pool_is_closed = False
    clients = [coro.spawn(client, thread_name=f"client {number}") for number in range(2)]
    pause()
    pool_is_closed = True
    pool.close()
    assert not len(pool), "close() came back too early"
    for thread in clients:
        thread.join()
    if not any(thread.error for thread in clients):
        assert len(ends) == 2
    state: Any = pool
    assert not state._granted and not state._waiters and not len(pool)
