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

    Does not yield.  Raises OSError.  A child that can make no poller, for want of descriptors, can still work and
    end; its loop ends by that error when the caller first waits.
    """
    return os.fork()


class _NoPoller:
    """Stands where a forked child could make no poller: whoever waits ends the loop by the error."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def add(self, fd: int) -> bool:
        raise self._error

    def rearm(self, fd: int, events: int) -> bool:
        raise self._error

    def remove(self, fd: int) -> None:
        """Nothing is registered."""

    def add_process(self, pid: int) -> int:
        raise self._error

    def remove_process(self, key: int) -> None:
        """Nothing is registered."""

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        raise self._error

    def close(self) -> None:
        """Nothing is open."""

    def fileno(self) -> int:
        return -1


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
    is_main = threading.current_thread() is threading.main_thread()
    try:
        loop.reopen()
    except OSError as error:
        # Raised here it would only be printed.
        if is_main:
            signal.set_wakeup_fd(-1)
        if loop.poller is not None:
            loop.poller.close()
        descriptors.dismiss_all()
        loop.poller = descriptors.poller = _NoPoller(error)
        loop.replace_wakeup()
        scheduler.poll_due = 0
        return
    if is_main and loop.wakeup is not None:
        signal.set_wakeup_fd(loop.wakeup.signal_fileno(), warn_on_full_buffer=False)
