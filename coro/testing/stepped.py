"""A loop that turns in steps: one thread makes the calls that it is given, and the loop turns while one is made.

So a test runner stays what it is, plain code in the main greenlet, and yet a test and its fixtures run in one
thread of one loop.  Between the steps nothing moves: neither the other threads nor a fake clock.

Whatever goes wrong in the loop itself (a deadlock, a timeout, Ctrl-C, a signal handler of the test runner's that
raises) is raised in the thread, at the place where it waits: there it means something to whoever reads the report.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, TypeVar

import pytest

from coro import collector, forking, hooks, leftovers, signals
from coro.clock import FOREVER_TICKS, ticks_per_sec
from coro.exceptions import Shutdown
from coro.loop import loop
from coro.scheduler import scheduler
from coro.shield import DEFAULT_SHIELD_S
from coro.state import ThreadState
from coro.testing.clock import FakeClock
from coro.testing.leftover import describe_thread, stack_text, state_text
from coro.testing.poller import NothingWillHappen
from coro.testing.running import fake_time
from coro.thread import coro
from coro.timed import timers
from coro.timers import Timer

__all__ = ["SteppedLoop"]

T = TypeVar("T")

# A step that does not end when it is interrupted is given up; a shield may well hold the interrupt off for a while.
_GIVE_UP_S = DEFAULT_SHIELD_S + 1
# How a test runner says how a test is to end.  From whatever thread it comes, it ends the step at once.
_OUTCOMES = (pytest.fail.Exception, pytest.skip.Exception, pytest.exit.Exception)
_MEANT_FOR_THE_THREAD = (NothingWillHappen, KeyboardInterrupt, *_OUTCOMES)
_PACKAGE = __name__.partition(".")[0] + "."


class _Step:
    """One call for the thread to make.

    interrupt: what the step was interrupted with, because something went wrong outside the thread.
    place_is_last: whether the report is to end where the thread waited, not inside the runtime.
    """

    __slots__ = ("error", "function", "give_up_timer", "given_up", "interrupt", "is_done", "place_is_last", "value")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.is_done = self.given_up = self.place_is_last = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.interrupt: BaseException | None = None
        self.give_up_timer: Timer | None = None


class SteppedLoop:
    """A loop with one thread that makes calls, `thread`.

    clock: the fake clock; None if the clock is the real one.
    uncaught: (thread, error) of the other threads that ended by an exception, in order.
    places: where all threads stood when a step was interrupted, for people; "" if none was.
    """

    def __init__(self, name: str, *, fake_clock: bool = False, real_descriptors: bool = True) -> None:
        self.clock: FakeClock | None = None
        self.uncaught: list[tuple[ThreadState, BaseException]] = []
        self.places = ""
        self.thread = coro(self._serve, name=name)
        self._step: _Step | None = None
        self._is_ending = False
        with ExitStack() as opening:
            opening.callback(self._bury)
            if fake_clock:
                self.clock = opening.enter_context(fake_time(real_descriptors=real_descriptors))
            self._open_loop(opening)
            self._open = opening.pop_all()

    # -- the loop's beginning and end

    def _open_loop(self, opening: ExitStack) -> None:
        """As coro.run() does it; what is opened is given back by `opening`."""
        if loop.running:
            raise RuntimeError("a test cannot have a loop of its own: a loop is running in this process already")
        forking.register()
        loop.max_wait_ns = FOREVER_TICKS
        # What an earlier test asked for outside any loop is not meant for this one.
        loop.exit_requested = False
        opening.callback(hooks.set_exception_notifier, hooks.set_exception_notifier(self._note_uncaught))
        loop.open()
        opening.callback(self._close_loop)
        collector.install()
        hooks.install()
        self.thread.start()
        loop.turn(scheduler.clock())

    @staticmethod
    def _close_loop() -> None:
        try:
            leftovers.end_threads()
            loop.report_latency()
        finally:
            collector.uninstall()
            loop.close()

    def _bury(self) -> None:
        if not self.thread.dead:
            # The loop could not even start.
            scheduler.bury(self.thread)

    def end_thread(self) -> None:
        """Let the thread end; no step can be made any more."""
        self._is_ending = True
        if self.is_busy:
            self._shut_down(lambda: [] if self.thread.dead else [self.thread])
            return
        scheduler.wake(self.thread)
        while not self.thread.dead:
            self.turn_idly()

    def close(self) -> None:
        """End the loop; threads that have not ended by now are abandoned."""
        try:
            self.end_thread()
        finally:
            # They had their grace time.
            leftovers.hurry()
            self._open.close()
            interrupt, scheduler.uncaught = scheduler.uncaught, None
        if interrupt is not None:
            raise interrupt

    # -- between the steps

    def turn_idly(self) -> bool:
        """Let run what is runnable, without letting time go by; returns whether more is runnable."""
        loop.turn(scheduler.clock())
        return bool(scheduler.ready or loop.posted)

    def others(self) -> list[ThreadState]:
        """The threads that are alive but for the one that makes the calls."""
        return [thread for thread in scheduler.all_threads.values() if thread is not self.thread]

    def shut_down_others(self) -> None:
        """Give the other threads Shutdown and the usual grace time of the loop's clock to end in."""
        self._shut_down(self.others)

    @staticmethod
    def _shut_down(remaining: Callable[[], list[ThreadState]]) -> None:
        deadline = scheduler.clock() + int(leftovers.DEFAULT_GRACE_S * ticks_per_sec)
        told: set[int] = set()
        while (threads := remaining()) and scheduler.clock() < deadline:
            for thread in threads:
                if not thread.started:
                    thread.error = Shutdown()
                    scheduler.bury(thread)
                elif thread.id not in told:
                    told.add(thread.id)
                    scheduler.interrupt(thread, Shutdown())
            loop.turn(deadline)

    # -- steps

    @property
    def is_busy(self) -> bool:
        """Whether the thread is at a step, possibly one that was given up."""
        return self._step is not None and not self._step.is_done

    def call(self, function: Callable[[], T], timeout: float | None = None) -> T:
        """Have the thread make this call; return its value or raise its exception.

        timeout: seconds by the loop's clock, None for no limit.
        In a thread of the loop the call is made right there, without the timeout.  A thread that is not ready for
        another step, because it hangs in one that was given up, leaves the call to the caller, outside any thread.
        """
        __tracebackhide__ = True
        if scheduler.current is not None or not scheduler.in_loop_os_thread() or self.is_busy or self._is_ending:
            return function()
        step = self._step = _Step(function)
        self._make(step, timeout)
        error = step.error
        if error is None:
            return step.value  # type: ignore[no-any-return]
        try:
            if error is step.interrupt and step.place_is_last:
                error.__traceback__ = _without_runtime_at_the_bottom(error.__traceback__)
            raise error
        finally:
            # The traceback refers to this frame; this breaks the circle.
            del error, step

    def _make(self, step: _Step, timeout: float | None) -> None:
        """Turn the loop until the step is done, or given up."""
        timer = None
        if timeout is not None:
            deadline = scheduler.clock() + int(timeout * ticks_per_sec)
            timer = timers.arm(deadline, self._expire, timeout)
        # The time between the steps is the test runner's: it is no lag of the loop's.
        loop.last_poll_ns = scheduler.clock()
        scheduler.wake(self.thread)
        try:
            with signals.installed(None):
                while not step.is_done and not step.given_up:
                    self._turn(step)
        finally:
            for armed in (timer, step.give_up_timer):
                if armed is not None:
                    timers.cancel(armed)
        if not step.is_done:
            step.error = step.interrupt
        if loop.exit_requested:
            # It came in the step's last slice.
            exit_request = self._take_exit()
            step.error = step.error or exit_request

    def _turn(self, step: _Step) -> None:
        try:
            loop.turn()
        except _MEANT_FOR_THE_THREAD as error:
            self._interrupt(error.with_traceback(None))
        except BaseException as error:
            self._interrupt(error)
        if scheduler.uncaught is not None:
            interrupt, scheduler.uncaught = scheduler.uncaught, None
            self._interrupt(interrupt.with_traceback(None))
        if loop.exit_requested and not step.is_done:
            self._interrupt(self._take_exit())

    @staticmethod
    def _take_exit() -> SystemExit:
        loop.exit_requested = False
        code, loop.exit_code = loop.exit_code, 0
        return SystemExit(code)

    def _interrupt(self, error: BaseException) -> None:
        """Raise an error in the thread, at its place; the step is given up if that does not end it."""
        step = self._step
        if step is None or step.is_done:
            raise error
        if step.interrupt is None:
            self.places = self._describe_places()
            deadline = scheduler.clock() + int(_GIVE_UP_S * ticks_per_sec)
            step.give_up_timer = timers.arm(deadline, self._give_up, step)
        elif isinstance(error, KeyboardInterrupt):
            # The second one does not wait any longer.
            step.given_up = True
        step.interrupt = error
        step.place_is_last = error.__traceback__ is None
        if self.thread.dead or self.thread.id not in scheduler.all_threads:
            step.given_up = True
        else:
            scheduler.interrupt(self.thread, error)

    @staticmethod
    def _give_up(step: _Step) -> None:
        if not step.is_done:
            step.given_up = True

    def _expire(self, seconds: float) -> None:
        by = "fake" if self.clock is not None else "real"
        self._interrupt(pytest.fail.Exception(f"the test's timeout of {seconds} s by the {by} clock has expired"))

    def _note_uncaught(self, thread: ThreadState, error: BaseException) -> None:
        """The exception notifier: failures are the test's."""
        if isinstance(error, _OUTCOMES) and self.is_busy:
            self._interrupt(error)
        else:
            self.uncaught.append((thread, error))

    def _describe_places(self) -> str:
        mine = f"thread #{self.thread.id}, the test's own, {state_text(self.thread)}\n{stack_text(self.thread)}"
        return "\n".join([mine, *[f"{describe_thread(other)}\n{stack_text(other)}" for other in self.others()]])

    # -- the thread

    def _serve(self) -> None:
        """What the thread runs: it makes the calls, one after the other."""
        me = scheduler.current_thread()
        while (step := self._await_step(me)) is not None:
            try:
                step.value = step.function()
            except BaseException as error:
                # This frame tells nothing.
                traceback = error.__traceback__
                step.error = error.with_traceback(None if traceback is None else traceback.tb_next)
            step.is_done = True
            scheduler.poll_due = 0
            del step

    def _await_step(self, me: ThreadState) -> _Step | None:
        kept: list[BaseException] = []
        while not self.is_busy and not self._is_ending:
            try:
                scheduler.park("the next step of the test")
            except BaseException as interrupt:
                # Meant for the code of the test, which gets it when it blocks the next time.
                kept.append(interrupt)
        for kept_one in kept:
            scheduler.postpone(me, kept_one)
        return None if self._is_ending else self._step


def _without_runtime_at_the_bottom(traceback: TracebackType | None) -> TracebackType | None:
    """Cut off the calls of the runtime in which a thread waited: the bottom line is then the caller's own."""
    last, entry = None, traceback
    while entry is not None:
        if not str(entry.tb_frame.f_globals.get("__name__", "")).startswith(_PACKAGE):
            last = entry
        entry = entry.tb_next
    if last is not None:
        last.tb_next = None
    return traceback
