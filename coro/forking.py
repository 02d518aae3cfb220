"""fork(): in the child only the caller lives.

Outside the loop a fork keeps everything: a daemon may spawn, then daemonise, then loop.  Inside it the child has
no other threads, timers or waiters, a fresh poller and a fresh wake-up descriptor.  The other carriers stay
referenced for ever: dropping them would run the parent's `finally` blocks in the child.  The inherited epoll is
closed without touching its registrations, which it shares with the parent.
"""

from __future__ import annotations

import os
import signal
import threading

from coro import leftovers, signals
from coro.descriptors import descriptors
from coro.loop import loop
from coro.scheduler import scheduler

__all__ = ["fork", "register"]

_registered = False


def register() -> None:
    """Have plain os.fork() behave like fork(); done once, when the first loop starts."""
    global _registered
    if not _registered:
        _registered = True
        os.register_at_fork(after_in_child=_after_in_child)


def fork() -> int:
    """As os.fork(): 0 in the child, where of all threads only the caller lives; the child's pid in the parent.

    Does not yield.
    """
    return os.fork()


def _after_in_child() -> None:
    if not loop.running:
        # Everything is kept but the wake-up pipe of an earlier loop, which the parent's next loop will drain too.
        loop.replace_wakeup()
        return
    # The forking OS thread keeps its number in the child.
    in_loop = threading.get_ident() == scheduler.os_thread_ident
    me = scheduler.current if in_loop else None
    poller = loop.poller
    if me is not None:
        del scheduler.all_threads[me.id]
    leftovers.keep_for_ever(scheduler.parked)
    scheduler.parked.clear()
    leftovers.abandon()
    loop.posted.clear()
    loop.outside_calls = 0
    scheduler.latency_reports.clear()
    descriptors.dismiss_all()
    if poller is not None:
        poller.close()
    loop.replace_wakeup()
    if not in_loop:
        # Forked by another OS thread: the loop's own does not exist here, so nothing runs any more.
        signals.restore()
        loop.poller = loop.token = None
        leftovers.keep_for_ever([scheduler.loop_greenlet] if scheduler.loop_greenlet is not None else [])
        scheduler.loop_greenlet = None
        scheduler.current = None
        return
    if me is not None:
        scheduler.all_threads[me.id] = me
    _reopen()


def _reopen() -> None:
    loop.reopen()
    if threading.current_thread() is threading.main_thread() and loop.wakeup is not None:
        signal.set_wakeup_fd(loop.wakeup.signal_fileno(), warn_on_full_buffer=False)
