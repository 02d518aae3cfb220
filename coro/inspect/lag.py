"""How late the loop is, as a record."""

from __future__ import annotations

from itertools import islice

from coro import collector
from coro.inspect.history import WINDOWS_S, history
from coro.inspect.polling import loop_is_polling
from coro.loop import loop
from coro.records import LagRecord
from coro.scheduler import scheduler
from coro.state import YIELDED

__all__ = ["current_gap_ns", "lag", "queue_ns"]

# So far into the queue one looks for a thread that is known to have come at a certain moment.
LOOKED_AT = 100


def lag() -> LagRecord:
    """How late the loop is: now, in the last ten seconds, in the last five minutes, since it started.

    The first two windows need samples: the backdoor's sentinel takes them once a second, and so does each call of
    this function.  Until there is one, a window has no numbers; later `covered_s` says how far back it goes.  The
    first two seconds of a loop's life are in the last window only.
    From any OS thread; takes about 50 us; does not yield.
    """
    now = scheduler.clock()
    gap_ns = current_gap_ns(now)
    history.sample(now)
    return LagRecord(
        current_s=gap_ns / 1e9,
        queue_s=queue_ns(now) / 1e9,
        runnable=len(scheduler.ready),
        collector_s=collector.total_pause_ns() / 1e9,
        windows=tuple([history.window(seconds, now, gap_ns) for seconds in WINDOWS_S]),
    )


def current_gap_ns(now: int) -> int:
    """For how long the loop has not polled; 0 while it polls, and if none runs."""
    if not loop.running or loop_is_polling():
        return 0
    return max(0, now - loop.last_poll_ns)


def queue_ns(now: int) -> int:
    """For how long the first runnable thread has waited, at least; 0 if none is runnable.

    When a thread became runnable is only known of those that yielded.  The queue is in order, so the first one has
    waited as long as any behind it.  Where none is known, they are taken to have come since the latest poll.
    """
    ready = scheduler.ready
    try:
        first = list(islice(ready, LOOKED_AT))
    except RuntimeError:
        # The loop, in another OS thread, has changed the queue meanwhile.
        return 0
    if not first or not loop.running:
        return 0
    came = next((thread.last_switch_ns for thread in first if thread.resumption is YIELDED), None)
    if came is None:
        # Somebody woke it after its last switch, or started it after it was made, perhaps long after.
        came = max(first[0].last_switch_ns, loop.last_poll_ns)
    return max(0, now - max(came, loop.started_ns))
