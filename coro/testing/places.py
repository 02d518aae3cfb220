"""Where a thread stands, in a few words for a report."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType

from greenlet import getcurrent

from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.thread import coro

__all__ = ["name_of", "place_of", "standing", "whereabouts"]

_PACKAGE = __name__.partition(".")[0] + "."
_THREADS_TOLD = 20


def name_of(thread: ThreadState) -> str:
    """Its name, quoted."""
    return repr(thread.get_name()) if isinstance(thread, coro) else f"thread {thread.id}"


def standing(thread: ThreadState) -> str:
    """Where a thread that does not run stands."""
    if not thread.started:
        return "starts"
    carrier = thread.carrier
    if carrier is None:
        return "has ended"
    return place_of(sys._getframe(1) if getcurrent() is carrier else carrier.gr_frame)


def whereabouts(threads: Iterable[ThreadState]) -> str:
    """Name, state and place of threads, the first twenty of them."""
    every = list(threads)
    told = [f"{name_of(one)} ({_waits(one)}) {standing(one)}" for one in every[:_THREADS_TOLD]]
    if len(every) > _THREADS_TOLD:
        told.append(f"and {len(every) - _THREADS_TOLD} more")
    return "; ".join(told)


def _waits(thread: ThreadState) -> str:
    if thread.scheduled or not thread.started or thread is scheduler.current:
        return "runnable"
    return f"waits: {thread.waiting_for}"


def place_of(frame: FrameType | None) -> str:
    """ "at file:line in function" of the innermost frame that is not the runtime's own."""
    innermost = frame
    while frame is not None:
        if not str(frame.f_globals.get("__name__", "")).startswith(_PACKAGE):
            return f"at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        frame = frame.f_back
    if innermost is None:
        return "without a frame"
    return f"in {innermost.f_code.co_qualname} of the runtime"
