"""Who is runnable, and what each thread will be resumed with.

Data and the rules of interrupts, without any switching: that is the scheduler's, which builds on this.

Invariants: `current` is the thread that runs, None while the loop does; a thread stands in `ready` exactly if its
`scheduled` is set (a cancelled one is skipped); `now` is the clock at the last switch.
Knows nothing of carriers, descriptors, timers or printing.
"""

from __future__ import annotations

import _thread
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from greenlet import getcurrent, greenlet

from coro.clock import Clock, monotonic_clock
from coro.exceptions import Shutdown, YieldFromMain
from coro.state import YIELDED, Carrier, ThreadState, function_name

__all__ = ["LATENCY_UNIT_NS", "MAX_PARKED_CARRIERS", "NEVER_NS", "NO_KWARGS", "RunQueue"]

# Shrapnel's unit of latency warnings: 0.2 s.
LATENCY_UNIT_NS = 200_000_000
NEVER_NS = 1 << 62
# Parked carriers kept for new threads: each is a mapped stack chunk, of which one or two pages are touched.
MAX_PARKED_CARRIERS = 1000
NO_KWARGS: dict[str, Any] = {}


class RunQueue:
    """The threads of the process: all, the runnable ones in order, and the one that runs."""

    __slots__ = (
        "adopt",
        "adopted",
        "all_threads",
        "clock",
        "collecting",
        "current",
        "disown",
        "ended_count",
        "ended_run_time_ns",
        "ended_switches",
        "exception_hook",
        "hook_failed",
        "latency_limit_ns",
        "latency_reports",
        "loop_greenlet",
        "max_parked",
        "now",
        "obituary",
        "os_thread_ident",
        "parked",
        "poll_due",
        "popleft",
        "ready",
        "uncaught",
        "uncaught_count",
    )

    def __init__(self, clock: Clock = monotonic_clock) -> None:
        self.clock = clock
        self.all_threads: dict[int, ThreadState] = {}
        self.ready: deque[ThreadState] = deque()
        self.popleft = self.ready.popleft
        self.current: ThreadState | None = None
        self.now = clock()
        self.poll_due = 0
        # Asked, with what is to be done, for a caller who is no thread and would have to be one: the thread that it
        # is from now on, or None.
        self.adopt: Callable[[str], ThreadState | None] = _no_adoption
        # The thread that a main greenlet is while the loop runs in a greenlet of its own; and what gives that up,
        # called in the main greenlet: the loop is then that greenlet's to run.
        self.adopted: ThreadState | None = None
        self.disown: Callable[[], None] = _nobody_to_disown
        # Carriers without a thread, each waiting inside carry() for its next one.
        self.parked: list[Carrier] = []
        self.max_parked = MAX_PARKED_CARRIERS
        # The greenlet in which the loop runs; None when no loop runs.
        self.loop_greenlet: greenlet | None = None
        self.os_thread_ident = 0
        # Why nobody may park now: True while the collector runs finalisers, as its callback says; or a function
        # that raises, while a task of an asyncio loop takes a step.
        self.collecting: bool | Callable[[ThreadState], NoReturn] = False
        self.latency_limit_ns = LATENCY_UNIT_NS
        # (thread, nanoseconds, clock at the end) of slices over the limit, for the loop to report.
        self.latency_reports: list[tuple[ThreadState, int, int]] = []
        # Called in a thread that ends by an exception; must not raise.
        self.exception_hook: Callable[[ThreadState, BaseException], object] = _no_hook
        # Called with (what, error) when a hook of the user's raised in the loop; must not raise.
        self.hook_failed: Callable[[str, BaseException], object] = _no_hook
        # Called with each thread that has ended, its account closed; must neither raise nor park.
        self.obituary: Callable[[ThreadState], object] | None = None
        self.uncaught_count = 0
        # What threads that have ended leave to the totals.
        self.ended_count = 0
        self.ended_run_time_ns = 0
        self.ended_switches = 0
        # A KeyboardInterrupt that no thread caught: the loop raises it.
        self.uncaught: BaseException | None = None

    # -- the current thread

    def current_thread(self, what: str = "this call") -> ThreadState:
        """The thread that runs; raises YieldFromMain, naming `what`, where there is none.  Does not yield."""
        try:
            return getcurrent().thread  # type: ignore[attr-defined,no-any-return]
        except AttributeError:
            return self.refuse(what)

    def refuse_in_task(self, what: str, instead: str) -> None:
        """Raise YieldFromMain if a task of an asyncio loop is taking a step: the thread is not its own."""
        if callable(self.collecting):
            raise YieldFromMain(
                f"{what} would be for the whole thread, and a task of an asyncio loop shares that with the loop's "
                f"other tasks: use {instead}"
            )

    def in_loop_os_thread(self) -> bool:
        """Whether the caller runs in the OS thread of the loop, or no loop runs."""
        return self.loop_greenlet is None or _thread.get_ident() == self.os_thread_ident

    def refuse_foreign(self, what: str) -> None:
        """Raise YieldFromMain if the caller runs in another OS thread than the loop."""
        if not self.in_loop_os_thread():
            raise YieldFromMain(
                f"{what} was called from OS thread {_thread.get_ident()}, but the loop runs in OS thread "
                f"{self.os_thread_ident}; from there use schedule_from_os_thread(), call_from_os_thread() or "
                "set_exit()"
            )

    def refuse(self, what: str) -> ThreadState:
        """Say why the caller, who is no thread, cannot block here, and what to do instead.

        Returns the thread that the caller has become if somebody adopts it.  Raises YieldFromMain.
        """
        thread = self.adopt(what)
        if thread is not None:
            return thread
        self.refuse_foreign(what)
        if self.loop_greenlet is None:
            raise YieldFromMain(
                f"{what} needs a running loop: spawn() a thread that makes the call and start event_loop(), "
                "or use coro.run(function)"
            )
        if getcurrent() is self.loop_greenlet:
            raise YieldFromMain(f"{what} would block the loop itself (a hook or handler): spawn() a thread for it")
        raise YieldFromMain(
            f"{what} was called on a greenlet of your own inside {self.current!r}; only the thread itself can block"
        )

    # -- making threads runnable

    def wake(self, thread: ThreadState, value: Any = None) -> None:
        """Make a parked thread runnable; it resumes with `value`.

        Only for a thread that is parked, and only from the loop's OS thread; does nothing to one that is
        scheduled already, so a wait that is interrupted and granted in one turn stays interrupted.
        Does not yield.
        """
        if not thread.scheduled:
            thread.scheduled = True
            thread.resumption = value
            self.ready.append(thread)

    def interrupt(self, thread: ThreadState, exception: BaseException) -> None:
        """Resume a thread with an exception, replacing a pending value; one that is pending already goes first.

        For a started thread that is alive and not the current one.  Does not yield.
        """
        if thread.exception is not None or thread.shield is not None:
            if isinstance(thread.exception, Shutdown):
                return
            self.postpone(thread, exception)
            return
        thread.exception = exception
        if not thread.scheduled:
            thread.scheduled = True
            self.ready.append(thread)

    def interrupt_politely(self, thread: ThreadState, exception: BaseException) -> None:
        """Interrupt a thread unless it is about to receive data: then it is interrupted at its next park.

        As interrupt() in all else.  This is how timeouts are delivered.
        """
        if thread.scheduled and thread.exception is None and thread.resumption is not YIELDED:
            self.postpone(thread, exception)
        else:
            self.interrupt(thread, exception)

    def postpone(self, thread: ThreadState, exception: BaseException) -> None:
        """Have an exception raised at one of the thread's next parks, behind those that wait already."""
        if thread.interrupts is None:
            thread.interrupts = deque()
        thread.interrupts.append(exception)

    def withdraw(self, thread: ThreadState, exception: BaseException) -> None:
        """Take back an exception that was not delivered yet; one that was, or never was there, is ignored."""
        interrupts = thread.interrupts
        if interrupts is not None:
            kept = [waiting for waiting in interrupts if waiting is not exception]
            thread.interrupts = deque(kept) if kept else None

    # -- ends and accounts

    def note_interrupt(self, error: BaseException) -> bool:
        """Leave a KeyboardInterrupt that nobody caught to the loop; False for anything else."""
        if not isinstance(error, KeyboardInterrupt):
            return False
        self.uncaught = error
        self.poll_due = 0
        return True

    def account(self, me: ThreadState) -> None:
        """Charge the current thread for what it ran since the last switch."""
        now = self.clock()
        ran = now - self.now
        me.run_time_ns += ran
        if ran > me.slice_mark_ns:
            if ran < self.latency_limit_ns:
                me.longest_slice_ns = me.slice_mark_ns = ran
            else:
                self.long_slice(me, ran, now)
        self.now = now

    def bury(self, thread: ThreadState) -> None:
        """Mark a thread dead and tell those that wait for its end; a not started one is cancelled by this."""
        self.all_threads.pop(thread.id, None)
        thread.interrupts = None
        thread.exception = None
        thread.shield = None
        thread.dead = True
        thread.scheduled = False
        thread.carrier = None
        if not thread.started:
            if thread._name is None:
                thread._name = function_name(thread.function)
            thread.function = None
            thread.args = ()
            thread.kwargs = NO_KWARGS
            thread.context = None
        if thread.joiners is not None:
            self.tell_joiners(thread)
        if self.obituary is not None:
            self.obituary(thread)

    def tell_joiners(self, thread: ThreadState) -> None:
        """Wake the threads that wait for a thread's end, and make the calls that were asked for."""
        joiners = thread.joiners
        thread.joiners = None
        for joiner in joiners:  # type: ignore[union-attr]
            if isinstance(joiner, ThreadState):
                self.wake(joiner)
            else:
                joiner(thread)

    def long_slice(self, me: ThreadState, ran: int, now: int) -> None:
        """A slice over the latency limit: the loop will report it."""
        me.longest_slice_ns = max(ran, me.longest_slice_ns)
        me.slice_mark_ns = self.latency_limit_ns
        self.latency_reports.append((me, ran, now))
        self.poll_due = 0


def _no_adoption(what: str) -> None:
    """Nobody adopts."""


def _nobody_to_disown() -> None:
    """Nobody was adopted."""


def _no_hook(what: object, error: BaseException) -> None:
    """Before anything else is installed, nobody is told."""
