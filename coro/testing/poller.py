"""A poller that never waits: when everybody sleeps, it moves the fake clock to the next deadline.

Descriptors are the test's own: numbers that make_ready() reports.  With `real`, real descriptors work as well:
time then jumps only when none of them is ready and no OS thread is at work for the loop.
"""

from __future__ import annotations

from coro.loop import loop
from coro.poller.base import Poller
from coro.scheduler import scheduler
from coro.testing.clock import FakeClock
from coro.timed import timers

__all__ = ["FakePoller", "NothingWillHappen"]

# How long, in real nanoseconds, to wait for OS threads before looking again.
_REAL_WAIT_NS = 50_000_000


class NothingWillHappen(Exception):
    """Every thread waits, no timer is armed and no descriptor can become ready: a deadlock."""


class FakePoller:
    """A `coro.poller.base.Poller` in memory.

    clock: the clock to move.
    real: a real poller that is asked, without waiting, before time jumps; None for made-up descriptors only.
    """

    def __init__(self, clock: FakeClock, real: Poller | None = None) -> None:
        self.clock = clock
        self.real = real
        self.watched: dict[int, int] = {}
        self._ready: dict[int, int] = {}
        self._closed = False

    def make_ready(self, fd: int, events: int) -> None:
        """Have the next poll report `events` for `fd`, whether anybody watches it or not."""
        self._ready[fd] = self._ready.get(fd, 0) | events
        scheduler.poll_due = 0

    def add(self, fd: int) -> bool:
        known = fd in self.watched
        self.watched[fd] = -1
        return known if self.real is None else self.real.add(fd)

    def rearm(self, fd: int, events: int) -> bool:
        known = fd in self.watched
        self.watched[fd] = events
        return known if self.real is None else self.real.rearm(fd, events)

    def remove(self, fd: int) -> None:
        self.watched.pop(fd, None)
        if self.real is not None:
            self.real.remove(fd)

    def add_process(self, pid: int) -> int:
        if self.real is None:
            self.watched[-pid] = -1
            return -pid
        return self.real.add_process(pid)

    def remove_process(self, key: int) -> None:
        if self.real is None:
            self.watched.pop(key, None)
        else:
            self.real.remove_process(key)

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        if timeout_ns is not None and timeout_ns >= loop.max_wait_ns and not len(timers):
            # The longest wait of event_loop() is no deadline to jump to.
            timeout_ns = None
        ready = list(self._ready.items())
        self._ready.clear()
        while True:
            if self.real is not None:
                ready += self.real.poll(0)
            if ready or timeout_ns == 0:
                return ready
            if loop.outside_calls or (self.real is not None and timeout_ns is None):
                if self.real is not None:
                    return self.real.poll(_REAL_WAIT_NS)
                loop.wait_for_post(_REAL_WAIT_NS)
                if loop.posted:
                    return ready
                continue
            if timeout_ns is None:
                waiting = ", ".join(repr(thread) for thread in scheduler.all_threads.values())
                raise NothingWillHappen(f"no timer is armed, nothing is ready, and these threads wait: {waiting}")
            self.clock.advance_ns(timeout_ns)
            return ready

    def close(self) -> None:
        self._closed = True
        self.watched.clear()
        if self.real is not None:
            self.real.close()

    def fileno(self) -> int:
        return -1 if self.real is None else self.real.fileno()
