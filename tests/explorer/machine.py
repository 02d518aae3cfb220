"""hypothesis at the wheel: what threads do, in which order they run, who is interrupted when.

The loop runs in a greenlet of its own, and switches here whenever something is to be chosen.
"""

from collections.abc import Callable

from greenlet import getcurrent, greenlet
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import coro
from coro.scheduler import scheduler
from coro.testing import ChanceInterrupt
from coro.testing.stage import Stage, StageOptions
from tests.explorer.model import Model, is_quiet, run_step

__all__ = ["SETTINGS", "machine_for"]

WORKERS = 4
MAX_OPERATIONS = 8
MAX_OPTIONS = 8

SETTINGS = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class _Driver:
    """The greenlet of the test, and whoever waits for its answer."""

    def __init__(self) -> None:
        self._greenlet = getcurrent()
        self.asking: greenlet | None = None

    def ask(self, options: int) -> int:
        """Called on the loop's side: hand control to the test; returns its answer."""
        self.asking = getcurrent()
        return int(self._greenlet.switch(options))


class _AskedChoices:
    """Choices that the driver makes."""

    def __init__(self, driver: _Driver) -> None:
        self.taken: list[int] = []
        self.widths: list[int] = []
        self._driver = driver

    def choose(self, options: int) -> int:
        choice = self._driver.ask(options) % options
        self.taken.append(choice)
        self.widths.append(options)
        return choice


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


class PrimitiveMachine(RuleBasedStateMachine):
    """The rules; a subclass has the model."""

    make_model: Callable[[], Model]

    def __init__(self) -> None:
        super().__init__()
        self.is_over = False
        self.workers: list[_Worker] = []
        self.model: Model | None = None
        self._driver = _Driver()
        options = StageOptions(interrupts=3, victims=self._is_victim, descriptors=False)
        self.stage = Stage(_AskedChoices(self._driver), options)
        self._loop = greenlet(lambda: self.stage.play(self._scenario))
        self._loop.switch()

    def _is_victim(self, thread: coro.coro) -> bool:
        return any(worker.thread is thread and not worker.is_idle for worker in self.workers)

    def _scenario(self) -> None:
        self.model = type(self).make_model()
        self.workers = [_Worker(self.model, number) for number in range(WORKERS)]
        while not self.is_over:
            coro.sleep_relative(3600)
            self._driver.ask(0)
        for worker in self.workers:
            worker.dismiss()
        self._end()

    def _end(self) -> None:
        assert self.model is not None
        while alive := [worker.thread for worker in self.workers if not worker.thread.dead]:
            coro.sleep_relative(3600)
            if not is_quiet():
                continue
            for thread in alive:
                assert thread.dead or self.model.may_wait(thread), f"{thread!r} waits for ever"
            for thread in alive:
                if not thread.dead:
                    thread.raise_exception(ChanceInterrupt())
        self.model.at_end()

    def _go_on(self, answer: int) -> None:
        if not self._loop.dead:
            assert self._driver.asking is not None
            self._driver.asking.switch(answer)
        if self.stage.failure is not None:
            raise self.stage.failure

    @rule(worker=st.integers(0, WORKERS - 1), order=st.integers(0, MAX_OPERATIONS - 1))
    def tell(self, worker: int, order: int) -> None:
        # A model that has something to choose is not made yet.
        if self.workers:
            self.workers[worker].tell(order)

    @rule(answer=st.integers(0, MAX_OPTIONS - 1))
    def go_on(self, answer: int) -> None:
        self._go_on(answer)

    @invariant()
    def holds(self) -> None:
        if self.model is not None:
            self.model.check()

    def teardown(self) -> None:
        self.is_over = True
        while not self._loop.dead:
            self._go_on(0)


def machine_for(name: str, make_model: Callable[[], Model]) -> type[PrimitiveMachine]:
    """The state machine of one primitive."""
    machine = type(f"{name} machine", (PrimitiveMachine,), {"make_model": staticmethod(make_model)})
    machine.TestCase.settings = SETTINGS
    return machine
