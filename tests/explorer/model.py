"""Programs of several threads on one primitive, and a model that says what they may observe.

A model's operations act on the real primitive and assert that what came out is allowed.  It learns of things when
an operation returns or raises, so it knows no more than a user of the primitive could.
"""

from collections.abc import Callable
from typing import Any, cast

import coro
from coro.loop import loop
from coro.scheduler import scheduler
from coro.testing import ChanceInterrupt, choose
from coro.timed import timers

__all__ = ["Model", "Operation", "disturb", "is_leaving", "program", "run_step", "waited"]

Operation = Callable[[], object]

# How long the scenario leaves its threads alone: they are at rest then, unless time was made to jump.
_LONG_S = 3600.0
# The time-outs of operations: both sides of a sleep of one second.
PAUSE_S = 1.0
TIMEOUTS_S = (1.0, 2.0, 0.5)


class Model:
    """The state of a primitive as its users know it."""

    def operations(self) -> list[Operation]:
        """What the current thread could do now, the simplest first."""
        raise NotImplementedError

    def may_wait(self, thread: coro.coro) -> bool:
        """Whether it is right that this thread waits when nobody can run."""
        raise NotImplementedError

    def leave(self) -> None:
        """The current thread gives back what it holds."""

    def check(self) -> None:
        """Assert what holds whenever somebody looks."""

    def at_end(self) -> None:
        """Assert what holds when all threads have left."""

    def pause(self) -> None:
        """Sleep a while, holding what one holds."""
        coro.sleep_relative(PAUSE_S)

    def let_others(self) -> None:
        coro.yield_slice()


def program(make_model: Callable[[], Model], threads: int = 3, length: int = 3) -> Callable[[], None]:
    """A scenario: two to `threads` threads do one to `length` operations each; the schedule says which."""

    def scenario() -> None:
        model = make_model()

        def work() -> None:
            try:
                for _ in range(1 + choose(length)):
                    operations = [*model.operations(), disturb]
                    run_step(model, operations[choose(len(operations))])
            finally:
                model.leave()

        workers = [coro.spawn(work, thread_name=f"worker {n}") for n in range(2 + choose(threads - 1))]
        end(model, workers)

    return scenario


def disturb() -> None:
    """Be a stranger: schedule the first thread that waits."""
    for thread in list(scheduler.all_threads.values()):
        if thread.started and not (thread.scheduled or thread.dead or thread is coro.current()):
            coro.schedule(cast(coro.coro, thread), "from a stranger")
            return


def run_step(model: Model, operation: Operation) -> None:
    """Do it; an interrupt or a time-out is one of the things that may happen."""
    try:
        operation()
    except (ChanceInterrupt, coro.TimeoutError):
        pass
    me = coro.current()
    assert not any(timer[3] is me for timer in timers.pending()), f"a timer of {me!r} was left behind"
    model.check()


def end(model: Model, workers: list[coro.coro]) -> None:
    """Wait until the workers have ended; those that wait when nobody can run must be right to, and are let go."""
    while alive := [worker for worker in workers if not worker.dead]:
        coro.sleep_relative(_LONG_S)
        if not is_quiet():
            continue
        for worker in alive:
            assert worker.dead or model.may_wait(worker), f"{worker!r} waits for {worker.waiting_on!r} for ever"
        for worker in alive:
            if not worker.dead:
                worker.raise_exception(ChanceInterrupt())
    model.at_end()


def is_quiet() -> bool:
    """Whether nothing can happen but by the caller."""
    return not scheduler.ready and not loop.posted and not len(timers)


def is_leaving(thread: Any) -> bool:
    """Whether a thread that seems to wait has been interrupted, and only has not run since."""
    return thread.dead or thread.exception is not None


def waited(since: int) -> bool:
    """Whether the current thread has given up the processor since it had so many switches."""
    return coro.current().switches != since
