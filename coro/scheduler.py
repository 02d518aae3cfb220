"""How threads park, yield, start and end.

One FIFO queue, direct hand-off: a thread that parks switches straight to the next thread of the queue, and a
carrier whose thread ended takes the next new thread itself.  Control goes to the loop only when the queue is
empty, when the next thread has no carrier and none is parked in the pool, or when half a millisecond has
passed since the last poll.  So threads that keep scheduling each other never starve timers or descriptors,
and tiny queues do not pay a poll per turn.

park(), yield_slice() and carry() are the hot path: they repeat each other's lines where a call would cost 50 ns.

Knows nothing of descriptors, timers or printing.
"""

from __future__ import annotations

from types import FunctionType, TracebackType
from typing import Any, NoReturn

from greenlet import getcurrent

from coro.exceptions import Shutdown, YieldFromMain
from coro.run_queue import MAX_PARKED_CARRIERS, NO_KWARGS, RunQueue
from coro.state import YIELDED, Carrier, ThreadState, function_name

__all__ = ["MAX_PARKED_CARRIERS", "POLL_INTERVAL_NS", "Scheduler", "scheduler"]

# Timers and descriptors are looked at again after this long, however busy the threads are.
POLL_INTERVAL_NS = 500_000


class Scheduler(RunQueue):
    """Switching between the threads of the run queue.  There is one, `scheduler`; the loop runs it."""

    __slots__ = ()

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
            me = self.refuse(f"waiting ({kind})")
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
                self.long_slice(me, ran, now)
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
            me = self.refuse("yield_slice()")
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
                self.long_slice(me, ran, now)
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
        """Deliver an interrupt that was waiting for this park; refuse to park where nobody may."""
        if self.collecting:
            if self.collecting is not True:
                self.collecting(me)
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
                # The usual case without the call: 0.07 of a thread's 1.2 µs from spawn() to its end.
                function = me.function
                me._name = function.__qualname__ if type(function) is FunctionType else function_name(function)
                del function
            me.function = me.locals = None
            me.args = ()
            me.kwargs = NO_KWARGS
            carrier.gr_context = None
            del self.all_threads[me.id]
            me.interrupts = None
            me.dead = True
            me.carrier = None
            if me.joiners is not None:
                self.tell_joiners(me)
            now = self.clock()
            ran = now - self.now
            me.run_time_ns += ran
            me.switches += 1
            me.last_switch_ns = now
            if ran > me.slice_mark_ns:
                if ran < self.latency_limit_ns:
                    me.longest_slice_ns = me.slice_mark_ns = ran
                else:
                    self.long_slice(me, ran, now)
            self.now = now
            self.ended_count += 1
            self.ended_switches += me.switches
            self.ended_run_time_ns += me.run_time_ns
            if self.obituary is not None:
                self.obituary(me)
            while ready and now < self.poll_due:
                following = popleft()
                next_carrier = following.carrier
                if next_carrier is not None:
                    if len(parked) >= self.max_parked:
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
                if len(parked) >= self.max_parked:
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
            # Nobody will read where it hit, and the frames there refer back to the thread.
            error.__traceback__ = None
            return
        if self.note_interrupt(error) or me.observers:
            return
        self.uncaught_count += 1
        # The thread is not charged for the time that the hook takes.
        self.account(me)
        try:
            self.exception_hook(me, error)
        except BaseException as failure:
            if not self.note_interrupt(failure):
                self.hook_failed("exception notifier", failure)
        self.now = self.clock()

    def dismiss_carriers(self) -> None:
        """Let all parked carriers end.  Only the loop may call this."""
        while self.parked:
            # Resumed without a thread, a carrier returns.
            self.parked.pop().switch()


scheduler = Scheduler()
