"""`coro.coro`: a thread as its users see it.

Everything here is a thin, checked face over the scheduler; the data stands in `coro.state`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from contextvars import copy_context
from types import FrameType
from typing import Any, Self

from greenlet import getcurrent

from coro.clock import seconds_to_ticks
from coro.exceptions import (
    DeadCoroutine,
    Interrupted,
    NotStartedError,
    ScheduleError,
    Shutdown,
    TimeoutError,
)
from coro.scheduler import scheduler
from coro.state import DEFAULT_MAX_SELFISH_ACTS, YIELDED, ThreadState, function_name
from coro.timed import park_timed

__all__ = ["MAX_SELFISH_ACTS", "coro", "main_thread", "notify_later", "set_selfishness"]

MAX_SELFISH_ACTS = 32768

next_id = itertools.count(1).__next__
_default_max_selfish_acts = DEFAULT_MAX_SELFISH_ACTS


def initialise(
    thread: ThreadState,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    id: int,
    name: str | None,
) -> None:
    """Fill in a new thread.  A function of its own, because calling the class costs spawn() 80 ns more."""
    thread.id = id
    thread._name = name
    thread.function = function
    thread.args = args
    thread.kwargs = kwargs
    thread.context = copy_context()
    thread.started = thread.scheduled = thread.dead = False
    thread.carrier = thread.waiting_on = thread.resumption = thread.exception = thread.interrupts = None
    thread.shield = thread.result_value = thread.error = thread.joiners = thread.locals = thread.spawn_code = None
    thread.waiting_for = ""
    thread.selfish_acts = thread.max_selfish_acts = _default_max_selfish_acts
    thread.observers = thread.run_time_ns = thread.switches = 0
    thread.longest_slice_ns = thread.slice_mark_ns = thread.spawn_lasti = 0
    thread.last_switch_ns = scheduler.now
    current = scheduler.current
    thread.creator_id = -1 if current is None else current.id
    scheduler.all_threads[id] = thread


class coro(ThreadState):
    """A coroutine thread.  Made by new() and spawn().

    id: its number, never used twice in a process.
    dead, started, scheduled: where it stands; `started` is set when it first runs.
    value: what it will be resumed with.
    """

    __slots__ = ()

    def __init__(
        self,
        fun: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        id: int | None = None,
        name: str | None = None,
    ) -> None:
        """Make a thread that runs `fun(*args, **kwargs)` once it is started.

        id: a positive number that no live thread has; None takes the next.
        """
        check_arguments(fun, name)
        if not isinstance(args, tuple):
            raise TypeError(f"a thread's arguments must be a tuple, got {args!r}")
        if kwargs is not None and not isinstance(kwargs, dict):
            raise TypeError(f"a thread's keyword arguments must be a dict or None, got {kwargs!r}")
        if id is None:
            id = next_id()
        elif not isinstance(id, int):
            raise TypeError(f"a thread's id must be an int, got {id!r}")
        elif id < 1 or id in scheduler.all_threads:
            raise ValueError(f"a thread's id must be 1 or more and not in use, got {id}")
        initialise(self, fun, args, kwargs or {}, id, name)

    def __repr__(self) -> str:
        return (
            f"<coro #{self.id} name={self.get_name()!r} dead={int(self.dead)} started={int(self.started)} "
            f"scheduled={int(self.scheduled)} at {builtin_id(self):#x}>"
        )

    # -- its name

    @property
    def name(self) -> str:
        """The thread's name; set_name() and assignment change it."""
        return self.get_name()

    @name.setter
    def name(self, name: str) -> None:
        self.set_name(name)

    def get_name(self) -> str:
        """Get the name of this thread; generated from its function if none was given."""
        if self._name is None:
            if self.function is None:
                return f"thread-{self.id}"
            self._name = function_name(self.function)
        return self._name

    def set_name(self, name: str) -> Self:
        """Set the name of this thread; returns the thread."""
        if not isinstance(name, str):
            raise TypeError(f"a thread's name must be a str, got {name!r}")
        self._name = name
        return self

    # -- where it stands

    @property
    def value(self) -> object:
        """The value that the thread will be resumed with; None if there is none."""
        value = self.resumption
        return None if value is YIELDED else value

    @property
    def spawn_line(self) -> str | None:
        """The source line that made this thread, as "file:line"; None if it is not known."""
        code = self.spawn_code
        if code is None:
            return None
        lines = list(code.co_positions())
        line = lines[self.spawn_lasti // 2][0] if 0 <= self.spawn_lasti // 2 < len(lines) else None
        return f"{code.co_filename}:{line or code.co_firstlineno}"

    def get_frame(self) -> FrameType | None:
        """The innermost frame of this thread; None if it has none (not started, or dead).

        For the current thread this is the caller's frame.
        """
        if scheduler.current is self and getcurrent() is self.carrier:
            return sys._getframe(1)
        return None if self.carrier is None else self.carrier.gr_frame

    # -- starting, resuming, interrupting

    def start(self) -> None:
        """Start the thread for the first time: it will run on a later turn.

        Raises ScheduleError if it was started already, DeadCoroutine if it was cancelled.  Does not yield.
        """
        if self.dead:
            raise DeadCoroutine(self, "the thread has ended")
        if self.started or self.scheduled:
            raise ScheduleError(self, "the thread has been started already")
        self.schedule()

    def schedule(self, value: object = None) -> None:
        """Schedule this thread to resume; its blocking call returns `value`.

        On a thread that was not started it starts it, and the value is ignored.
        Raises DeadCoroutine; ScheduleError if it is scheduled already or is the current one; YieldFromMain from
        another OS thread (see schedule_from_os_thread).  Does not yield.
        """
        scheduler.refuse_foreign("schedule()")
        if self.scheduled or self.dead or self is scheduler.current:
            self._refuse_schedule()
        self.scheduled = True
        self.resumption = value
        scheduler.ready.append(self)

    def _refuse_schedule(self) -> None:
        if self.dead:
            raise DeadCoroutine(self, "the thread has ended")
        if self.scheduled:
            raise ScheduleError(self, "the thread is scheduled already")
        raise ScheduleError(self, "the current thread cannot schedule itself")

    def raise_exception(
        self, exc: BaseException | type[BaseException], force: bool = True, cancel_start: bool = False
    ) -> None:
        """Schedule this thread to resume with an exception.

        exc: an exception, or a class of exceptions.
        force: on a thread that is scheduled already: True replaces its pending value (an exception that is
            pending stays, and the new one waits for the thread's next park behind it), False raises ScheduleError.
        cancel_start: cancels a thread that has not started.
        Raises DeadCoroutine; NotStartedError; ScheduleError also on the current thread.
        Inside shielded() the exception waits for the shield's end.  Does not yield.
        """
        scheduler.refuse_foreign("raise_exception()")
        if isinstance(exc, type) and issubclass(exc, BaseException):
            exc = exc()
        elif not isinstance(exc, BaseException):
            raise TypeError(f"raise_exception() needs an exception, got {exc!r}")
        if self.dead:
            raise DeadCoroutine(self, "the thread has ended")
        if self is scheduler.current:
            raise ScheduleError(self, "the current thread cannot interrupt itself; raise the exception instead")
        if not self.started:
            if not cancel_start:
                raise NotStartedError(self, "the thread has not started yet")
            self._cancel(exc)
            return
        if self.scheduled and not force:
            raise ScheduleError(self, "the thread is scheduled already")
        scheduler.interrupt(self, exc)

    def shutdown(self) -> None:
        """Shut down this thread by raising Shutdown in it.

        Never fails: a dead thread is ignored, one that has not started is cancelled, and in the current thread
        Shutdown is raised there and then.  Does not yield.
        """
        if self.dead:
            return
        scheduler.refuse_foreign("shutdown()")
        if self is scheduler.current:
            raise Shutdown()
        self.raise_exception(Shutdown(), cancel_start=True)

    def _cancel(self, why: BaseException) -> None:
        """Bury a thread that never ran; if it stands in the run queue, it is skipped there."""
        self.error = why
        scheduler.bury(self)

    # -- waiting for its end

    def join(self, timeout: float | None = None) -> None:
        """Wait for this thread to end; returns at once if it has ended already.

        timeout: seconds, None for ever.  A thread that is never started is waited for for ever.
        Yields.  Raises coro.TimeoutError; ScheduleError when a thread joins itself; YieldFromMain outside a thread.
        An interrupted caller just stops waiting.
        """
        if self.dead:
            return
        me = scheduler.current_thread("join()")
        if timeout is not None:
            seconds_to_ticks(timeout, what="timeout")
        if self is me:
            raise ScheduleError(self, "a thread cannot join itself")
        if self.joiners is None:
            self.joiners = []
        self.joiners.append(me)
        try:
            park_timed("join", self, timeout, lambda: self.dead)
        finally:
            # Ended, this thread has no list any more.
            if self.joiners is not None:
                self.joiners.remove(me)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for this thread's end, then return its function's value or raise its exception.

        A thread that was shut down or interrupted to death raises DeadCoroutine from that Interrupted: what
        interrupted it must not interrupt the caller.  A failure that is waited for here is not notified, unless the
        caller is interrupted before it gets it.
        Yields and raises as join() otherwise.
        """
        if not self.dead:
            self.observers += 1
            try:
                self.join(timeout)
            except BaseException:
                self.observers -= 1
                if self.dead and not self.observers and self.error is not None:
                    # It ended while its failure was to be raised here, and nobody else will get it.
                    notify_later(self, self.error)
                raise
        error = self.error
        if error is None:
            return self.result_value
        if isinstance(error, Interrupted) and not isinstance(error, TimeoutError):
            raise DeadCoroutine(self, f"the thread was ended by {type(error).__name__}") from error
        try:
            raise error
        finally:
            # The traceback refers to this frame; this breaks the circle.
            del error

    # -- selfishness

    def set_max_selfish_acts(self, maximum: int) -> int:
        """Set how many socket operations in a row this thread may do without yielding; returns the old limit.

        maximum: 1 to 32768.  The thread gets all its acts back.  A new thread has 4, see set_selfishness().
        """
        _check_selfish_acts(maximum)
        old = self.max_selfish_acts
        self.max_selfish_acts = self.selfish_acts = maximum
        return old


def notify_later(thread: ThreadState, error: BaseException) -> None:
    """Tell the exception notifier of a thread's failure that was to be handed on, but was not.

    In a thread of its own, since a notifier may block.  Does not yield.
    """
    if isinstance(error, (Shutdown, KeyboardInterrupt)):
        # The one is no failure, the other has left the loop.
        return
    scheduler.uncaught_count += 1
    name = thread.get_name() if isinstance(thread, coro) else f"thread-{thread.id}"
    coro(_notify, (thread, error), name=f"report on {name}").start()


def _notify(thread: ThreadState, error: BaseException) -> None:
    traceback = error.__traceback__
    try:
        # Shrapnel's notifiers look into sys.exc_info().
        raise error
    except BaseException:
        error.__traceback__ = traceback
        scheduler.exception_hook(thread, error)


builtin_id = id


def check_arguments(function: object, name: object) -> None:
    """Raise TypeError for what cannot be run, and for a name that is no str."""
    if not callable(function):
        raise TypeError(f"a thread needs a function to run, got {function!r}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"a thread's name must be a str, got {name!r}")


def _check_selfish_acts(maximum: int) -> None:
    if not isinstance(maximum, int) or isinstance(maximum, bool):
        raise TypeError(f"max selfish acts must be an int, got {maximum!r}")
    if not 1 <= maximum <= MAX_SELFISH_ACTS:
        raise ValueError(f"max selfish acts must be 1 to {MAX_SELFISH_ACTS}, got {maximum}")


def set_selfishness(maximum: int) -> int:
    """Set the limit of selfish acts for threads made from now on; returns the old one.

    maximum: 1 to 32768.  Default 4, as Shrapnel's docs/ref/selfishness.rst.
    """
    global _default_max_selfish_acts
    _check_selfish_acts(maximum)
    old = _default_max_selfish_acts
    _default_max_selfish_acts = maximum
    return old


def get_selfishness() -> int:
    """The limit of selfish acts that new threads get."""
    return _default_max_selfish_acts


class _MainThread(coro):
    """Stands for the main greenlet, which nobody can schedule or interrupt."""

    __slots__ = ()

    def __init__(self) -> None:
        initialise(self, _MainThread, (), {}, -1, "main/scheduler")
        del scheduler.all_threads[-1]
        self.started = True

    def schedule(self, value: object = None) -> None:
        raise ScheduleError(self, "the main greenlet is no thread and cannot be scheduled")

    def raise_exception(
        self, exc: BaseException | type[BaseException], force: bool = True, cancel_start: bool = False
    ) -> None:
        raise ScheduleError(self, "the main greenlet is no thread and cannot be interrupted")

    def shutdown(self) -> None:
        raise Shutdown()

    def join(self, timeout: float | None = None) -> None:
        raise ScheduleError(self, "the main greenlet cannot be joined")


main_thread: coro = _MainThread()
