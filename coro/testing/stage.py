"""One schedule of a scenario: the loop, with its clock, its poller and its run queue under somebody's control.

Where the runtime promises no order, and only there, the stage asks its Choices:
- which of the threads that are runnable at the same time runs first; one that yielded overtakes nobody;
- in which order, and when, events of descriptors and the results of OS threads arrive;
- whether so much time goes by while threads run that the next timer is due;
- whether a thread is interrupted, as often as the scenario allows.

Time stands still otherwise, and jumps when everybody waits.  Calls of in_os_thread() are made in the loop's own OS
thread, at a moment that is chosen.
"""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from greenlet import getcurrent

from coro.hooks import set_exception_notifier
from coro.loop import loop
from coro.os_thread.job import Job
from coro.os_thread.pool import OSThreadPool
from coro.run_queue import NEVER_NS
from coro.runtime import run
from coro.scheduler import scheduler
from coro.state import YIELDED, ThreadState
from coro.testing.chance_poller import ChancePoller, Event
from coro.testing.choices import Choices
from coro.testing.failures import BlocksForReal, ChanceInterrupt, InterruptLost, LeftBehind, NeverEnds
from coro.testing.places import name_of, standing, whereabouts
from coro.thread import coro
from coro.timed import timers

__all__ = ["Stage", "StageOptions", "choose"]

# The loop polls at least this often, in switches, however busy the threads are.
_SWITCHES_PER_POLL = 64
# How often in one schedule time may go by while threads could run.
_MAX_JUMPS = 8
_START_NS = 1_000_000_000
# No OS thread has this number.
_NO_OS_THREAD = -1
# When the scenario has ended or failed, what is left gets Shutdown and this much time per turn.
_DRAIN_STEP_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class StageOptions:
    """What a scenario allows.

    interrupts: how many ChanceInterrupts a schedule may have.
    victims: which threads they may hit; None for all but the one that runs the scenario itself.
    max_switches: more than this, and the schedule never ends.
    descriptors: whether real descriptors work.
    """

    interrupts: int = 0
    victims: Callable[[coro], bool] | None = None
    max_switches: int = 100_000
    descriptors: bool = True


def choose(options: int) -> int:
    """In a scenario that explore() runs: have the schedule choose a number from 0 to `options` - 1.

    So what the scenario does is explored, replayed and made simpler together with the order in which it happens; 0
    should be the simplest.  Does not yield.
    Raises RuntimeError outside a scenario, ValueError if there is nothing to choose from.
    """
    if _stage is None:
        raise RuntimeError("choose() needs a scenario that explore() runs")
    if options < 1:
        raise ValueError(f"choose() needs 1 option or more, got {options}")
    return _stage.choices.choose(options) if options > 1 else 0


# The stage whose scenario is running.
_stage: Stage | None = None


class StandingClock:
    """A clock that stands still until it is told to move."""

    __slots__ = ("now_ns",)

    def __init__(self) -> None:
        self.now_ns = _START_NS

    def __call__(self) -> int:
        return self.now_ns

    def advance_ns(self, nanoseconds: int) -> None:
        self.now_ns += nanoseconds


class _Failed(BaseException):
    """Ends the loop of a schedule that has failed; the failure itself stands in the stage."""


class Stage:
    """Runs a scenario once.

    failure: what went wrong, None if nothing did.
    switches: how many times a thread was resumed.
    trail: with `traced`, a line for each choice and each thread that was resumed.
    """

    def __init__(self, choices: Choices, options: StageOptions, *, traced: bool = False) -> None:
        self.choices = choices
        self.options = options
        self.failure: BaseException | None = None
        self.switches = 0
        self.trail: list[str] = []
        self.jobs: list[tuple[OSThreadPool, Job]] = []
        self._traced = traced
        self._clock = StandingClock()
        self._main: ThreadState | None = None
        self._interrupts_left = options.interrupts
        self._jumps_left = _MAX_JUMPS
        # The interrupts that nothing may hold back.
        self._sent: list[tuple[ThreadState, ChanceInterrupt]] = []
        self._batch = 0
        self._put_back: ThreadState | None = None
        self._is_over = False
        self._poller: ChancePoller | None = None

    def play(self, scenario: Callable[[], object]) -> None:
        """Run the scenario to its end; `failure` says how that was.  Raises KeyboardInterrupt."""
        with self._in_charge():
            try:
                run(self._perform, scenario)
                self._check_interrupts()
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._note(error)
            finally:
                self._is_over = True

    # -- taking charge of the runtime

    @contextmanager
    def _in_charge(self) -> Iterator[None]:
        global _stage
        former_clock, former_factory = scheduler.clock, loop.poller_factory
        former_limit = scheduler.latency_limit_ns
        former_notifier = set_exception_notifier(self._notified)
        former_submit, former_sleep = OSThreadPool._submit, time.sleep
        scheduler.clock = self._clock
        scheduler.now = self._clock.now_ns
        # Time that is made to go by is nobody's slice.
        scheduler.latency_limit_ns = NEVER_NS
        loop.poller_factory = self._make_poller
        scheduler.popleft = self.next_thread
        OSThreadPool._submit = self._submitted()  # type: ignore[method-assign,assignment]
        time.sleep = self._sleep_instead_of(former_sleep)  # type: ignore[assignment]
        former_stage, _stage = _stage, self
        try:
            yield
        finally:
            _stage = former_stage
            time.sleep = former_sleep
            OSThreadPool._submit = former_submit  # type: ignore[method-assign]
            scheduler.popleft = scheduler.ready.popleft
            loop.poller_factory = former_factory
            scheduler.latency_limit_ns = former_limit
            scheduler.clock = former_clock
            scheduler.now = former_clock()
            set_exception_notifier(former_notifier)

    def _make_poller(self) -> ChancePoller:
        self._poller = ChancePoller(self._clock, self, real=self.options.descriptors)
        return self._poller

    def _submitted(self) -> Callable[[OSThreadPool, Job], None]:
        def submit(pool: OSThreadPool, job: Job) -> None:
            # The stage makes the call: no OS thread is at work on it.
            job.count(at_work=False)
            self.jobs.append((pool, job))

        return submit

    def _sleep_instead_of(self, real_sleep: Callable[[float], None]) -> Callable[[float], None]:
        own = _thread.get_ident()

        def sleep(seconds: float) -> None:
            if _thread.get_ident() != own:
                real_sleep(seconds)
            elif getattr(getcurrent(), "thread", None) is not None and not self._is_over:
                raise BlocksForReal(
                    f"time.sleep({seconds}) blocks every thread: coro.sleep_relative() lets the others run"
                )

        return sleep

    # -- the scenario's thread

    def _perform(self, scenario: Callable[[], object]) -> None:
        try:
            scenario()
            self._await_the_others()
        finally:
            self._is_over = True

    def _await_the_others(self) -> None:
        me = scheduler.current_thread()
        while others := [thread for thread in scheduler.all_threads.values() if thread is not me]:
            waiting_for = next((thread for thread in others if thread.started or thread.scheduled), None)
            if waiting_for is None:
                raise LeftBehind(f"{others[0]!r} was never started")
            assert isinstance(waiting_for, coro)
            waiting_for.join()
        pending = timers.pending()
        if pending:
            raise LeftBehind(f"{len(pending)} timers are still armed: {[timer[2:] for timer in pending[:3]]}")

    def _notified(self, thread: ThreadState, error: BaseException) -> None:
        if not isinstance(error, ChanceInterrupt):
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """The schedule has failed: end it."""
        self._note(error)
        self._is_over = True
        if loop.running and scheduler.uncaught is None:
            scheduler.uncaught = _Failed()
        scheduler.poll_due = 0

    def _note(self, error: BaseException) -> None:
        if self.failure is None and not isinstance(error, _Failed):
            self.failure = error

    # -- what happens next

    @property
    def is_over(self) -> bool:
        """Whether nothing is explored any more: what is left is only to be ended."""
        return self._is_over

    def next_thread(self) -> ThreadState:
        """Take the thread that is to run next out of the run queue."""
        ready = scheduler.ready
        first = ready[0]
        if self._is_over:
            self._clock.advance_ns(_DRAIN_STEP_NS)
            return ready.popleft()
        if first.dead or (first is self._put_back and first.carrier is None):
            # Nobody's turn; or one that was chosen already, and had to wait for a carrier.
            self._put_back = None
            return ready.popleft()
        self.switches += 1
        if self.switches % _SWITCHES_PER_POLL == 0:
            scheduler.poll_due = 0
        if self.switches > self.options.max_switches:
            self.fail(
                NeverEnds(
                    f"the scenario has not ended after {self.options.max_switches} switches: {self.whereabouts()}"
                )
            )
            return ready.popleft()
        if self._main is None:
            assert isinstance(first, coro)
            self._main = first.set_name("the scenario")
        if not 0 < self._batch <= len(ready):
            self._batch = len(ready)
        thread = self._choose_thread()
        self._batch -= 1
        self._put_back = thread if thread.carrier is None else None
        if self._traced:
            self.trail.append(f"{name_of(thread)} {standing(thread)}")
        return thread

    def _choose_thread(self) -> ThreadState:
        ready = scheduler.ready
        while True:
            # One that yielded must not overtake those that were runnable then.
            eligible = [0]
            if self._batch > 1:
                eligible += [
                    place
                    for place in range(1, self._batch)
                    if ready[place].resumption is not YIELDED and not ready[place].dead
                ]
            threads = len(eligible)
            events = self._events()
            options = threads + len(events)
            choice = self.choices.choose(options) if options > 1 else 0
            if choice < threads:
                break
            self.happen(events[choice - threads])
        place = eligible[choice]
        if place == 0:
            return ready.popleft()
        thread = ready[place]
        del ready[place]
        return thread

    def _events(self) -> list[Event]:
        """What else could happen now, before a thread runs."""
        events: list[Event] = []
        if scheduler.poll_due != 0 and self._poller is not None and self._poller.may_have_news():
            events.append(("the next park polls", self._poll_soon, None))
        if self._jumps_left and timers.heap and timers.heap[0][0] > self._clock.now_ns:
            events.append(("time goes by to the next timer", self._jump, timers.heap[0][0]))
        events += self.job_events()
        events += self.interrupt_events()
        return events

    def happen(self, event: Event) -> None:
        """Let something happen that _events() offered."""
        name, action, argument = event
        if self._traced:
            self.trail.append(name)
        action(argument)

    def interrupt_events(self) -> list[Event]:
        """The threads that may be interrupted now."""
        if not self._interrupts_left:
            return []
        return [
            (f"{name_of(thread)} is interrupted", self._interrupt, thread)
            for thread in scheduler.all_threads.values()
            if self._is_victim(thread)
        ]

    def _is_victim(self, thread: ThreadState) -> bool:
        if not thread.started or thread.dead or thread.exception is not None:
            return False
        if self.options.victims is None:
            return thread is not self._main
        return isinstance(thread, coro) and self.options.victims(thread)

    def _poll_soon(self, _: object) -> None:
        scheduler.poll_due = 0

    def _jump(self, deadline: int) -> None:
        self._jumps_left -= 1
        self._clock.advance_ns(max(0, deadline - self._clock.now_ns))
        scheduler.poll_due = 0

    def _interrupt(self, thread: ThreadState) -> None:
        self._interrupts_left -= 1
        interrupt = ChanceInterrupt()
        if thread.shield is None:
            self._sent.append((thread, interrupt))
        scheduler.interrupt(thread, interrupt)

    def _check_interrupts(self) -> None:
        for thread, interrupt in self._sent:
            if interrupt.__traceback__ is None:
                raise InterruptLost(f"{thread!r} was interrupted, but nothing was raised in it")

    # -- calls in OS threads

    def job_events(self) -> list[Event]:
        """The next step of each call that an OS thread is to make."""
        return [
            (f"an OS thread {'ends' if entry[1].begun else 'begins'} {entry[1].name}", self._step_job, entry)
            for entry in self.jobs
        ]

    def _step_job(self, entry: tuple[OSThreadPool, Job]) -> None:
        pool, job = entry
        if job.begun:
            self.jobs.remove(entry)
            loop.post(pool._finish, job)
        elif job.abandoned:
            self.jobs.remove(entry)
        else:
            job.begun = True
            was_over, self._is_over = self._is_over, True
            ident, scheduler.os_thread_ident = scheduler.os_thread_ident, _NO_OS_THREAD
            try:
                # It may sleep: that is what OS threads are for.  What only the loop's may do is refused.
                job.run()
            finally:
                scheduler.os_thread_ident = ident
                self._is_over = was_over

    def whereabouts(self) -> str:
        """Where the threads stand, in words."""
        return whereabouts(scheduler.all_threads.values())
