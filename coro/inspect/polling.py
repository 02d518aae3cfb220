"""Whether the loop waits in its poller, as another OS thread sees it.  The loop pays nothing for it."""

from __future__ import annotations

import os

from coro.inspect.frames import places_of_os_thread
from coro.loop import Loop, loop
from coro.scheduler import scheduler

__all__ = ["loop_is_polling"]

# A poller's own calls, two or three where a fake one asks a real one; the loop's stands outside of them.
_DEPTH = 8
_POLL = Loop._poll.__code__
_WAIT_FOR_POST = Loop.wait_for_post.__code__
_POLLERS = tuple([os.path.join(os.path.dirname(_POLL.co_filename), part, "") for part in ("poller", "testing")])


def loop_is_polling() -> bool:
    """Whether the loop stands in its poller, waiting for descriptors and timers; False if no loop runs.

    For other OS threads: inside the loop the answer is False.  Takes a few microseconds; does not yield.
    A signal handler that interrupted the poll is no polling.
    """
    poller = loop.poller
    if poller is None or scheduler.current is not None:
        return False
    own = getattr(getattr(type(poller), "poll", None), "__code__", _POLL).co_filename
    for code, _ in places_of_os_thread(scheduler.os_thread_ident, _DEPTH):
        if code is _POLL:
            # Only calls of pollers inside, or none: then the poller is written in C, or about to be called.
            return True
        if code is None or code is _WAIT_FOR_POST:
            continue
        if code.co_filename != own and not code.co_filename.startswith(_POLLERS):
            return False
    return False
