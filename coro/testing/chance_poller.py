"""A poller whose events come in an order, and at a time, that is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from coro.loop import loop
from coro.poller import default_poller
from coro.poller.base import Poller
from coro.scheduler import scheduler
from coro.testing.choices import Choices
from coro.testing.poller import NothingWillHappen
from coro.timed import timers

__all__ = ["ChancePoller", "Director"]

# How often in one schedule an event that is there may be kept back for the next poll.
_MAX_DELAYS = 8
# A real descriptor that nobody in this process feeds may still become ready: it is waited for so long, really.
_REAL_WAIT_NS = 20_000_000
# When the scenario is over, each poll lets so much time go by.
_DRAIN_NS = 1_000_000_000

Event = tuple[str, Callable[[Any], object], Any]


class _Clock(Protocol):
    now_ns: int

    def advance_ns(self, nanoseconds: int) -> None:
        """Move on."""


class Director(Protocol):
    """Who decides; the stage."""

    choices: Choices

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to decide."""

    def job_events(self) -> list[Event]:
        """What OS threads could do next."""

    def interrupt_events(self) -> list[Event]:
        """The interrupts that may hit."""

    def happen(self, event: Event) -> None:
        """Let one of them happen."""

    def fail(self, error: BaseException) -> None:
        """The schedule has failed."""

    def whereabouts(self) -> str:
        """Where the threads stand, in words."""


class ChancePoller:
    """A `coro.poller.base.Poller` that moves the clock when everybody waits, and has its events shuffled."""

    def __init__(self, clock: _Clock, director: Director, *, real: bool) -> None:
        self._clock = clock
        self._director = director
        self._real: Poller | None = default_poller() if real else None
        self._watched: set[int] = set()
        # Events that the kernel has reported, and the loop has not seen yet.
        self._kept: dict[int, int] = {}
        self._delays_left = _MAX_DELAYS

    def may_have_news(self) -> bool:
        """Whether a poll could report anything."""
        # The loop's own wake-up descriptor is always there.
        return bool(loop.posted or self._kept or (self._real is not None and len(self._watched) > 1))

    def add(self, fd: int) -> bool:
        known = fd in self._watched
        self._watched.add(fd)
        self._kept.pop(fd, None)
        return known if self._real is None else self._real.add(fd)

    def rearm(self, fd: int, events: int) -> bool:
        known = fd in self._watched
        self._watched.add(fd)
        # What is ready now is reported anew.
        self._kept.pop(fd, None)
        return known if self._real is None else self._real.rearm(fd, events)

    def remove(self, fd: int) -> None:
        self._watched.discard(fd)
        self._kept.pop(fd, None)
        if self._real is not None:
            self._real.remove(fd)

    def add_process(self, pid: int) -> int:
        if self._real is None:
            raise ProcessLookupError(f"no process can be watched without real descriptors: {pid}")
        return self._real.add_process(pid)

    def remove_process(self, key: int) -> None:
        self._kept.pop(key, None)
        if self._real is not None:
            self._real.remove_process(key)

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        if self._director.is_over:
            return self._drain(timeout_ns)
        if timeout_ns is not None and not timers.heap and timeout_ns >= loop.max_wait_ns:
            # The longest wait of event_loop() is no deadline to jump to.
            timeout_ns = None
        while True:
            self._look(0)
            if self._kept:
                reported = self._report(must_report=timeout_ns != 0)
                if reported or timeout_ns == 0:
                    return reported
            if timeout_ns == 0 or loop.posted or scheduler.ready:
                return []
            if not self._go_on(timeout_ns):
                return []

    def close(self) -> None:
        self._watched.clear()
        self._kept.clear()
        if self._real is not None:
            self._real.close()

    def fileno(self) -> int:
        return -1 if self._real is None else self._real.fileno()

    def _look(self, timeout_ns: int) -> None:
        if self._real is None:
            return
        wakeup = loop.wakeup
        for fd, events in self._real.poll(timeout_ns):
            if wakeup is not None and fd == wakeup.fileno():
                # An earlier loop may have left something in the pipe: that is no event of the scenario.
                wakeup.drain()
            else:
                self._kept[fd] = self._kept.get(fd, 0) | events

    def _report(self, *, must_report: bool) -> list[tuple[int, int]]:
        """Take some of the events, in an order that is chosen; the rest stays for the next poll."""
        reported: list[tuple[int, int]] = []
        waiting = list(self._kept.items())
        choose = self._director.choices.choose
        while waiting:
            may_stop = self._delays_left > 0 and (reported or not must_report)
            options = len(waiting) + bool(may_stop)
            choice = choose(options) if options > 1 else 0
            if choice == len(waiting):
                self._delays_left -= 1
                break
            key, events = waiting.pop(choice)
            del self._kept[key]
            reported.append((key, events))
        return reported

    def _go_on(self, timeout_ns: int | None) -> bool:
        """Everybody waits: let something happen.  False if it was that time went by."""
        events = self._director.job_events()
        usual = len(events) + (timeout_ns is not None)
        if not usual and self._real is not None:
            # Only what comes from outside of this process could help.
            self._look(_REAL_WAIT_NS)
            if self._kept or loop.posted:
                return True
        interrupts = self._director.interrupt_events()
        # Without anything else the usual thing is that nothing happens any more.
        options = max(usual, 1) + len(interrupts)
        choice = self._director.choices.choose(options) if options > 1 else 0
        if choice >= max(usual, 1):
            self._director.happen(interrupts[choice - max(usual, 1)])
            return True
        if choice < len(events):
            self._director.happen(events[choice])
            return True
        if timeout_ns is None:
            deadlock = NothingWillHappen(
                f"no timer is armed, nothing is ready, and these threads wait: {self._director.whereabouts()}"
            )
            # Now: what the threads do when they are shut down comes second.
            self._director.fail(deadlock)
            raise deadlock
        self._clock.advance_ns(timeout_ns)
        return False

    def _drain(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        if timeout_ns != 0:
            self._clock.advance_ns(_DRAIN_NS if timeout_ns is None else min(timeout_ns, _DRAIN_NS))
        for event in self._director.job_events():
            self._director.happen(event)
        self._look(0)
        kept, self._kept = self._kept, {}
        return list(kept.items())
