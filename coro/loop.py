"""The loop: run who is ready, poll, wake, expire timers.

The loop lives in the greenlet that called it.  Threads hand over to each other directly; control comes here
when nobody is runnable, when a thread needs a new carrier, or half a millisecond after the last poll.

Knows nothing of how it is asked to end (`coro.exit`) nor of what is printed; hooks are handed in.
"""

from __future__ import annotations

import _thread
import select
from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from coro.clock import FOREVER_TICKS
from coro.descriptors import descriptors
from coro.poller import Poller, default_poller
from coro.poller.base import NANOSECONDS, READ
from coro.scheduler import POLL_INTERVAL_NS, scheduler
from coro.state import ThreadState
from coro.timed import timers
from coro.wakeup import Wakeup

__all__ = ["Loop", "loop"]

LATENESS_BUCKETS = 64
# Turns of this bucket or a later one (67 ms and more) are also remembered as they were: a bucket's bounds differ by
# a factor of two, which is too coarse for alarms.
LONG_TURN_BUCKET = 27
LONG_TURN_NS = 1 << (LONG_TURN_BUCKET - 1)
LONG_TURNS_KEPT = 512
# Kernels count timeouts in an int of milliseconds: 24 days at most.
LONGEST_POLL_NS = 86_400 * NANOSECONDS


class Loop:
    """The loop of the process.  There is one, `loop`.

    iterations, poll_time_ns: how often it polled, and how long that took in all.
    lag_histogram: [n] counts the turns between two polls that took from 2**(n-1) up to 2**n nanoseconds: for so
        long a ready descriptor or a due timer went unnoticed.
    long_turns: the latest of those from LONG_TURN_NS on, in nanoseconds.
    """

    __slots__ = (
        "_pipe",
        "at_close",
        "exit_code",
        "exit_requested",
        "iterations",
        "lag_histogram",
        "latency_hook",
        "last_poll_ns",
        "long_turns",
        "max_wait_ns",
        "outside_calls",
        "poll_time_ns",
        "poller",
        "poller_factory",
        "posted",
        "started_ns",
        "token",
        "wakeup",
    )

    def __init__(self, poller_factory: Callable[[], Poller] = default_poller) -> None:
        self.poller_factory = poller_factory
        self.poller: Poller | None = None
        # While the loop runs; the pipe stays for the next one.
        self.wakeup: Wakeup | None = None
        self._pipe: Wakeup | None = None
        # Tells this run of the loop from earlier and later ones; None while no loop runs.
        self.token: object = None
        # Functions to call when a loop has ended; they must neither raise nor block.
        self.at_close: list[Callable[[], object]] = []
        # Calls that other OS threads and signal handlers want made in the loop: (function, arguments).
        self.posted: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        # How many jobs for the loop other OS threads are at: a fake clock must not run ahead of them.
        self.outside_calls = 0
        self.exit_requested = False
        self.exit_code: Any = 0
        self.iterations = 0
        self.poll_time_ns = 0
        self.last_poll_ns = 0
        # The clock when this loop started.
        self.started_ns = 0
        self.max_wait_ns = FOREVER_TICKS
        self.lag_histogram = [0] * LATENESS_BUCKETS
        self.long_turns: deque[int] = deque(maxlen=LONG_TURNS_KEPT)
        # Called with each (thread, nanoseconds, clock) of a slice over the latency limit; must not raise.
        self.latency_hook: Callable[[ThreadState, int, int], object] = _no_latency_hook

    @property
    def running(self) -> bool:
        """Whether the loop runs (in any OS thread)."""
        return self.poller is not None

    def open(self) -> None:
        """Make the poller and the wake-up descriptor, and bind the loop to this OS thread and greenlet."""
        scheduler.loop_greenlet = getcurrent()
        try:
            self.reopen()
        except BaseException:
            scheduler.loop_greenlet = None
            raise
        self.started_ns = self.last_poll_ns = scheduler.now = scheduler.clock()
        # Another loop may have had another clock.
        self.lag_histogram[:] = [0] * LATENESS_BUCKETS
        self.long_turns.clear()

    def reopen(self) -> None:
        """Make the poller, and the wake-up descriptor unless there is one; in a forked child, anew."""
        self.poller = poller = self.poller_factory()
        try:
            if self._pipe is None:
                self._pipe = Wakeup()
        except BaseException:
            poller.close()
            self.poller = None
            raise
        self.wakeup = self._pipe
        self.token = object()
        scheduler.os_thread_ident = _thread.get_ident()
        descriptors.poller = poller
        descriptors.set_handler(self.wakeup.fileno(), READ, self.woken)
        scheduler.poll_due = 0

    def close(self) -> None:
        """Give back what open() made, and tell who asked for it in `at_close`."""
        poller = self.poller
        scheduler.dismiss_carriers()
        # Not when the next loop starts: a set_exit() just before that counts.
        self.exit_requested = False
        self.exit_code = 0
        scheduler.loop_greenlet = None
        descriptors.dismiss_all()
        self.poller = self.wakeup = None
        self.token = None
        self.outside_calls = 0
        if poller is not None:
            try:
                poller.close()
            except OSError:
                # Its descriptor is gone in any case, and what the loop came to is not to be lost over that.
                pass
        for function in self.at_close:
            function()

    def replace_wakeup(self) -> None:
        """In a forked child: the pipe is the parent's; get one of our own."""
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = self.wakeup = None

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have `function(*arguments)` called in the loop soon.  Safe from any OS thread and signal handler.

        The function must not raise.
        """
        self.posted.append((function, arguments))
        wakeup = self.wakeup
        if wakeup is not None:
            wakeup.notify()

    def wait_for_post(self, timeout_ns: int) -> None:
        """Wait, in real time and blocking the loop, until post() or the timeout; for fake pollers only."""
        if self.wakeup is not None:
            select.select([self.wakeup], [], [], timeout_ns / NANOSECONDS)

    def request_exit(self, exit_code: Any) -> None:
        """Have the loop end soon.  Safe from any OS thread and signal handler."""
        self.exit_code = exit_code
        self.exit_requested = True
        # The running thread's next park goes to the loop, and a waiting poll ends.
        scheduler.poll_due = 0
        wakeup = self.wakeup
        if wakeup is not None:
            wakeup.notify()

    def turn(self, deadline: int = FOREVER_TICKS) -> None:
        """Poll once, for nobody if somebody is runnable, then wake, expire, and run until the next poll is due.

        deadline: ticks; the poll does not wait beyond it.
        """
        try:
            self._poll(deadline)
        except (OSError, MemoryError, ValueError):
            # The loop ends over this.  Who was told to end, or is runnable otherwise, has a last turn.
            self.run_once_each()
            raise
        timers.expire(scheduler.now)
        if scheduler.latency_reports:
            self.report_latency()
        self.run_ready()

    def run_ready(self) -> None:
        """Run threads until none is runnable or the next poll is due."""
        ready = scheduler.ready
        popleft = scheduler.popleft
        clock = scheduler.clock
        while ready:
            thread = popleft()
            carrier = thread.carrier
            if carrier is None:
                if thread.dead:
                    continue
                carrier = scheduler.launch(thread)
            thread.scheduled = False
            scheduler.current = thread
            scheduler.now = clock()
            carrier.switch()
            if scheduler.now >= scheduler.poll_due:
                return

    def run_once_each(self) -> None:
        """Run every thread that is runnable now exactly once: their last turn before the loop exits."""
        for thread in list(scheduler.ready):
            # One that was cancelled is skipped when its place in the queue is reached.
            if not thread.dead:
                # Not to be handed on: control comes back after each.
                scheduler.poll_due = 0
                self.run_ready()

    def _poll(self, deadline: int) -> None:
        poller = self.poller
        clock = scheduler.clock
        before = clock()
        took = before - self.last_poll_ns
        self.lag_histogram[took.bit_length()] += 1
        if took >= LONG_TURN_NS:
            self.long_turns.append(took)
        if scheduler.ready or self.posted:
            timeout: int | None = 0
        else:
            heap = timers.heap
            if heap and heap[0][0] < deadline:
                deadline = heap[0][0]
            if deadline >= FOREVER_TICKS and self.max_wait_ns >= FOREVER_TICKS:
                timeout = None
            else:
                timeout = max(0, min(deadline - before, self.max_wait_ns, LONGEST_POLL_NS))
        ready = poller.poll(timeout)  # type: ignore[union-attr]
        now = clock()
        self.iterations += 1
        self.poll_time_ns += now - before
        self.last_poll_ns = scheduler.now = now
        scheduler.poll_due = now + POLL_INTERVAL_NS
        if ready:
            descriptors.dispatch(ready)
        if self.posted:
            self._run_posted()

    def woken(self, fd: int, events: int) -> None:
        """Handler of the wake-up descriptor."""
        self.wakeup.drain()  # type: ignore[union-attr]

    def _run_posted(self) -> None:
        posted = self.posted
        for _ in range(len(posted)):
            function, arguments = posted.popleft()
            function(*arguments)

    def report_latency(self) -> None:
        """Hand out the reports of slices over the latency limit."""
        reports = scheduler.latency_reports
        while reports:
            self.latency_hook(*reports.pop(0))


def _no_latency_hook(thread: ThreadState, ran_ns: int, now: int) -> None:
    """Before anything else is installed, nobody is told."""


loop = Loop()
