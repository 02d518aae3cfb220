"""What the tests of the primitives share: running in a loop, threads that wait, and one face for all primitives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import coro.testing
from coro import leftovers
from coro.fifo import fifo
from coro.scheduler import scheduler
from coro.sync import condition_variable, event, inverted_semaphore, mutex, rw_lock, semaphore


class Stop(Exception):
    """What the tests interrupt with."""


def in_loop(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a thread under a fake clock, where a lost wake-up raises NothingWillHappen."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        coro.testing.run(test, *args, real_descriptors=False, **kwargs)

    return run


def leave_behind(thread: coro.coro) -> None:
    """Do with one thread what a fork and the end of the loop do: it is dead, and never leaves its wait."""
    leftovers.keep_for_ever([thread.carrier])
    if thread.scheduled:
        scheduler.ready.remove(thread)
    scheduler.bury(thread)


def settle() -> None:
    """Let everybody run until they wait: a few turns, more than any test's chain of wake-ups needs."""
    for _ in range(10):
        coro.yield_slice()


class Waiters:
    """Threads that each make one call, and what came of it, in the order in which they came back.

    outcomes: (name, what the call returned, or the exception that it raised).
    """

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, Any]] = []

    def spawn(self, name: str, function: Callable[..., Any], *args: Any) -> coro.coro:
        """Start a thread that calls the function, and let it come to its wait."""
        thread = coro.spawn(self._call, name, function, args, thread_name=name)
        coro.yield_slice()
        return thread

    def _call(self, name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self.outcomes.append((name, function(*args)))
        except (Exception, coro.Interrupted) as error:
            self.outcomes.append((name, error))
            if isinstance(error, coro.Shutdown):
                raise

    @property
    def order(self) -> list[str]:
        """The names, in the order in which the calls came back."""
        return [name for name, _ in self.outcomes]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """As outcomes, with the class of an exception, and "" for any value."""
        return [
            (name, type(what).__name__ if isinstance(what, BaseException) else "") for name, what in self.outcomes
        ]


@dataclass(slots=True)
class Case:
    """One way to wait for one primitive, which stands so that wait() blocks.

    kind: what the waiting thread's `waiting_for` says.
    grant: lets the first waiter go, or all if not `one_each`; called by the thread that made the case.
    done: called by a waiter that was let go, lets the next one go.
    remembers: a grant that nobody waits for serves the next who asks.
    """

    primitive: Any
    kind: str
    wait: Callable[..., Any]
    grant: Callable[[], Any]
    done: Callable[[], Any]
    one_each: bool = True
    remembers: bool = True

    def get(self, timeout: float | None = None) -> Any:
        """Wait, then let the next one go."""
        outcome = self.wait(timeout=timeout)
        self.done()
        return outcome


def nothing() -> None:
    """The done() of what lets all go at once."""


def of_mutex() -> Case:
    lock = mutex()
    lock.lock()
    return Case(lock, "mutex", lock.lock, lock.unlock, lock.unlock)


def of_semaphore(permits: int = 1) -> Case:
    permit = semaphore(permits - 1)
    release = functools.partial(permit.release, permits)
    return Case(permit, "semaphore", functools.partial(permit.acquire, permits), permit.release, release)


def of_inverted_semaphore() -> Case:
    jobs = inverted_semaphore(1)
    return Case(jobs, "inverted_semaphore", jobs.block_till_zero, jobs.release, nothing, one_each=False)


def of_reader_behind_writer() -> Case:
    lock = rw_lock()
    lock.write_lock()
    return Case(lock, "rw_lock read", lock.read_lock, lock.write_unlock, lock.read_unlock, one_each=False)


def of_writer_behind_writer() -> Case:
    lock = rw_lock()
    lock.write_lock()
    return Case(lock, "rw_lock write", lock.write_lock, lock.write_unlock, lock.write_unlock)


def of_writer_behind_reader() -> Case:
    lock = rw_lock()
    lock.read_lock()
    return Case(lock, "rw_lock write", lock.write_lock, lock.read_unlock, lock.write_unlock)


def of_wake_one() -> Case:
    told = condition_variable()
    return Case(told, "condition", told.wait, told.wake_one, told.wake_one, remembers=False)


def of_wake_n() -> Case:
    told = condition_variable()
    wake = functools.partial(told.wake_n, 1)
    return Case(told, "condition", told.wait, wake, wake, remembers=False)


def of_wake_all() -> Case:
    told = condition_variable()
    return Case(told, "condition", told.wait, told.wake_all, nothing, one_each=False, remembers=False)


def of_event() -> Case:
    happened = event()
    return Case(happened, "event", happened.wait, happened.set, nothing, one_each=False)


def of_pop() -> Case:
    items = fifo()
    push = functools.partial(items.push, "item")
    return Case(items, "fifo pop", items.pop, push, push)


def of_pop_all() -> Case:
    items = fifo()
    push = functools.partial(items.push, "item")
    return Case(items, "fifo pop", items.pop_all, push, push)


def of_pop_what_is_put_back() -> Case:
    items = fifo(1)
    push = functools.partial(items.push_front, "item")
    return Case(items, "fifo pop", items.pop, push, push)


def of_push() -> Case:
    items = fifo(1)
    items.push("item")
    return Case(items, "fifo push", functools.partial(items.push, "item"), items.pop, items.pop)


CASES: list[Callable[[], Case]] = [
    of_mutex,
    of_semaphore,
    functools.partial(of_semaphore, 3),
    of_inverted_semaphore,
    of_reader_behind_writer,
    of_writer_behind_writer,
    of_writer_behind_reader,
    of_wake_one,
    of_wake_n,
    of_wake_all,
    of_event,
    of_pop,
    of_pop_all,
    of_pop_what_is_put_back,
    of_push,
]


def name_of_case(make: Callable[[], Case]) -> str:
    """What pytest calls the case."""
    function = make.func if isinstance(make, functools.partial) else make
    arguments = make.args if isinstance(make, functools.partial) else ()
    return "_".join([function.__name__.removeprefix("of_"), *map(str, arguments)])
