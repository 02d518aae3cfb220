"""Timeouts: a function, or a block, that is interrupted if it takes too long.

A timeout travels through the thread as `Interrupted(<its own token>)`, and only the frame that owns it turns
that into coro.TimeoutError.  So an inner `except TimeoutError` never catches an outer timeout, however they nest.

Where no loop runs, with_timeout() works by SIGALRM, see `Alarm`.

Invariant: a frame that has been left has no timer and no interrupt on its way.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from greenlet import getcurrent

from coro.clock import FOREVER_TICKS, seconds_to_ticks
from coro.exceptions import Interrupted, TimeoutError, YieldFromMain
from coro.loop import loop
from coro.scheduler import scheduler
from coro.shield import OwnInterrupt
from coro.state import ThreadState
from coro.timed import timeout_error, timers
from coro.timers import Timer

__all__ = ["Alarm", "TimeoutScope", "deadline", "timeout", "with_timeout"]

P = ParamSpec("P")
T = TypeVar("T")

# setitimer(2) takes 0 for "off".
_SHORTEST_ALARM_S = 1e-6

# Looked up once, for the hot path.  The heap stays the same list: Timers changes it in place.
_arm = timers.arm
_heap = timers.heap


class _Token:
    """What the interrupt of a with_timeout() carries."""

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __repr__(self) -> str:
        return f"<timeout of {self._seconds} s>"


def with_timeout(seconds: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function(*args, **kwargs)`, and interrupt it if it takes longer than `seconds`.

    seconds: negative counts as 0; 0 lets the function run until it first blocks; math.inf means no timeout.
    Returns what the function returns.  Yields as it does.
    Raises coro.TimeoutError if the time was over and the function let the interrupt out; TypeError, ValueError.
    If data comes at the same moment as the timeout, the data wins, once.  Other interrupts pass through.

    Outside the loop it uses SIGALRM: see `Alarm`.  Raises YieldFromMain there in any OS thread but the main one.
    """
    try:
        me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        # By a float, so that a str or a list is an error here and not a very long one.
        ticks = int(seconds * 1e9)
    except (AttributeError, TypeError, ValueError, OverflowError):
        ticks = 0
    if ticks <= 0 or me.shield is not None:
        return _with_timeout_slowly(seconds, function, args, kwargs)
    # The hot path: armed and cancelled many times for each that fires.  Taking the timer off the end of the heap
    # here, instead of in Timers.cancel(), brought it from 525 to 425 ns.  _fire() adds the interrupt to `owner`.
    owner: list[Any] = [me, seconds]
    timer = _arm(scheduler.clock() + ticks, _fire, owner)
    try:
        return function(*args, **kwargs)
    except Interrupted as interrupt:
        if len(owner) == 2 or interrupt is not owner[2]:
            raise
        raise _timeout_error(seconds) from interrupt
    except TypeError:
        _check_callable(function)
        raise
    finally:
        if _heap and _heap[-1] is timer:
            del _heap[-1]
        elif timer[2] is not None:
            timers.cancel(timer)
        elif len(owner) > 2:
            scheduler.withdraw(me, owner.pop())


def _fire(owner: list[Any]) -> None:
    thread, seconds = owner
    interrupt = Interrupted(_Token(seconds))
    owner.append(interrupt)
    scheduler.interrupt_politely(thread, interrupt)


def _with_timeout_slowly(
    seconds: float, function: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> T:
    """What is seldom: no loop, 0 seconds, for ever, inside a shield, bad arguments."""
    seconds_to_ticks(seconds, what="timeout")
    _check_callable(function)
    if getattr(getcurrent(), "thread", None) is not None:
        with TimeoutScope(seconds):
            return function(*args, **kwargs)
    if scheduler.loop_greenlet is not None:
        scheduler.refuse("with_timeout()")
    if threading.current_thread() is not threading.main_thread():
        raise YieldFromMain(
            "outside the loop with_timeout() uses SIGALRM, which works in the main OS thread only, not in "
            f"{threading.current_thread().name!r}: call it from a thread of the loop"
        )
    return Alarm(seconds).call(function, args, kwargs)


def _check_callable(function: object) -> None:
    if not callable(function):
        raise TypeError(f"with_timeout() needs a function to call, got {function!r}") from None


def _timeout_error(seconds: float | None) -> TimeoutError:
    return TimeoutError("the deadline has passed") if seconds is None else timeout_error(seconds)


class TimeoutScope:
    """A block with a time limit, for `with`; timeout() and deadline() make it.

    expired: whether the time was over before the block was left.  The block may have finished all the same, if
        it did not block again.
    when: the deadline in ticks; None for never, and before a timeout() block begins.
    """

    __slots__ = ("_interrupt", "_is_open", "_seconds", "_ticks", "_timer", "expired", "when")

    def __init__(self, seconds: float | None = None, when: int | None = None) -> None:
        # From now on; None if there is only a deadline, or nothing.
        self._ticks = None if seconds is None else seconds_to_ticks(seconds, what="timeout")
        self._seconds = seconds
        self._interrupt: OwnInterrupt | None = None
        self._timer: Timer | None = None
        self._is_open = False
        self.when = when
        self.expired = False

    def __repr__(self) -> str:
        if self._seconds is not None:
            what = f"timeout of {self._seconds} s"
        else:
            what = "timeout that never expires" if self.when is None else f"deadline at {self.when} ticks"
        return f"<{what}{', expired' if self.expired else ''}>"

    def __enter__(self) -> Self:
        """Begin the block.  Raises RuntimeError the second time; YieldFromMain outside a thread, and in
        a task of an asyncio loop, which shares its thread with the loop's other tasks.
        """
        me = scheduler.current_thread("a block with a timeout")
        scheduler.refuse_in_task("a block with a timeout", "asyncio.timeout()")
        if self._interrupt is not None:
            raise RuntimeError(f"{self!r} was entered before: it can be used once")
        self._interrupt = interrupt = OwnInterrupt(me)
        self._is_open = True
        self._arm(interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the block.  Raises coro.TimeoutError in place of this block's own interrupt."""
        self._is_open = False
        if not self.expired:
            if self._timer is not None:
                timers.cancel(self._timer)
            return
        interrupt = self._interrupt
        assert interrupt is not None
        interrupt.withdraw()
        own, interrupt.exception = interrupt.exception, None
        if error is not None and error is own:
            del own
            raise _timeout_error(self._seconds) from error

    def reschedule(self, seconds: float | None) -> None:
        """Give the block `seconds` from now on, in place of what it had left.

        seconds: as for timeout().  An interrupt that was not delivered yet is taken back.
        Raises RuntimeError outside the block, and once the block has been interrupted.  Does not yield.
        """
        ticks = None if seconds is None else seconds_to_ticks(seconds, what="timeout")
        interrupt = self._interrupt
        if interrupt is None or not self._is_open:
            raise RuntimeError(f"{self!r} can be rescheduled inside its block only")
        if self.expired and not interrupt.withdraw():
            raise RuntimeError(f"{self!r} cannot be rescheduled: it has interrupted its block already")
        if self._timer is not None:
            timers.cancel(self._timer)
            self._timer = None
        self._seconds = seconds
        self._ticks = ticks
        self.when = None
        self.expired = False
        self._arm(interrupt)

    def _arm(self, interrupt: OwnInterrupt) -> None:
        now = scheduler.clock()
        ticks = self._ticks
        if ticks is not None:
            self.when = now + ticks if ticks < FOREVER_TICKS else None
        when = self.when
        if when is None:
            return
        if when > now:
            self._timer = timers.arm(when, self._expire)
        elif interrupt.is_for_the_current_thread():
            self.expired = True
            interrupt.send_at_next_park(self)
        else:
            self._expire(None)

    def _expire(self, _: object) -> None:
        self.expired = True
        self._interrupt.send(self)  # type: ignore[union-attr]


def timeout(seconds: float | None) -> TimeoutScope:
    """For `with`: interrupt the block if it takes longer than `seconds`, and raise coro.TimeoutError at its end.

    seconds: negative counts as 0; 0 lets the block run until it first blocks; None means no timeout.
    Usable once.  The interrupt is delivered as with_timeout()'s.  Raises TypeError, ValueError; the `with`
    statement raises YieldFromMain outside a thread.  Does not yield.
    """
    return TimeoutScope(seconds)


def deadline(ticks: int) -> TimeoutScope:
    """For `with`: as timeout(), but until a point in time, in ticks (see get_now()).

    ticks: one that has passed lets the block run until it first blocks.
    """
    if not isinstance(ticks, int):
        raise TypeError(f"deadline() needs a number of ticks as an int, got {ticks!r}")
    return TimeoutScope(when=ticks if ticks < FOREVER_TICKS else None)


class Alarm:
    """One call with a timeout by SIGALRM, for where no loop runs.

    The function is interrupted wherever it is, also before it first blocks.

    There is one such timer in a process.  If it was set before, it goes on below ours: when its time comes first
    and its handler is a Python function, that is called in time (this is how such calls nest); any other
    handler gets its signal late, at the end of the call.  At the end handler and timer are put back.
    """

    __slots__ = (
        "_due_s",
        "_exception",
        "_former_due_s",
        "_former_handler",
        "_interval_s",
        "_is_over",
        "_outer",
        "_seconds",
    )

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due_s = time.monotonic() + seconds_to_ticks(seconds) / 1e9
        self._exception: Interrupted | None = None
        self._is_over = False
        # What was there before; all points in time are those of time.monotonic().
        self._former_handler: Any = None
        self._former_due_s: float | None = None
        self._interval_s = 0.0
        # The call around this one, if that is whose timer was there before.
        self._outer: Alarm | None = None

    def call(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> T:
        """Call the function; raises coro.TimeoutError."""
        delay_s, self._interval_s = signal.setitimer(signal.ITIMER_REAL, 0)
        if delay_s:
            self._former_due_s = time.monotonic() + delay_s
        self._former_handler = signal.signal(signal.SIGALRM, self._ring)
        outer = getattr(self._former_handler, "__self__", None)
        self._outer = outer if isinstance(outer, Alarm) else None
        try:
            # The inner `finally` stands inside the outer `except`: the signal may come before its first step.
            try:
                self._set_timer()
                return function(*args, **kwargs)
            finally:
                self._is_over = True
        except Interrupted as interrupt:
            if interrupt is not self._exception:
                raise
            self._exception = None
            raise _timeout_error(self._seconds) from interrupt
        finally:
            self._put_back()

    def _put_back(self) -> None:
        self._is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        former = self._former_handler
        # None stands for a handler that was not installed from Python, and cannot be put back from there.
        signal.signal(signal.SIGALRM, signal.SIG_DFL if former is None else former)
        if self._outer is not None:
            self._outer._set_timer()
        elif self._former_due_s is not None:
            delay_s = max(self._former_due_s - time.monotonic(), _SHORTEST_ALARM_S)
            signal.setitimer(signal.ITIMER_REAL, delay_s, self._interval_s)

    def _has_rung(self) -> bool:
        """Whether an interrupt of ours or of a call around us is on its way out: ours must not overtake that."""
        return self._exception is not None or (self._outer is not None and self._outer._has_rung())

    def _former_next_due_s(self) -> float | None:
        if self._outer is not None:
            # Its own word is exact: of two that are almost equal, the outer one must stay the first.
            return self._outer._next_due_s()
        return self._former_due_s if callable(self._former_handler) else None

    def _next_due_s(self) -> float | None:
        """When a handler is to be called, ours or a former one; None if there is nothing to come."""
        former_due_s = self._former_next_due_s()
        if self._has_rung():
            return former_due_s
        return self._due_s if former_due_s is None else min(self._due_s, former_due_s)

    def _set_timer(self) -> None:
        due_s = self._next_due_s()
        if due_s is not None:
            signal.setitimer(signal.ITIMER_REAL, max(due_s - time.monotonic(), _SHORTEST_ALARM_S))

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        """The handler of SIGALRM."""
        if self._is_over:
            return
        now = time.monotonic()
        former_due_s = self._former_next_due_s()
        if former_due_s is not None and now >= former_due_s:
            self._former_due_s = now + self._interval_s if self._interval_s else None
            try:
                self._former_handler(signum, frame)
            finally:
                self._set_timer()
        elif now >= self._due_s and not self._has_rung():
            self._exception = Interrupted(_Token(self._seconds))
            self._set_timer()
            if not (loop.running and scheduler.in_loop_os_thread()):
                raise self._exception
            # The function runs a loop.  Raised here it would hit any thread, or the run queue: the loop raises it.
            scheduler.uncaught = self._exception
            scheduler.poll_due = 0
        else:
            self._set_timer()
