"""hypothesis at the wheel: what threads do, in which order they run, who is interrupted when.

The loop runs in a greenlet of its own, and switches here whenever something is to be chosen.
"""

import gc
import sys
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import coro
from coro.scheduler import scheduler
from coro.testing.stage import Stage, StageOptions, choose
from tests.explorer.model import Model, end, run_step
from tests.explorer.scaling import scaled

__all__ = ["MAX_OPTIONS", "SETTINGS", "ModelMachine", "machine_for"]

WORKERS = 4
MAX_OPERATIONS = 8
MAX_OPTIONS = 8

SETTINGS = settings(
    max_examples=scaled(60),
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class _Driver:
    """The greenlet of the test, and whoever waits for its answer.

    is_asked_what: whether the question is what a thread is to do, and not who is to run or what else may happen.
    """

    def __init__(self) -> None:
        self._greenlet = getcurrent()
        self.asking: greenlet | None = None
        self.is_asked_what = False

    def ask(self, options: int, *, what: bool = False) -> int:
        """Called on the loop's side: hand control to the test; returns its answer."""
        self.asking = getcurrent()
        self.is_asked_what = what
        return int(self._greenlet.switch(options))


class _AskedChoices:
    """Choices that the driver makes."""

    def __init__(self, driver: _Driver) -> None:
        self.taken: list[int] = []
        self.widths: list[int] = []
        self._driver = driver

    def choose(self, options: int) -> int:
        # The model's own choices come by choose(), those of the stage do not.
        is_the_models = sys._getframe(1).f_code is choose.__code__
        choice = self._driver.ask(options, what=is_the_models) % options
        self.taken.append(choice)
        self.widths.append(options)
        return choice


class ModelMachine(RuleBasedStateMachine):
    """What all machines share; a subclass says what the threads are, and has the rules.

    model: made in the loop, which may have to choose something first; None until then.
    is_over: whether the threads are to come to their end.
    """

    def __init__(self, options: StageOptions) -> None:
        super().__init__()
        self.is_over = False
        self.model: Model | None = None
        self.driver = _Driver()
        self.stage = Stage(_AskedChoices(self.driver), options)
        # The collector runs finalisers when it likes, which no choice would determine.
        self._collects = gc.isenabled()
        gc.disable()
        self._loop = greenlet(lambda: self.stage.play(self.perform))
        self._loop.switch()

    def perform(self) -> None:
        """Run in the loop: make the model and its threads, ask the driver until it is over, and end them."""
        raise NotImplementedError

    def go_on_with(self, answer: int) -> None:
        """Let the loop go on to the next question.  Raises what has failed there."""
        if not self._loop.dead:
            assert self.driver.asking is not None
            self.driver.asking.switch(answer)
        if self.stage.failure is not None:
            raise self.stage.failure

    @invariant()
    def holds(self) -> None:
        if self.model is not None and self.stage.failure is None:
            self.model.check()

    def teardown(self) -> None:
        self.is_over = True
        failure: BaseException | None = None
        while not self._loop.dead:
            try:
                self.go_on_with(0)
            except BaseException as error:
                # To its end all the same: the clock, the poller and the notifier are the loop's until then.
                failure = error
        if self._collects:
            gc.enable()
        if failure is not None:
            raise failure


class _Worker:
    """A thread that does what it is told."""

    def __init__(self, model: Model, number: int) -> None:
        self.order: int | None = None
        self.is_idle = False
        self.is_over = False
        self._model = model
        self.thread = coro.spawn(self._work, thread_name=f"worker {number}")

    def _work(self) -> None:
        try:
            while not self.is_over:
                if self.order is None:
                    self._await_order()
                    continue
                operations = self._model.operations()
                operation, self.order = operations[self.order % len(operations)], None
                run_step(self._model, operation)
        finally:
            self._model.leave()

    def _await_order(self) -> None:
        self.is_idle = True
        try:
            coro._yield()
        except coro.Interrupted:
            return
        finally:
            self.is_idle = False

    def tell(self, order: int) -> None:
        if self.is_idle and self.order is None:
            self.order = order
            scheduler.wake(self.thread)

    def dismiss(self) -> None:
        self.is_over = True
        if self.is_idle:
            scheduler.wake(self.thread)


class PrimitiveMachine(ModelMachine):
    """Workers that use one primitive; a subclass has the model."""

    make_model: Callable[[], Model]

    def __init__(self) -> None:
        self.workers: list[_Worker] = []
        super().__init__(StageOptions(interrupts=3, victims=self._is_victim, descriptors=False))

    def _is_victim(self, thread: coro.coro) -> bool:
        return any(worker.thread is thread and not worker.is_idle for worker in self.workers)

    def perform(self) -> None:
        self.model = type(self).make_model()
        self.workers = [_Worker(self.model, number) for number in range(WORKERS)]
        while not self.is_over:
            coro.sleep_relative(3600)
            self.driver.ask(0)
        for worker in self.workers:
            worker.dismiss()
        end(self.model, [worker.thread for worker in self.workers])

    @rule(worker=st.integers(0, WORKERS - 1), order=st.integers(0, MAX_OPERATIONS - 1))
    def tell(self, worker: int, order: int) -> None:
        # A model that has something to choose is not made yet.
        if self.workers:
            self.workers[worker].tell(order)

    @rule(answer=st.integers(0, MAX_OPTIONS - 1))
    def go_on(self, answer: int) -> None:
        self.go_on_with(answer)


def machine_for(name: str, make_model: Callable[[], Model]) -> type[PrimitiveMachine]:
    """The state machine of one primitive."""
    machine: Any = type(f"{name} machine", (PrimitiveMachine,), {"make_model": staticmethod(make_model)})
    machine.TestCase.settings = SETTINGS
    made: type[PrimitiveMachine] = machine
    return made
