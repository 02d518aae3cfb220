"""Who holds up the loop: the running thread and its live stack, read from another OS thread."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import Any

from coro.inspect.frames import at_once, frame_records, places_of_frames, walk_os_thread
from coro.inspect.names import safe_name
from coro.loop import loop
from coro.records import CulpritRecord
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["culprit"]

_where_it_is = attrgetter("current", "now")
_turn = attrgetter("iterations", "last_poll_ns")


def culprit() -> CulpritRecord:
    """The thread that runs now with its stack, or the loop itself with a handler that it called.

    For other OS threads; inside the loop it names the calling thread.  run_s is how long the present slice has
    lasted, and for the loop itself how long ago it polled.  Takes some 50 us, and reads source files.
    Takes no lock, imports nothing, runs no code of the application's.  Does not yield.
    """
    ident = scheduler.os_thread_ident
    frames: list[Any] = []
    for _ in range(3):
        try:
            before, turn, frames, after, turn_after = at_once(
                partial(_where_it_is, scheduler),
                partial(_turn, loop),
                partial(list, walk_os_thread(ident)),
                partial(_where_it_is, scheduler),
                partial(_turn, loop),
            )
        except KeyError:
            return CulpritRecord(None, "no loop", 0.0, ())
        # A garbage collection in between may have let the loop go on.
        torn = before != after or turn != turn_after
        if not torn:
            break
    thread: ThreadState | None
    thread, since = before
    now = scheduler.clock()
    frames_read = frame_records(places_of_frames(frames))
    if thread is None:
        return CulpritRecord(None, "the loop", max(0, now - turn[1]) / 1e9, frames_read, torn)
    return CulpritRecord(thread.id, safe_name(thread), max(0, now - since) / 1e9, frames_read, torn)
