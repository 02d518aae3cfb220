"""Blocks that interrupts do not enter, and the interrupts that belong inside.

While a thread is in a `with coro.shielded():` block, what would interrupt it waits for the block's end: its
`shield` is set, and the scheduler then only queues.  A frame that was entered inside the block (a timeout, a
group) is another matter: its own interrupt is not from outside, so it passes.  OwnInterrupt is that interrupt.

Invariant: `thread.shield` is the innermost shield that the thread is in and that is not lifted.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from coro.clock import FOREVER_TICKS, seconds_to_ticks
from coro.exceptions import Interrupted, Shutdown
from coro.scheduler import scheduler
from coro.state import YIELDED, ThreadState
from coro.timed import timers
from coro.timers import Timer

__all__ = ["DEFAULT_SHIELD_S", "OwnInterrupt", "Shield", "postpone_again", "shielded"]

DEFAULT_SHIELD_S = 10.0


class InnerInterrupted(Interrupted):
    """An interrupt of a frame that was entered inside a shield.

    shield: the innermost shield at that time.
    sender: the frame's end of it.
    """

    shield: Shield
    sender: OwnInterrupt


class Shield:
    """A block that interrupts do not enter; shielded() makes it.

    seconds: how long it lasts at most.
    lifted: True once it protects no more: its time was over, or its block has ended.
    outer: the shield around this one, None for the outermost.
    """

    __slots__ = ("_thread", "_timer", "lifted", "outer", "seconds")

    def __init__(self, seconds: float) -> None:
        seconds_to_ticks(seconds, what="shielded()'s limit")
        self.seconds = seconds
        self.lifted = False
        self.outer: Shield | None = None
        self._thread: ThreadState | None = None
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<shield of {self.seconds} s{', lifted' if self.lifted else ''}>"

    def __enter__(self) -> Self:
        """Begin the block.  Raises RuntimeError the second time; YieldFromMain outside a thread, and in
        a task of an asyncio loop, which shares its thread with the loop's other tasks.
        """
        me = scheduler.current_thread("shielded()")
        scheduler.refuse_in_task("shielded()", "asyncio.shield()")
        if self._thread is not None:
            raise RuntimeError(f"{self!r} was entered before: a shield can be used once")
        self._thread = me
        self.outer = me.shield
        ticks = seconds_to_ticks(self.seconds)
        if ticks == 0:
            self.lifted = True
            return self
        me.shield = self
        if ticks < FOREVER_TICKS:
            self._timer = timers.arm(scheduler.clock() + ticks, self._lift)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the block, and raise the first interrupt that waited, unless the block raises itself."""
        thread = self._thread
        assert thread is not None
        if self._timer is not None:
            timers.cancel(self._timer)
            self._timer = None
        self.lifted = True
        if thread.shield is self:
            thread.shield = _first_not_lifted(self.outer)
        if error is not None:
            return
        interrupt = _take(thread)
        if interrupt is not None:
            try:
                raise interrupt
            finally:
                # The traceback refers to this frame, which must not refer back.
                del interrupt

    def encloses(self, exception: BaseException) -> bool:
        """Whether an interrupt belongs to a frame that was entered inside this shield."""
        shield = exception.shield if isinstance(exception, InnerInterrupted) else None
        while shield is not None and shield is not self:
            shield = shield.outer
        return shield is self

    def _lift(self, _: object) -> None:
        """The time is over: protect no more, and deliver what waits if the thread can take it now."""
        self.lifted = True
        thread = self._thread
        if thread is None or thread.shield is not self:
            return
        thread.shield = _first_not_lifted(self.outer)
        if thread.scheduled and (thread.exception is not None or thread.resumption is not YIELDED):
            # It is about to run; at its next park it is asked again.
            return
        interrupt = _take(thread)
        if interrupt is not None:
            _interrupt_now(thread, interrupt)


def shielded(seconds: float = DEFAULT_SHIELD_S) -> Shield:
    """For `with`: have what would interrupt the current thread in the block wait for the block's end.

    seconds: the limit, 10 by default: after that the shield is lifted, and what waits is delivered; at once if
        the thread is parked.  Negative counts as 0, and 0 protects nothing; math.inf has no limit.

    It holds back timeouts, Shutdown and raise_exception(), but not a timeout or a group inside the block.
    At the end of the block the first interrupt that waited is raised, and the next ones at the next parks; if the
    block raises, that exception leaves, and the interrupts stay for the next parks.  In nested shields each
    has a limit of its own, and an interrupt waits until the last of them has ended or was lifted.
    The `with` statement raises TypeError or ValueError for a bad limit, YieldFromMain outside a thread.
    Does not yield.
    """
    return Shield(seconds)


class OwnInterrupt:
    """The interrupt that a frame of a thread has in store for itself: a timeout's, a group's.

    It travels as `Interrupted(token)`; the frame knows it by `exception`, and withdraws it when it is left.

    exception: what was sent; None before.
    """

    __slots__ = ("_retry", "_shield", "_thread", "exception")

    def __init__(self, thread: ThreadState) -> None:
        self._thread = thread
        self._shield: Shield | None = thread.shield
        self._retry: Timer | None = None
        self.exception: Interrupted | None = None

    def is_for_the_current_thread(self) -> bool:
        """Whether the caller runs in the thread itself."""
        return self._thread is scheduler.current

    def send(self, token: object) -> None:
        """Interrupt the thread; if it is about to receive data, at its next park.  Does not yield."""
        self._make(token)
        self._deliver(None)

    def send_at_next_park(self, token: object) -> None:
        """Interrupt the thread, which is the current one, when it next parks.  Does not yield."""
        self.raise_at_next_park(self._make(token))

    def raise_at_next_park(self, exception: BaseException) -> None:
        """Have what was sent raised, or raised again, when the thread, the current one, next parks."""
        if self._thread.shield is None:
            scheduler.postpone(self._thread, exception)
        else:
            # The queue stays closed behind the shield.  The next park goes to the loop, which finds the timer due.
            self._retry = timers.arm(scheduler.now, self._deliver)
            scheduler.poll_due = 0

    def withdraw(self) -> bool:
        """Take the interrupt back if it was not delivered yet; returns whether it was waiting.  Does not yield."""
        exception = self.exception
        if exception is None:
            return False
        retry = self._retry
        if retry is not None and retry[2] is not None:
            timers.cancel(retry)
            return True
        waiting = self._thread.interrupts
        if waiting is None or not any(interrupt is exception for interrupt in waiting):
            return False
        scheduler.withdraw(self._thread, exception)
        return True

    def _make(self, token: object) -> Interrupted:
        if self._shield is None:
            self.exception = Interrupted(token)
        else:
            self.exception = InnerInterrupted(token)
            self.exception.shield = self._shield
            self.exception.sender = self
        return self.exception

    def _deliver(self, switches: Any) -> None:
        """Send the interrupt, or have the loop call this again.

        switches: what the thread's count was at the first attempt: once it has run since, data wins no more.
        """
        thread, exception = self._thread, self.exception
        if exception is None:
            return
        is_current = thread is scheduler.current
        if thread.shield is None or not thread.shield.encloses(exception):
            if is_current:
                scheduler.postpone(thread, exception)
            else:
                scheduler.interrupt_politely(thread, exception)
            return
        about_to_receive = thread.scheduled and thread.resumption is not YIELDED
        if is_current or thread.exception is not None or (about_to_receive and switches in (None, thread.switches)):
            # The thread's own queue stays closed behind the shield.
            switches = thread.switches if switches is None else switches
            self._retry = timers.arm(scheduler.now + 1, self._deliver, switches)
        else:
            _interrupt_now(thread, exception)


def postpone_again(thread: ThreadState, exception: BaseException) -> None:
    """Have an interrupt that was raised in the thread, the current one, raised again at one of its next parks.

    In a shield this holds for the interrupts of frames that were entered inside; others wait for the shield's end.
    Does not yield.
    """
    if isinstance(exception, InnerInterrupted) and thread.shield is not None and thread.shield.encloses(exception):
        exception.sender.raise_at_next_park(exception)
    else:
        scheduler.postpone(thread, exception)


def _first_not_lifted(shield: Shield | None) -> Shield | None:
    while shield is not None and shield.lifted:
        shield = shield.outer
    return shield


def _take(thread: ThreadState) -> BaseException | None:
    """Take the first of the thread's waiting interrupts that its shield, if it has one, lets through."""
    shield: Shield | None = thread.shield
    for exception in thread.interrupts or ():
        if shield is None or shield.encloses(exception):
            scheduler.withdraw(thread, exception)
            if isinstance(exception, Shutdown):
                # As at a park: the way out is not disturbed by what was queued behind.
                thread.interrupts = None
            return exception
    return None


def _interrupt_now(thread: ThreadState, exception: BaseException) -> None:
    """Interrupt a thread that is parked, or has only yielded, whatever shield it is in."""
    shield, thread.shield = thread.shield, None
    scheduler.interrupt(thread, exception)
    thread.shield = shield
