"""One call that an OS thread makes for a coroutine thread.

Who writes what: `begun` and `abandoned` are guarded by the lock of the pool; the OS thread that makes the call
writes `value` and `error` before it posts; all else is written by the loop's OS thread.
"""

from __future__ import annotations

from _thread import _local as os_thread_local
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from coro.loop import loop
from coro.state import ThreadState

__all__ = ["Job", "served"]


class Job:
    """One call for an OS thread; what its caller waits on."""

    __slots__ = (
        "abandoned",
        "args",
        "begun",
        "context",
        "counted",
        "done",
        "error",
        "function",
        "kwargs",
        "name",
        "value",
        "waiter",
        "token",
    )

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], waiter: ThreadState
    ) -> None:
        self.function: Callable[..., Any] | None = function
        self.args = args
        self.kwargs = kwargs
        self.name = str(getattr(function, "__qualname__", None) or repr(function))
        self.context: Context | None = copy_context()
        # None once the caller has left.
        self.waiter: ThreadState | None = waiter
        # Which loop the caller waits in: a loop has a wake-up descriptor of its own.
        self.token: object = loop.token
        self.begun = False
        self.abandoned = False
        self.done = False
        # Whether loop.outside_calls counts it.
        self.counted = False
        self.value: Any = None
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        state = "ended" if self.done else "running" if self.begun else "queued"
        return f"<call of {self.name} in an OS thread, {state}>"

    def count(self, *, at_work: bool) -> None:
        """Tell a fake clock whether an OS thread is at work on this for the loop that it was begun in."""
        if at_work is not self.counted and self.token is loop.token:
            self.counted = at_work
            loop.outside_calls += 1 if at_work else -1

    def run(self) -> None:
        """Make the call.  In the OS thread that serves it."""
        try:
            self.value = self.context.run(self.function, *self.args, **self.kwargs)  # type: ignore[union-attr,arg-type]
        except BaseException as error:
            # Without this frame: it tells nothing, and it would refer back to the error.
            error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ is not None else None
            self.error = error

    def drop_call(self) -> None:
        """Forget what was to be called."""
        self.function = self.context = None
        self.args = ()
        self.kwargs = {}

    def take(self) -> Any:
        """Return the value, or raise the error; the job keeps neither."""
        # Here, not where the call was made: the last of what it refers to is to go in the loop's OS thread.
        self.drop_call()
        value, error = self.value, self.error
        self.value = self.error = None
        if error is None:
            return value
        try:
            raise error
        finally:
            # The traceback refers to this frame; without this the frame would refer back to the error.
            del error


# `served.job`, in each OS thread of a pool: the job that it is at.
served = os_thread_local()
