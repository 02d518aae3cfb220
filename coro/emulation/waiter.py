"""One who waits for an emulated lock or queue: a coroutine thread, or an OS thread.

Invariant: a waiter that was taken out of its line was granted what it waits for, or has ended.
Knows nothing of what is waited for.
"""

from __future__ import annotations

from _thread import TIMEOUT_MAX, allocate_lock
from collections import deque
from typing import Any

from coro.clock import FOREVER_TICKS, seconds_to_ticks
from coro.emulation.place import in_foreign_os_thread
from coro.guests import current_step
from coro.loop import loop
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timed import timers

__all__ = ["Waiter", "grant_next", "leave"]


class Waiter:
    """granted: whether it has got what it waits for.

    thread: None for an OS thread, which sleeps on the lock `_bell`.
    """

    __slots__ = ("_bell", "_waits", "granted", "thread")

    def __init__(self, what: str) -> None:
        """For the caller.  Raises YieldFromMain where nobody can wait."""
        self.granted = self._waits = False
        self.thread: ThreadState | None = None
        self._bell: Any = None
        if in_foreign_os_thread():
            self._bell = allocate_lock()
            self._bell.acquire()
        else:
            self.thread = scheduler.current_thread(what)

    def wait(self, kind: str, target: object, timeout: float | None) -> bool:
        """Wait until granted; returns whether that happened within `timeout` seconds (None: for ever).

        Yields, or blocks the OS thread.  Raises what interrupted the thread; it may have been granted all the same.
        """
        if self._bell is not None:
            return bool(self._bell.acquire(True, -1 if timeout is None else min(timeout, TIMEOUT_MAX)))
        step = current_step()
        if step is None:
            return self._park(kind, target, timeout)
        # In the middle of an asyncio task's step, as threading.Thread.start() may be: a short wait, as elsewhere.
        is_short = timeout is not None and timeout <= step.limit_s
        with step.suspended():
            granted = self._park(kind, target, timeout if is_short else step.limit_s)
        if not granted and not is_short:
            # Raises YieldFromMain, which names the task.
            step(scheduler.current_thread(kind))
        return granted

    def _park(self, kind: str, target: object, timeout: float | None) -> bool:
        timer = None
        if timeout is not None:
            ticks = seconds_to_ticks(timeout, what="timeout")
            timer = timers.arm(min(scheduler.clock() + ticks, FOREVER_TICKS), scheduler.wake, self.thread)
        self._waits = True
        try:
            while not self.granted:
                scheduler.park(kind, target)
                # A timer that has fired has no action any more.
                if timer is not None and timer[2] is None:
                    break
            return self.granted
        finally:
            self._waits = False
            if timer is not None:
                timers.cancel(timer)

    def grant(self) -> bool:
        """Tell the waiter that it has got it, from any OS thread; False if it will never run again."""
        thread = self.thread
        if thread is None:
            self.granted = True
            self._bell.release()
            return True
        if thread.dead:
            return False
        self.granted = True
        if in_foreign_os_thread():
            loop.post(self._wake)
        else:
            scheduler.wake(thread)
        return True

    def _wake(self) -> None:
        thread = self.thread
        # It may have noticed by itself meanwhile, and wait for something else.
        if thread is not None and self._waits and not thread.dead:
            scheduler.wake(thread)


def grant_next(waiters: deque[Waiter]) -> bool:
    """Grant to the first in line who can use it; False if there is nobody."""
    while True:
        try:
            waiter = waiters.popleft()
        except IndexError:
            return False
        if waiter.grant():
            return True


def leave(waiters: deque[Waiter], waiter: Waiter) -> bool:
    """Take a waiter out of the line; False if it does not stand there any more."""
    try:
        waiters.remove(waiter)
    except ValueError:
        return False
    return True
