"""What other OS threads may ask of the loop: to schedule a thread, or to make a call."""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

from coro.exceptions import DeadCoroutine, ScheduleError
from coro.loop import loop
from coro.os_thread.job import Job, served
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.thread import coro, main_thread

__all__ = ["call_from_os_thread", "schedule_from_os_thread"]

T = TypeVar("T")

# How often an OS thread that waits for the loop looks whether there still is one, in seconds.
_LOOK_S = 0.25


def schedule_from_os_thread(thread: coro, value: object = None) -> None:
    """Schedule a thread to resume, as schedule(), from any OS thread; its blocking call returns `value`.

    It is done by the loop, soon; without a loop, when one starts.  A thread that has ended by then, or is scheduled
    already, is left alone, and the value is lost.
    Raises TypeError; DeadCoroutine for a thread that has ended; ScheduleError for the main greenlet.
    Does not yield or wait.
    """
    if not isinstance(thread, ThreadState):
        raise TypeError(f"schedule_from_os_thread() needs a thread, got {thread!r}")
    if thread is main_thread:
        raise ScheduleError(thread, "the main greenlet is no thread and cannot be scheduled")
    if thread.dead:
        raise DeadCoroutine(thread, "the thread has ended")
    loop.post(_schedule, thread, value)


def _schedule(thread: ThreadState, value: object) -> None:
    if not thread.dead:
        scheduler.wake(thread, value)


class _Call:
    """A call that another OS thread wants made in the loop, and waits for."""

    __slots__ = ("args", "context", "ended", "function", "job", "kwargs", "left", "thread", "token")

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], token: object
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.context = copy_context()
        self.token = token
        # The job that the calling OS thread is at, if it serves a pool.
        self.job: Job | None = getattr(served, "job", None)
        self.thread: coro | None = None
        # Whether the caller has given up waiting.
        self.left = False
        # Held until the thread has ended.
        self.ended = allocate_lock()
        self.ended.acquire()

    def begin(self) -> None:
        """Start the thread.  In the loop, perhaps in a later one than the caller's."""
        if self.left or self.token is not loop.token:
            return
        self.thread = thread = coro(self.function, self.args, self.kwargs)
        thread.context = self.context
        thread.observers = 1
        thread.joiners = [self.end]
        if self.job is not None:
            # While the OS thread waits for the loop, a fake clock need not wait for the OS thread.
            self.job.count(at_work=False)
        thread.start()

    def end(self, thread: ThreadState) -> None:
        """The thread has ended; called in it."""
        if self.job is not None and self.job.waiter is not None:
            self.job.count(at_work=True)
        self.ended.release()

    def leave(self) -> None:
        """The caller gives up: nobody will receive the thread's failure, so it goes to the notifier."""
        self.left = True
        if self.thread is not None:
            self.thread.observers = 0


def call_from_os_thread(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call `function(*args, **kwargs)` in a new thread of the loop, from another OS thread; wait, return its value.

    The function may block as any thread may.  It runs in a copy of the caller's context variables.
    Blocks the calling OS thread.  Raises what the function raises; DeadCoroutine if its thread was shut down;
    RuntimeError in the loop's own OS thread, when no loop runs, and when the loop ends before the function does.
    """
    if not callable(function):
        raise TypeError(f"call_from_os_thread() needs a function to call, got {function!r}")
    token = loop.token
    if token is None:
        raise RuntimeError("call_from_os_thread() needs a running event loop, and there is none")
    if get_ident() == scheduler.os_thread_ident:
        raise RuntimeError(
            "call_from_os_thread() was called in the loop's own OS thread, which would wait for itself; "
            "call the function, or spawn() a thread for it"
        )
    call = _Call(function, args, kwargs, token)
    loop.post(call.begin)
    try:
        while not call.ended.acquire(timeout=_LOOK_S):
            if loop.token is not token:
                raise RuntimeError(f"the event loop ended before the call of {function!r} in it did")
    except BaseException:
        call.leave()
        raise
    return call.thread.result()  # type: ignore[union-attr,no-any-return]
