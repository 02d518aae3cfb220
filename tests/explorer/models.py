"""What may be observed of the primitives of coro.sync and of fifo."""

from typing import Any, cast

import coro
from coro.testing import ChanceInterrupt, choose
from tests.explorer.model import TIMEOUTS_S, Model, Operation, is_leaving, waited

__all__ = ["MODELS"]


def some_timeout() -> float:
    return TIMEOUTS_S[choose(len(TIMEOUTS_S))]


class Mutex(Model):
    """One holder; served in the order of asking; who was interrupted has nothing."""

    def __init__(self) -> None:
        self.lock = coro.mutex()
        self.holder: coro.coro | None = None
        self.times = 0
        self.queue: list[coro.coro] = []

    def operations(self) -> list[Operation]:
        if self.holder is coro.current():
            return [self.unlock, self.pause, self.let_others, self.take, self.try_to]
        return [self.take, self.take_timed, self.try_to, self.let_others]

    def take(self, timeout: float | None = None) -> None:
        me = coro.current()
        since = me.switches
        self.queue.append(me)
        try:
            blocked = self.lock.lock(timeout)
            before = self.queue[: self.queue.index(me)]
        finally:
            self.queue.remove(me)
        assert blocked == waited(since)
        assert self.holder in (None, me), f"{me!r} got the lock that {self.holder!r} holds"
        assert not (blocked and self.holder is me)
        if self.holder is None:
            assert all(is_leaving(other) for other in before), f"{me!r} overtook {before!r}"
        self.holder = me
        self.times += 1

    def take_timed(self) -> None:
        self.take(some_timeout())

    def try_to(self) -> None:
        me = coro.current()
        failed = self.lock.trylock()
        if failed:
            assert self.holder is not me
            assert self.holder is not None or self.queue, "a free lock was refused"
        else:
            assert self.holder in (None, me)
            self.holder = me
            self.times += 1

    def unlock(self) -> None:
        self.times -= 1
        if self.times == 0:
            self.holder = None
        handed_over = self.lock.unlock()
        assert not (handed_over and self.times), "handed over while it is held"
        assert not handed_over or self.queue

    def leave(self) -> None:
        while self.holder is coro.current():
            self.unlock()

    def check(self) -> None:
        if self.holder is not None:
            assert self.lock.holder is self.holder
        assert self.lock.locked() or not self.queue or all(is_leaving(thread) for thread in self.queue)

    def may_wait(self, thread: coro.coro) -> bool:
        return False

    def at_end(self) -> None:
        assert not self.lock.locked()
        assert self.lock.waiters == ()


class RwLock(Model):
    """Many readers or one writer; a waiting writer holds new readers off."""

    def __init__(self) -> None:
        self.lock = coro.rw_lock()
        self.writer: coro.coro | None = None
        self.writes = 0
        self.readers: dict[coro.coro, int] = {}

    def operations(self) -> list[Operation]:
        me = coro.current()
        operations: list[Operation] = [self.read, self.write, self.read_timed, self.write_timed, self.try_read]
        if me in self.readers:
            operations = [self.read_unlock, self.pause, self.let_others, self.read, self.try_read]
            if self.writer is me:
                operations.append(self.write)
        if self.writer is me:
            operations = [self.write_unlock, self.pause, self.write, *operations]
        else:
            operations.append(self.try_write)
        return operations

    def read(self, timeout: float | None = None) -> None:
        me = coro.current()
        since = me.switches
        writers = [thread for thread in self.lock.waiting_writers if not is_leaving(thread)]
        self.lock.read_lock(timeout)
        assert self.writer in (None, me), f"{me!r} reads while {self.writer!r} writes"
        if me not in self.readers and self.writer is not me and not waited(since):
            assert not writers, f"{me!r} overtook {writers!r}"
        self.readers[me] = self.readers.get(me, 0) + 1

    def read_timed(self) -> None:
        self.read(some_timeout())

    def try_read(self) -> None:
        me = coro.current()
        if self.lock.try_read_lock():
            assert me not in self.readers
            assert self.writer is not me
        else:
            assert self.writer in (None, me)
            self.readers[me] = self.readers.get(me, 0) + 1

    def write(self, timeout: float | None = None) -> None:
        self.lock.write_lock(timeout)
        self._writes()

    def write_timed(self) -> None:
        self.write(some_timeout())

    def try_write(self) -> None:
        if not self.lock.try_write_lock():
            self._writes()
        else:
            assert self.writer is not coro.current()

    def _writes(self) -> None:
        me = coro.current()
        assert self.writer in (None, me), f"{me!r} writes while {self.writer!r} does"
        assert self.writer is me or not self.readers, f"{me!r} writes while {list(self.readers)!r} read"
        self.writer = me
        self.writes += 1

    def read_unlock(self) -> None:
        me = coro.current()
        self.readers[me] -= 1
        if not self.readers[me]:
            del self.readers[me]
        self.lock.read_unlock()

    def write_unlock(self) -> None:
        self.writes -= 1
        if not self.writes:
            self.writer = None
        self.lock.write_unlock()

    def leave(self) -> None:
        me = coro.current()
        while me in self.readers:
            self.read_unlock()
        while self.writer is me:
            self.write_unlock()

    def check(self) -> None:
        if self.writer is not None:
            assert self.lock.writer is self.writer
        assert set(self.readers) <= set(self.lock.readers)
        # A writer that leaves may have been dropped already, and lets the readers in when it runs.
        nobody_leaves = not any(thread.exception is not None for thread in coro.all_threads.values())
        if nobody_leaves and self.lock.writer is None and not self.lock.waiting_writers:
            kept_out = [thread for thread in self.lock.waiting_readers if not is_leaving(thread)]
            assert not kept_out, f"{kept_out!r} could read"

    def may_wait(self, thread: coro.coro) -> bool:
        return False

    def at_end(self) -> None:
        assert self.lock.writer is None
        assert self.lock.readers == self.lock.waiters == ()


class Semaphore(Model):
    """No more permits out than there are; served in the order of asking."""

    def __init__(self) -> None:
        self.total = choose(4)
        self.permits = coro.semaphore(self.total)
        self.held: dict[coro.coro, int] = {}
        self.asked: dict[coro.coro, int] = {}

    def operations(self) -> list[Operation]:
        operations: list[Operation] = [self.acquire, self.acquire_timed, self.let_others, self.enlarge]
        if coro.current() in self.held:
            operations = [self.release, self.pause, *operations]
        return operations

    def acquire(self, timeout: float | None = None) -> None:
        me = coro.current()
        since = me.switches
        permits = 1 + choose(3)
        before = [thread for thread in self.permits.waiters if not is_leaving(thread)]
        self.asked[me] = permits
        try:
            self.permits.acquire(permits, timeout)
        finally:
            del self.asked[me]
        # Somebody who was leaving may have been all that they waited for: then the call served them first.
        passed = [thread for thread in before if thread in self.permits.waiters]
        assert waited(since) or not passed, f"{me!r} overtook {passed!r}"
        self.held[me] = self.held.get(me, 0) + permits
        assert sum(self.held.values()) <= self.total, "more permits are out than there are"

    def acquire_timed(self) -> None:
        self.acquire(some_timeout())

    def release(self) -> None:
        me = coro.current()
        permits = 1 + choose(self.held[me])
        self.held[me] -= permits
        if not self.held[me]:
            del self.held[me]
        self.permits.release(permits)

    def enlarge(self) -> None:
        self.total += 1
        self.permits.release()

    def leave(self) -> None:
        held = self.held.pop(coro.current(), 0)
        if held:
            self.permits.release(held)

    def check(self) -> None:
        if self.permits.waiters and not is_leaving(first := self.permits.waiters[0]):
            assert self.asked[first] > int(self.permits), f"{first!r} could have its permits"

    def may_wait(self, thread: coro.coro) -> bool:
        first = self.permits.waiters[0]
        return self.asked[first] > self.total - sum(self.held.values())

    def at_end(self) -> None:
        assert int(self.permits) == self.total, "permits were lost or made"
        assert self.permits.waiters == ()


class InvertedSemaphore(Model):
    """Who returns from block_till_zero() finds zero."""

    def __init__(self) -> None:
        self.count = coro.inverted_semaphore()
        self.raised: dict[coro.coro, int] = {}

    def operations(self) -> list[Operation]:
        operations: list[Operation] = [self.acquire, self.block, self.block_timed, self.let_others]
        if self.raised.get(coro.current()):
            operations = [self.release, self.pause, *operations]
        return operations

    def acquire(self) -> None:
        me = coro.current()
        self.count.acquire()
        self.raised[me] = self.raised.get(me, 0) + 1

    def release(self) -> None:
        me = coro.current()
        amount = 1 + choose(self.raised[me])
        self.raised[me] -= amount
        self.count.release(amount)

    def block(self, timeout: float | None = None) -> None:
        # Who waits for itself waits for ever.
        if not self.raised.get(coro.current()):
            self.count.block_till_zero(timeout)
            assert sum(self.raised.values()) == 0

    def block_timed(self) -> None:
        self.block(some_timeout())

    def leave(self) -> None:
        raised = self.raised.pop(coro.current(), 0)
        if raised:
            self.count.release(raised)

    def check(self) -> None:
        assert self.count.value == sum(self.raised.values())

    def may_wait(self, thread: coro.coro) -> bool:
        return sum(self.raised.values()) > 0

    def at_end(self) -> None:
        assert int(self.count) == 0
        assert self.count.waiters == ()


class Raised(Exception):
    """What raise_all() sends."""


class Condition(Model):
    """A wake-up is heard once by one who waited, as long as one waits; wake_all() is heard by all."""

    def __init__(self) -> None:
        self.condition = coro.condition_variable()
        self.turn = 0
        # When each of those that wait began, and what was sent to one, to all.
        self.since: dict[coro.coro, int] = {}
        self.sent: dict[int, int] = {}
        self.all_told = 0

    def operations(self) -> list[Operation]:
        return [self.wait, self.wake_one, self.wait_timed, self.wake_n, self.wake_all, self.raise_all, self.pause]

    def _next(self) -> int:
        self.turn += 1
        return self.turn

    def wait(self, timeout: float | None = None) -> None:
        me = coro.current()
        self.since[me] = began = self._next()
        try:
            value = self.condition.wait(timeout)
        except Raised:
            assert self.all_told > began
            return
        finally:
            del self.since[me]
        kind, turn = value
        if kind == "one":
            assert self.sent.pop(turn, 0) > 0, f"wake-up {turn} was heard before"
        else:
            assert turn > began

    def wait_timed(self) -> None:
        self.wait(some_timeout())

    def wake_one(self) -> None:
        waiting = [thread for thread in self.condition.waiters if not is_leaving(thread)]
        turn = self._next()
        woke = self.condition.wake_one(("one", turn))
        assert woke == bool(waiting)
        if woke:
            self.sent[turn] = 1

    def wake_n(self) -> None:
        waiting = [thread for thread in self.condition.waiters if not is_leaving(thread)]
        count = choose(4)
        before = set(self.condition.waiters)
        turns = self._next()
        woken = self.condition.wake_n(count, Turns(self, turns))
        assert woken == min(count, len(waiting))
        assert len(before - set(self.condition.waiters)) >= woken
        if woken:
            self.sent[turns] = woken

    def wake_all(self) -> None:
        self.all_told = turn = self._next()
        self.condition.wake_all(("all", turn))
        assert len(self.condition) == 0

    def raise_all(self) -> None:
        self.all_told = self._next()
        self.condition.raise_all(Raised)

    def may_wait(self, thread: coro.coro) -> bool:
        began = self.since[thread]
        return began > self.all_told and all(turn < began for turn in self.sent)

    def at_end(self) -> None:
        assert self.condition.waiters == ()


class Turns:
    """What wake_n() sends: it may be heard as many times as threads were woken."""

    def __init__(self, model: Condition, turn: int) -> None:
        self.model = model
        self.turn = turn

    def __iter__(self) -> Any:
        left = self.model.sent.get(self.turn, 0)
        assert left > 0, f"wake-ups {self.turn} were heard more often than threads were woken"
        if left > 1:
            self.model.sent[self.turn] = left - 1
            # Counted here; the caller's pop() is then to find one.
            self.model.sent[-self.turn] = 1
            return iter(("one", -self.turn))
        return iter(("one", self.turn))


class Event(Model):
    """Once set, nobody waits; set() releases all who waited, also if it is cleared at once."""

    def __init__(self) -> None:
        self.event = coro.event()
        self.flag = False
        self.sets = 0
        self.began: dict[coro.coro, int] = {}

    def operations(self) -> list[Operation]:
        return [self.wait, self.set, self.clear, self.wait_timed, self.let_others, self.pause]

    def wait(self, timeout: float | None = None) -> None:
        me = coro.current()
        was_set, since = self.flag, me.switches
        self.began[me] = began = self.sets
        try:
            self.event.wait(timeout)
        finally:
            del self.began[me]
        assert was_set or self.sets > began, "released by nobody"
        assert was_set != waited(since)

    def wait_timed(self) -> None:
        self.wait(some_timeout())

    def set(self) -> None:
        self.event.set()
        self.flag = True
        self.sets += 1

    def clear(self) -> None:
        self.event.clear()
        self.flag = False

    def check(self) -> None:
        assert self.event.is_set() == self.flag

    def may_wait(self, thread: coro.coro) -> bool:
        return not self.flag and self.sets == self.began[thread]

    def at_end(self) -> None:
        assert self.event.waiters == ()


class Fifo(Model):
    """Items leave in the order of the queue, each once; an interrupted popper has taken none."""

    maxsize: int | None = None

    def __init__(self) -> None:
        self.fifo = coro.fifo(self.maxsize)
        self.items: list[int] = []
        self.next_item = 0
        self.over = 0

    def operations(self) -> list[Operation]:
        return [
            self.push,
            self.pop,
            self.pop_timed,
            self.push_front,
            self.pop_all,
            self.let_others,
            self.push_timed,
            self.pause,
        ]

    def _new(self) -> int:
        self.next_item += 1
        return self.next_item

    def push(self, timeout: float | None = None) -> None:
        item = self._new()
        self.fifo.push(item, timeout)
        self.items.append(item)
        if self.maxsize is not None:
            assert len(self.items) <= self.maxsize + self.over

    def push_timed(self) -> None:
        self.push(some_timeout())

    def push_front(self) -> None:
        item = self._new()
        self.fifo.push_front(item)
        self.items.insert(0, item)
        self.over += 1

    def pop(self, timeout: float | None = None) -> None:
        item = self.fifo.pop(timeout)
        assert self.items, f"item {item} was popped from an empty queue"
        assert item == self.items.pop(0), f"item {item} is not the oldest"

    def pop_timed(self) -> None:
        self.pop(some_timeout())

    def pop_all(self) -> None:
        items = self.fifo.pop_all()
        assert items
        assert items == self.items[: len(items)]
        del self.items[: len(items)]

    def check(self) -> None:
        assert len(self.fifo) <= len(self.items)
        assert list(self.fifo) == self.items[: len(self.fifo)]
        if len(self.fifo):
            assert self.fifo.top() == self.items[0]

    def may_wait(self, thread: coro.coro) -> bool:
        if thread in self.fifo.poppers:
            return not self.items
        return self.maxsize is not None and thread in self.fifo.pushers and len(self.items) >= self.maxsize

    def at_end(self) -> None:
        assert self.fifo.waiters == ()
        assert list(self.fifo) == self.items


class SmallFifo(Fifo):
    """And push() waits while it is full."""

    maxsize = 2


class Join(Model):
    """join() returns when its thread has ended, result() hands on what it ended with."""

    def __init__(self) -> None:
        self.threads: list[coro.coro] = []
        self.joining: dict[coro.coro, coro.coro] = {}
        self.ended: dict[coro.coro, object] = {}

    def operations(self) -> list[Operation]:
        operations: list[Operation] = [self.spawn, self.let_others]
        if self.threads:
            operations = [self.spawn, self.join, self.result, self.join_timed, self.shut_down, self.let_others]
        return operations

    def _some_thread(self) -> coro.coro:
        return self.threads[choose(len(self.threads))]

    def spawn(self) -> None:
        outcome = choose(3)

        def child() -> object:
            me = coro.current()
            self.ended[me] = coro.Shutdown
            if outcome:
                self.pause()
            self.ended[me] = outcome
            if outcome == 2:
                raise Raised(outcome)
            return outcome

        thread = coro.new(child, thread_name=f"child {len(self.threads)}")
        # Its failure is expected here, and asked for or not.
        thread.observers += 1
        thread.start()
        self.threads.append(thread)

    def join(self, timeout: float | None = None) -> None:
        thread = self._some_thread()
        self.joining[coro.current()] = thread
        try:
            thread.join(timeout)
        finally:
            del self.joining[coro.current()]
        assert thread.dead

    def join_timed(self) -> None:
        self.join(some_timeout())

    def result(self) -> None:
        thread = self._some_thread()
        self.joining[coro.current()] = thread
        try:
            value = thread.result()
        except Raised:
            assert self.ended[thread] == 2
        except coro.DeadCoroutine as error:
            assert self.ended.get(thread, coro.Shutdown) is coro.Shutdown
            assert isinstance(error.__cause__, (coro.Shutdown, ChanceInterrupt))
        else:
            assert self.ended[thread] == value
        finally:
            del self.joining[coro.current()]
        assert thread.dead

    def shut_down(self) -> None:
        self._some_thread().shutdown()

    def check(self) -> None:
        for thread in self.threads:
            for joiner in thread.joiners or ():
                assert self.joining.get(cast(coro.coro, joiner)) is thread, f"{joiner!r} has left {thread!r}"

    def may_wait(self, thread: coro.coro) -> bool:
        return False

    def at_end(self) -> None:
        for thread in self.threads:
            thread.join()
            assert thread.joiners is None


MODELS: dict[str, type[Model]] = {
    "mutex": Mutex,
    "rw_lock": RwLock,
    "semaphore": Semaphore,
    "inverted_semaphore": InvertedSemaphore,
    "condition_variable": Condition,
    "event": Event,
    "fifo": Fifo,
    "fifo with maxsize": SmallFifo,
    "join": Join,
}
