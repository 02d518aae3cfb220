"""Parking itself: strangers schedule, interrupt and shut down a thread at any moment.

The model of a thread that parks: what it will be resumed with (nothing, a value, an exception), what waits behind,
and whether it was shut down.  Each park must end as the model says.
"""

from __future__ import annotations

from typing import Any

import coro
from coro.scheduler import scheduler
from coro.testing import choose
from tests.explorer.services_tools import Knock, hear, pause, wait_for_ever

__all__ = ["disturbed", "disturbed_sleepers", "yields_in_turn"]


class _Parker:
    """A thread that parks, and what it is to get.

    pending: the value or exception that it will be resumed with, in a list; empty while there is none.
    queue: exceptions behind that.
    is_parked: whether it can be scheduled.
    """

    def __init__(self) -> None:
        self.thread: Any = None
        self.pending: list[object] = []
        self.queue: list[BaseException] = []
        self.is_parked = False

    def run(self) -> None:
        for _ in range(1 + choose(4)):
            self.park()
        # What waits comes at the next parks, one each.
        while self.queue:
            self.park()

    def park(self) -> None:
        waits_already = self.queue.pop(0) if self.queue else None
        self.is_parked = waits_already is None
        try:
            value = coro._yield()
        except coro.Interrupted as interrupt:
            if waits_already is not None:
                assert interrupt is waits_already
            else:
                assert [interrupt] == self.pending, (interrupt, self.pending)
            if isinstance(interrupt, coro.Shutdown):
                self.queue.clear()
                raise
        else:
            assert waits_already is None and [value] == self.pending, (value, self.pending)
        finally:
            self.is_parked = False
            self.pending = []

    def schedule(self, value: object) -> None:
        may = self.is_parked and not self.pending
        try:
            self.thread.schedule(value)
        except coro.DeadCoroutine:
            assert self.thread.dead
        except coro.ScheduleError:
            assert not may, "a parked thread cannot be scheduled"
        else:
            assert may, "a thread that is not parked was scheduled"
            self.pending = [value]

    def interrupt(self, error: BaseException, *, force: bool) -> None:
        is_free = not self.pending
        try:
            self.thread.raise_exception(error, force=force)
        except coro.DeadCoroutine:
            assert self.thread.dead
        except coro.NotStartedError:
            assert not self.thread.started
        except coro.ScheduleError:
            assert not force and not (self.is_parked and is_free)
        else:
            assert force or (self.is_parked and is_free)
            self.sent(error)

    def sent(self, error: BaseException) -> None:
        pending = self.pending[0] if self.pending else None
        if not isinstance(pending, BaseException):
            # It takes the place of a value.
            self.pending = [error]
        elif not isinstance(pending, coro.Shutdown):
            self.queue.append(error)

    def shut_down(self) -> None:
        if self.thread.started and not self.thread.dead:
            self.thread.shutdown()
            # Which Shutdown it was cannot be told before.
            error = self.thread.exception
            if isinstance(error, coro.Shutdown):
                if [error] != self.pending:
                    self.sent(error)
            else:
                self.queue.append(self.thread.interrupts[-1])


def disturbed() -> None:
    """Two strangers schedule, interrupt, force and shut down a thread that does nothing but park."""
    parker = _Parker()

    def stranger(number: int) -> None:
        for act_number in range(2 + choose(3)):
            act = choose(5)
            if act <= 1:
                parker.schedule((number, act_number))
            elif act <= 3:
                parker.interrupt(Knock(number, act_number), force=act == 2)
            elif choose(3) == 2:
                parker.shut_down()
            pause()

    with hear():
        parker.thread = coro.spawn(parker.run, thread_name="parker")
        strangers = [coro.spawn(stranger, number, thread_name=f"stranger {number}") for number in range(2)]
        for one in strangers:
            one.join()
        while not parker.thread.dead:
            if parker.is_parked and not parker.pending:
                parker.schedule("the last")
            coro.yield_slice()
    assert not parker.queue or isinstance(parker.thread.error, coro.Shutdown)


def disturbed_sleepers() -> None:
    """A sleeper that is scheduled, cancelled before its start, or shut down leaves no timer and no thread."""
    ends: list[int] = []

    def sleep(number: int) -> None:
        try:
            coro.sleep_relative(1 + choose(2))
        finally:
            ends.append(number)

    sleepers = [coro.spawn(sleep, number, thread_name=f"sleeper {number}") for number in range(3)]
    unstarted = coro.new(wait_for_ever)
    coro.spawn(unstarted.join, thread_name="who waits for what never starts")
    for sleeper in (*sleepers, unstarted):
        pause()
        had_started = sleeper.started and not sleeper.dead
        act = choose(3)
        if act == 1 and not sleeper.scheduled and had_started:
            sleeper.schedule()
        elif act == 2 or sleeper is unstarted:
            sleeper.shutdown()
    for sleeper in (*sleepers, unstarted):
        sleeper.join()
    assert sorted(ends) == [number for number, sleeper in enumerate(sleepers) if sleeper.switches]


def yields_in_turn() -> None:
    """Threads that yield run in turn: nobody runs twice while another, runnable before, has not run."""
    turns: list[int] = []

    def work(number: int) -> None:
        for _ in range(3):
            turns.append(number)
            scheduler.yield_slice()

    workers = [coro.spawn(work, number, thread_name=f"worker {number}") for number in range(3)]
    for worker in workers:
        worker.join()
    alive = [worker for worker in workers if worker.error is None]
    if len(alive) == len(workers):
        for start in range(0, 9, 3):
            assert sorted(turns[start : start + 3]) == [0, 1, 2], turns
