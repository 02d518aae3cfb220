"""The end of the loop: threads that are left over get the chance to clean up.

Threads that were never started are cancelled; the rest get Shutdown and a grace time in which the loop goes on
turning.  Survivors are named on stderr, marked dead and never resumed.
"""

from __future__ import annotations

from collections.abc import Iterable

from greenlet import greenlet

from coro.clock import seconds_to_ticks
from coro.exceptions import Shutdown
from coro.loop import loop
from coro.scheduler import scheduler
from coro.stderr import write_stderr
from coro.timed import timers

__all__ = ["abandon", "end_threads", "hurry", "keep_for_ever", "set_exit_grace"]

DEFAULT_GRACE_S = 3.0
# So many polls may fail while threads clean up.
_MAX_FAILURES = 10

_grace_s = DEFAULT_GRACE_S
_hurried = False
# Carriers of threads that will never be resumed.  A greenlet that nobody refers to is resumed by its
# deallocation, to raise GreenletExit, and the `finally` blocks of its thread would run; so they stay for ever.
_graveyard: list[greenlet] = []


def set_exit_grace(seconds: float) -> float:
    """Set how long threads may clean up when the loop exits; returns the old value.

    seconds: 0 or more; 3 by default.
    """
    global _grace_s
    seconds_to_ticks(seconds, what="exit grace")
    if seconds < 0:
        raise ValueError(f"exit grace must be 0 seconds or more, got {seconds}")
    old = _grace_s
    _grace_s = seconds
    return old


def hurry() -> None:
    """Skip the rest of the grace time: a second signal asks for this."""
    global _hurried
    _hurried = True
    scheduler.poll_due = 0


def end_threads() -> None:
    """Shut down all threads, turn the loop until they have ended or the grace is over, abandon the rest."""
    global _hurried
    # A thread without a carrier never ran, whether it was started or not.
    for thread in list(scheduler.all_threads.values()):
        if thread.started:
            scheduler.interrupt(thread, Shutdown())
        else:
            thread.error = Shutdown()
            scheduler.bury(thread)
    deadline = scheduler.clock() + seconds_to_ticks(_grace_s)
    failures = 0
    try:
        while scheduler.all_threads and not _hurried and scheduler.clock() < deadline:
            try:
                loop.turn(deadline)
            except OSError:
                # Perhaps the kernel is short of memory only now: clean-ups are worth another try.
                failures += 1
                if failures == _MAX_FAILURES:
                    raise
    finally:
        # Also when the poll fails.
        for thread in list(scheduler.all_threads.values()):
            write_stderr(f"coro: {thread!r} did not end within the grace time of {_grace_s} s and is abandoned\n")
        abandon()
        _hurried = False


def keep_for_ever(carriers: Iterable[greenlet]) -> None:
    """Never let these be deallocated."""
    _graveyard.extend(carriers)


def abandon() -> None:
    """Mark all threads dead, never to be resumed, and forget who was to run and when."""
    for thread in list(scheduler.all_threads.values()):
        if thread.carrier is not None:
            _graveyard.append(thread.carrier)
        thread.joiners = None
        scheduler.bury(thread)
    scheduler.ready.clear()
    timers.clear()
