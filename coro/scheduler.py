"""The run queue, and how threads park, yield, start and end.

One FIFO queue, direct hand-off: a thread that parks switches straight to the next thread of the queue, and a
carrier whose thread ended takes the next new thread itself.  Control goes to the loop only when the queue is
empty, when the next thread has no carrier and none is parked in the pool, or when half a millisecond has
passed since the last poll.  So threads that keep scheduling each other never starve timers or descriptors,
and tiny queues do not pay a poll per turn.

park(), yield_slice() and carry() are the hot path: they repeat each other's lines where a call would cost 50 ns.

Invariants: `current` is the thread that runs, None while the loop does; a thread stands in `ready` exactly if
its `scheduled` is set (a cancelled one is skipped); `now` is the clock at the last switch.
Knows nothing of descriptors, timers or printing.
"""

from __future__ import annotations

import _thread
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

from greenlet import getcurrent, greenlet

from coro.clock import Clock, monotonic_clock
from coro.exceptions import Shutdown, YieldFromMain
from coro.state import YIELDED, Carrier, ThreadState, function_name

__all__ = ["POLL_INTERVAL_NS", "Scheduler", "scheduler"]

# Timers and descriptors are looked at again after this long, however busy the threads are.
POLL_INTERVAL_NS = 500_000
# Parked carriers kept for new threads: each is a mapped stack chunk, of which one or two pages are touched.
MAX_PARKED_CARRIERS = 1000
# Shrapnel's unit of latency warnings: 0.2 s.
LATENCY_UNIT_NS = 200_000_000
NEVER_NS = 1 << 62
NO_KWARGS: dict[str, Any] = {}


class Scheduler:
    """The run queue of the process.  There is one, `scheduler`; the loop runs it."""

    __slots__ = (
        "all_threads",
        "clock",
        "collecting",
        "current",
        "ended_switches",
        "exception_hook",
        "hook_failed",
        "latency_limit_ns",
        "latency_reports",
        "loop_greenlet",
        "now",
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
        # Carriers without a thread, each waiting inside carry() for its next one.
        self.parked: list[Carrier] = []
        # The greenlet in which the loop runs; None when no loop runs.
        self.loop_greenlet: greenlet | None = None
        self.os_thread_ident = 0
        # Set by the collector's callback while it runs finalisers: nobody may park then.
        self.collecting = False
        self.latency_limit_ns = LATENCY_UNIT_NS
        # (thread, nanoseconds, clock at the end) of slices over the limit, for the loop to report.
        self.latency_reports: list[tuple[ThreadState, int, int]] = []
        # Called in a thread that ends by an exception; must not raise.
        self.exception_hook: Callable[[ThreadState, BaseException], object] = _no_hook
        # Called with (what, error) when a hook of the user's raised in the loop; must not raise.
        self.hook_failed: Callable[[str, BaseException], object] = _no_hook
        self.uncaught_count = 0
        # The switches of threads that have ended, for the total.
        self.ended_switches = 0
        # A KeyboardInterrupt that no thread caught: the loop raises it.
        self.uncaught: BaseException | None = None

    # -- the current thread

    def current_thread(self, what: str = "this call") -> ThreadState:
        """The thread that runs; raises YieldFromMain, naming `what`, where there is none.  Does not yield."""
        try:
            return getcurrent().thread  # type: ignore[attr-defined,no-any-return]
        except AttributeError:
            self.refuse(what)

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

    def refuse(self, what: str) -> NoReturn:
        """Say why the caller cannot block here, and what to do instead."""
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

    # -- leaving the processor

    def park(self, kind: str, target: Any = None) -> Any:
        """Park the current thread until somebody wakes it; returns the value it was woken with.

        kind, target: what it waits for, for whoever looks.
        Yields.  Raises whatever interrupted the thread; the caller then undoes its registration, and hands on
        what it may have been granted at the same moment.  Raises YieldFromMain outside a thread.
        """
        try:
            me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            self.refuse(f"waiting ({kind})")
        if me.interrupts is not None or self.collecting:
            self._before_park(me)
        me.waiting_for = kind
        me.waiting_on = target
        now = self.clock()
        ran = now - self.now
        me.run_time_ns += ran
        me.switches += 1
        me.last_switch_ns = now
        if ran > me.slice_mark_ns:
            if ran < self.latency_limit_ns:
                me.longest_slice_ns = me.slice_mark_ns = ran
            else:
                self._long_slice(me, ran, now)
        self.now = now
        if self.ready and now < self.poll_due:
            following = self.popleft()
            carrier = following.carrier or self._lend(following)
            if carrier is not None:
                self.current = following
                following.scheduled = False
                # A thread that waits for hours must not keep the one that ran after it.
                following = None  # type: ignore[assignment]
                carrier.switch()
            else:
                following = None  # type: ignore[assignment]
                self._to_loop()
        else:
            self._to_loop()
        me.waiting_on = None
        if me.exception is not None:
            self._deliver(me)
        value = me.resumption
        me.resumption = None
        return value

    def yield_slice(self) -> None:
        """Let every thread that is runnable now go first.

        Yields.  Raises what interrupted the thread; a thread that only yielded is interrupted at once.
        Raises YieldFromMain outside a thread.
        """
        try:
            me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            self.refuse("yield_slice()")
        if me.interrupts is not None or self.collecting:
            self._before_park(me)
        me.resumption = YIELDED
        me.scheduled = True
        self.ready.append(me)
        now = self.clock()
        ran = now - self.now
        me.run_time_ns += ran
        me.switches += 1
        me.last_switch_ns = now
        if ran > me.slice_mark_ns:
            if ran < self.latency_limit_ns:
                me.longest_slice_ns = me.slice_mark_ns = ran
            else:
                self._long_slice(me, ran, now)
        self.now = now
        if now < self.poll_due:
            following = self.popleft()
            carrier = following.carrier or self._lend(following)
            if carrier is not None:
                self.current = following
                following.scheduled = False
                # A thread that waits for hours must not keep the one that ran after it.
                following = None  # type: ignore[assignment]
                carrier.switch()
            else:
                following = None  # type: ignore[assignment]
                self._to_loop()
        else:
            self._to_loop()
        me.resumption = None
        if me.exception is not None:
            self._deliver(me)

    def _to_loop(self) -> None:
        """Give control to the loop; returns when the thread is resumed."""
        self.current = None
        self.loop_greenlet.switch()  # type: ignore[union-attr]

    def _lend(self, thread: ThreadState) -> Carrier | None:
        """Give a new thread a parked carrier.

        None if there is none, or if the thread was cancelled: it is the loop's then, first in the queue again.
        """
        if self.parked and not thread.dead:
            carrier = self.parked.pop()
            carrier.thread = thread
            thread.carrier = carrier
            thread.started = True
            carrier.gr_context = thread.context
            thread.context = None
            return carrier
        self.ready.appendleft(thread)
        return None

    def _before_park(self, me: ThreadState) -> None:
        """Deliver an interrupt that was waiting for this park; refuse to park inside the collector."""
        if self.collecting:
            raise YieldFromMain(
                f"{me!r} cannot block here: the garbage collector is running a finaliser; "
                "spawn() a thread for what must wait"
            )
        interrupts = me.interrupts
        if interrupts and me.shield is None:
            me.exception = interrupts.popleft()
            if not interrupts:
                me.interrupts = None
            self._deliver(me)

    def _deliver(self, me: ThreadState) -> NoReturn:
        """Raise the thread's pending exception in it."""
        exception = me.exception
        me.exception = None
        me.resumption = None
        if isinstance(exception, Shutdown):
            # The way out is not to be disturbed by what was queued before.
            me.interrupts = None
        try:
            raise exception  # type: ignore[misc]
        finally:
            # The traceback refers to this frame; without this the frame would refer back to the traceback.
            del exception

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

    # -- running threads

    def launch(self, thread: ThreadState) -> Carrier:
        """Give a new thread a carrier, a new one if need be.  Only the loop may call this.

        A greenlet inherits the recursion depth of whoever starts it, so carriers start from the loop, or a
        long chain of spawns would hit RecursionError.
        """
        if self.parked:
            carrier = self.parked.pop()
            carrier.gr_context = thread.context
        else:
            carrier = Carrier(self.carry, self.loop_greenlet)
            carrier.gr_context = thread.context
        carrier.thread = thread
        thread.carrier = carrier
        thread.started = True
        thread.context = None
        return carrier

    def carry(self) -> None:
        """What every carrier runs: take a thread, run it to its end, bury it, take the next.

        In one piece: as four functions, spawn + run + end took 1.3 times as long.
        """
        carrier: Carrier = getcurrent()  # type: ignore[assignment]
        ready = self.ready
        parked = self.parked
        popleft = self.popleft
        while True:
            me = carrier.thread
            try:
                if me.kwargs:
                    me.result_value = me.function(*me.args, **me.kwargs)  # type: ignore[misc]
                else:
                    me.result_value = me.function(*me.args)  # type: ignore[misc]
            except BaseException as error:
                self._failed(me, error)
            # First everything that the thread refers to is dropped, while it is still alive and current:
            # finalisers may run code, even code that blocks.
            if me._name is None:
                me._name = getattr(me.function, "__qualname__", None) or function_name(me.function)
            me.function = me.locals = None
            me.args = ()
            me.kwargs = NO_KWARGS
            carrier.gr_context = None
            del self.all_threads[me.id]
            me.interrupts = None
            me.dead = True
            me.carrier = None
            if me.joiners is not None:
                self._tell_joiners(me)
            now = self.clock()
            ran = now - self.now
            me.run_time_ns += ran
            me.switches += 1
            me.last_switch_ns = now
            if ran > me.slice_mark_ns:
                if ran < self.latency_limit_ns:
                    me.longest_slice_ns = me.slice_mark_ns = ran
                else:
                    self._long_slice(me, ran, now)
            self.now = now
            self.ended_switches += me.switches
            while ready and now < self.poll_due:
                following = popleft()
                next_carrier = following.carrier
                if next_carrier is not None:
                    if len(parked) >= MAX_PARKED_CARRIERS:
                        ready.appendleft(following)
                        self.current = None
                        carrier.thread = None  # type: ignore[assignment]
                        # A greenlet that ends hands control to its parent, which is the loop.
                        return
                    parked.append(carrier)
                    self.current = following
                    following.scheduled = False
                    me = following = None  # type: ignore[assignment]
                    carrier.thread = None  # type: ignore[assignment]
                    next_carrier.switch()
                    break
                if not following.dead:
                    # A new thread runs on this very carrier, without any switch.
                    carrier.thread = following
                    following.carrier = carrier
                    following.started = True
                    following.scheduled = False
                    carrier.gr_context = following.context
                    following.context = None
                    self.current = following
                    break
            else:
                self.current = None
                me = following = None  # type: ignore[assignment]
                carrier.thread = None  # type: ignore[assignment]
                if len(parked) >= MAX_PARKED_CARRIERS:
                    return
                parked.append(carrier)
                self.loop_greenlet.switch()  # type: ignore[union-attr]
            if carrier.thread is None:
                # dismiss_carriers() has no thread for it.
                return

    def _failed(self, me: ThreadState, error: BaseException) -> None:
        """A thread's function raised: keep the error, and tell the notifier unless somebody else will get it."""
        traceback: TracebackType | None = error.__traceback__
        # The frame of carry() tells nothing.
        error.__traceback__ = traceback.tb_next if traceback is not None else None
        me.error = error
        if isinstance(error, Shutdown):
            return
        if self.note_interrupt(error) or me.observers:
            return
        self.uncaught_count += 1
        # The thread is not charged for the time that the hook takes.
        self._account(me)
        try:
            self.exception_hook(me, error)
        except BaseException as failure:
            if not self.note_interrupt(failure):
                self.hook_failed("exception notifier", failure)
        self.now = self.clock()

    def note_interrupt(self, error: BaseException) -> bool:
        """Leave a KeyboardInterrupt that nobody caught to the loop; False for anything else."""
        if not isinstance(error, KeyboardInterrupt):
            return False
        self.uncaught = error
        self.poll_due = 0
        return True

    def _account(self, me: ThreadState) -> None:
        """Charge the current thread for what it ran since the last switch."""
        now = self.clock()
        ran = now - self.now
        me.run_time_ns += ran
        if ran > me.slice_mark_ns:
            if ran < self.latency_limit_ns:
                me.longest_slice_ns = me.slice_mark_ns = ran
            else:
                self._long_slice(me, ran, now)
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
            self._tell_joiners(thread)

    def _tell_joiners(self, thread: ThreadState) -> None:
        """Wake the threads that wait for a thread's end, and make the calls that were asked for."""
        joiners = thread.joiners
        thread.joiners = None
        for joiner in joiners:  # type: ignore[union-attr]
            if isinstance(joiner, ThreadState):
                self.wake(joiner)
            else:
                joiner(thread)

    def dismiss_carriers(self) -> None:
        """Let all parked carriers end.  Only the loop may call this."""
        while self.parked:
            # Resumed without a thread, a carrier returns.
            self.parked.pop().switch()

    def _long_slice(self, me: ThreadState, ran: int, now: int) -> None:
        """A slice over the latency limit: the loop will report it."""
        me.longest_slice_ns = max(ran, me.longest_slice_ns)
        me.slice_mark_ns = self.latency_limit_ns
        self.latency_reports.append((me, ran, now))
        self.poll_due = 0


def _no_hook(what: object, error: BaseException) -> None:
    """Before anything else is installed, nobody is told."""


scheduler = Scheduler()
