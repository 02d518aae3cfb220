"""Who holds up the loop: the running thread and its live stack, read from another OS thread."""

from __future__ import annotations

from functools import partial
from operator import attrgetter

from coro.inspect.frames import StackReading, at_once, frame_records
from coro.inspect.names import safe_name
from coro.loop import loop
from coro.records import CulpritRecord
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["culprit"]

_slice = partial(attrgetter("current", "now"), scheduler)
_turn = partial(attrgetter("iterations", "last_poll_ns"), loop)


def culprit() -> CulpritRecord:
    """The thread that runs now with its stack, or the loop itself with a handler that it called.

    For other OS threads; inside the loop it names the calling thread.  run_s is how long the present slice has
    lasted, and for the loop itself how long ago it polled.  Takes some 50 us, and reads source files.
    Takes no lock, imports nothing, runs no code of the application's.  Does not yield.
    """
    reading = StackReading.of_os_thread(scheduler.os_thread_ident)
    before, turn, *_, after, turn_after = at_once(_slice, _turn, *reading.steps, _slice, _turn)
    now = scheduler.clock()
    thread: ThreadState | None
    thread, began = before
    frames = frame_records(reading.outermost_first())
    if not loop.running:
        return CulpritRecord(None, "no loop", 0.0, ())
    torn = before != after or turn != turn_after
    if thread is None:
        return CulpritRecord(None, "the loop", max(0, now - turn[1]) / 1e9, frames, torn)
    return CulpritRecord(thread.id, safe_name(thread), max(0, now - began) / 1e9, frames, torn)
