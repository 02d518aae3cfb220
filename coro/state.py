"""The data of a thread, and the carrier that runs it.

Thread and carrier are two things.  A thread is this small object; the greenlet that runs it is a carrier, lent
from a pool when the thread first runs and given back when its function ends.

Only the scheduler, the thread's own methods and the services' wait functions write here; anybody may read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context
from types import CodeType
from typing import Any

from greenlet import greenlet

__all__ = ["DEFAULT_MAX_SELFISH_ACTS", "YIELDED", "Carrier", "ThreadState", "function_name"]

# Default 4, as Shrapnel's docs/ref/selfishness.rst.
DEFAULT_MAX_SELFISH_ACTS = 4

# The resumption value of a thread that is runnable only because it yielded.
YIELDED: Any = type("Yielded", (), {"__slots__": (), "__repr__": lambda self: "YIELDED"})()


def function_name(function: Any) -> str:
    """A name for people: the qualified name, also of what a functools.partial or a callable object holds."""
    try:
        inner = getattr(function, "func", function)
        name = getattr(inner, "__qualname__", None)
    except Exception:
        # An object that refuses to be looked at; this runs where nothing may be raised.
        return type(function).__qualname__
    return name if isinstance(name, str) else type(inner).__qualname__


class Carrier(greenlet):
    """A greenlet that runs one thread after another.

    thread: the thread that it runs now.  `getcurrent().thread` is how the runtime finds the current thread:
    the main greenlet, a user's own greenlet and the main greenlet of another OS thread have no such attribute,
    so one look-up (20 ns) both finds the thread and refuses foreign callers.
    """

    __slots__ = ("thread",)

    thread: ThreadState


class ThreadState:
    """Everything known of a thread."""

    __slots__ = (
        "__weakref__",
        "_name",
        "args",
        "carrier",
        "context",
        "creator_id",
        "dead",
        "error",
        "exception",
        "function",
        "id",
        "interrupts",
        "joiners",
        "kwargs",
        "last_switch_ns",
        "locals",
        "longest_slice_ns",
        "max_selfish_acts",
        "observers",
        "result_value",
        "resumption",
        "run_time_ns",
        "scheduled",
        "selfish_acts",
        "shield",
        "slice_mark_ns",
        "spawn_code",
        "spawn_lasti",
        "started",
        "switches",
        "waiting_for",
        "waiting_on",
    )

    # -- what it is
    id: int
    _name: str | None
    function: Callable[..., Any] | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    # Taken from the spawner; handed to the carrier when the thread first runs.
    context: Context | None
    carrier: Carrier | None

    # -- where it stands.  At most one of scheduled, dead and "waiting" holds; the running one has none.
    started: bool
    scheduled: bool
    dead: bool
    # What it waits for, while it waits: a kind such as "sleep", and the object.
    waiting_for: str
    waiting_on: Any

    # -- what it will be resumed with: an exception if there is one, else a value.
    resumption: Any
    exception: BaseException | None
    # Exceptions to be raised at its next parks, one each; None is the usual case, and quick to test.
    interrupts: deque[BaseException] | None
    # While this is set (by shielded()), exceptions go to `interrupts` and stay there.
    shield: Any

    # -- how it ended
    result_value: Any
    error: BaseException | None
    # Threads to schedule, and functions to call with this thread, when it ends.
    joiners: list[ThreadState | Callable[[ThreadState], object]] | None
    # How many will receive its failure, or have, so that the exception notifier need not.
    observers: int

    # -- selfishness
    selfish_acts: int
    max_selfish_acts: int

    # -- accounting
    run_time_ns: int
    switches: int
    longest_slice_ns: int
    # A slice longer than this is looked at more closely: the smaller of longest_slice_ns and the latency limit.
    slice_mark_ns: int
    # When it last left the processor: since then it waits, or is runnable.
    last_switch_ns: int
    creator_id: int
    spawn_code: CodeType | None
    spawn_lasti: int

    # -- ThreadLocal: {ThreadLocal id: attributes}
    locals: dict[Any, dict[str, Any]] | None
