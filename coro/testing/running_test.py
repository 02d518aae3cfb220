"""One marked test on its way: its loop, its failures in other threads, and what it leaves behind."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from coro.descriptor_state import DescriptorState
from coro.loop import loop
from coro.testing.leftover import Baseline, describe_thread, open_descriptors, who_is
from coro.testing.marked import Options
from coro.testing.stepped import SteppedLoop

__all__ = ["RunningTest"]

T = TypeVar("T")

# How long what is ending may take to end, in real seconds; spent only when something is left that could end.
_GRACE_S = 0.5
_PAUSE_S = 0.005


class RunningTest:
    """A marked test, from its first function-scoped fixture to the last clean-up of one.

    has_clean_up: whether a fixture has something to do yet when the test has returned.
    """

    def __init__(self, item: pytest.Item, options: Options, has_ended: Callable[[], object]) -> None:
        self.item = item
        self.options = options
        self.loop = SteppedLoop(item.name, fake_clock=options.fake_clock, real_descriptors=options.real_descriptors)
        self.has_clean_up = False
        self._has_ended = has_ended
        self._is_open = True
        self._is_at_the_call = False
        self._has_failed = False
        self._baseline = Baseline()
        # The first finalizer runs last.  Those that are added from now on run in the thread.
        item.addfinalizer(lambda: self.end("teardown"))
        self._add_outside = item.addfinalizer
        item.addfinalizer = self._add_finalizer  # type: ignore[method-assign,assignment]

    def _add_finalizer(self, finalizer: Callable[[], object]) -> None:
        if self._is_at_the_call:
            # The test itself did it, by its `request`; and if it only asked for a fixture, waiting does not hurt.
            self.has_clean_up = True
        self._add_outside(lambda: self.call(finalizer, "teardown"))

    def call(self, function: Callable[[], T], phase: str) -> T:
        """Make a call in the thread of the test; return its value or raise its exception.

        phase: "setup", "call" or "teardown", for the report.
        What other threads died of meanwhile is raised, too.
        """
        __tracebackhide__ = True
        is_the_test = phase == "call"
        self._is_at_the_call = self._is_at_the_call or is_the_test
        try:
            value = self.loop.call(function, self.options.timeout)
        except BaseException:
            self._has_failed = True
            self._report(phase)
            raise
        finally:
            if is_the_test:
                self._is_at_the_call = False
        self._raise_uncaught()
        return value

    @contextmanager
    def making_something_wider(self) -> Iterator[None]:
        """What is opened in this block may stay."""
        before = open_descriptors()
        try:
            yield
        finally:
            self._baseline.descriptors |= open_descriptors() - before

    # -- failures of other threads

    def _raise_uncaught(self) -> None:
        __tracebackhide__ = True
        uncaught = self._take_uncaught()
        if not uncaught:
            return
        self._has_failed = True
        if len(uncaught) == 1:
            raise uncaught[0]
        raise BaseExceptionGroup(f"{len(uncaught)} threads of the test ended by exceptions", uncaught)

    def _take_uncaught(self) -> list[BaseException]:
        uncaught = self.loop.uncaught[:]
        self.loop.uncaught.clear()
        for thread, error in uncaught:
            error.add_note(f"It ended {who_is(thread)}.")
        return [error for _, error in uncaught]

    def _report(self, phase: str) -> None:
        """Tell, beside the failure itself, where the threads stood and what some of them died of."""
        if self.loop.places:
            self.item.add_report_section(phase, "threads of coro", self.loop.places)
            self.loop.places = ""
        uncaught = self._take_uncaught()
        if uncaught:
            text = "\n".join("".join(traceback.format_exception(error)) for error in uncaught)
            self.item.add_report_section(phase, "uncaught exceptions of threads", text)

    # -- the end

    def end(self, phase: str) -> None:
        """End the loop.  Fails the test for what is left over, unless it has failed already.

        Does nothing the second time.
        """
        __tracebackhide__ = True
        if not self._is_open:
            return
        self._is_open = False
        del self.item.addfinalizer
        looks = not self._has_failed and self.options.leftovers != "allow"
        left: list[str] = []
        try:
            if looks:
                left += self._end_threads()
                if not self.loop.others():
                    # What a thread holds that could not be ended is the thread's.
                    left += self._baseline.describe_timers()
                    left += self._descriptors_left()
            else:
                self.loop.shut_down_others()
        finally:
            self._has_ended()
            self.loop.close()
        if self._has_failed:
            self._report(phase)
            return
        self._raise_uncaught()
        if left:
            pytest.fail(f"the test leaves behind {_listed(left)}", pytrace=False)

    def _end_threads(self) -> list[str]:
        """Shut down all threads; returns a line for each that had to be."""
        stepped = self.loop
        if self.options.leftovers == "fail":
            self._let_end(lambda: not stepped.others(), self._a_thread_could_end)
            left = self._baseline.describe_threads(stepped.others())
            stepped.shut_down_others()
        else:
            stepped.shut_down_others()
            left = [f"{line}; Shutdown did not end it" for line in map(describe_thread, stepped.others())]
        stepped.end_thread()
        return left

    def _descriptors_left(self) -> list[str]:
        baseline = self._baseline
        if baseline.descriptors_left():
            # One that only a circle of references holds is about to be closed.
            gc.collect()
            self._let_end(lambda: not baseline.descriptors_left(), lambda: True)
        return baseline.describe_descriptors()

    def _let_end(self, has_ended: Callable[[], bool], could_end: Callable[[], bool]) -> None:
        """Turn the loop until all has ended, nothing could end by itself any more, or the grace time is over."""
        deadline = time.monotonic() + _GRACE_S
        while not has_ended() and time.monotonic() < deadline:
            if not self.loop.turn_idly():
                if not could_end():
                    return
                time.sleep(_PAUSE_S)

    def _a_thread_could_end(self) -> bool:
        """Whether something from outside could end a thread; one that sleeps is left over right away."""
        return loop.outside_calls > 0 or any(
            isinstance(thread.waiting_on, DescriptorState) for thread in self.loop.others()
        )


def _listed(lines: list[str]) -> str:
    """One on the line, more on a line each: reports show the first line of a failure in their summary."""
    return lines[0] if len(lines) == 1 else f"{len(lines)} things:" + "".join(f"\n- {line}" for line in lines)
