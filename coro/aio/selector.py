"""The selector of an asyncio loop that runs in a thread: it waits in our loop.

Each asyncio loop has a kernel queue of its own (epoll or kqueue), which holds its descriptors level-triggered, as
asyncio wants them.  That queue is itself a descriptor, and stands edge-triggered in our poller: one handler for the
whole asyncio loop, whatever it waits for.

A fact about the world that shaped this file: the edge comes with each event that is added to the inner queue, also
while others wait there.  So the queue need not be asked while nothing has come since it was last found empty, which
is what `stirred` says.  (Arming the queue anew for each wait instead costs 9 % more for a wait and what follows.)

Invariant: while `stirred` is False, the inner queue is empty, or our poller is about to report it.
"""

from __future__ import annotations

import selectors
from typing import Any

from coro.aio.step import Step
from coro.clock import FOREVER_TICKS, seconds_to_ticks
from coro.descriptors import descriptors
from coro.guests import GuestWait
from coro.loop import loop as coro_loop
from coro.poller.base import READ
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timed import timers

__all__ = ["ParkingSelector"]

Ready = list[tuple[selectors.SelectorKey, int]]


class ParkingSelector(selectors.DefaultSelector, GuestWait):
    """A selector whose select() parks the thread.

    parked: the thread, while it is parked in select().
    stirred: whether the inner queue may hold something.
    """

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._step = step
        self.parked: ThreadState | None = None
        self.stirred = True
        # Which run of our loop calls stir(); None before the first wait.
        self._registered_with: object = None

    # -- waiting

    def pause(self) -> None:
        """Between two steps: let the other threads run.  Yields.  Raises what interrupted the thread."""
        self._step.put_aside()
        try:
            scheduler.yield_slice()
        finally:
            self._step.take_up()

    def stir(self, fd: int, events: int) -> None:
        """The handler that our loop calls when something was added to the inner queue."""
        self.stirred = True
        thread = self.parked
        if thread is not None:
            scheduler.wake(thread)

    def wake(self) -> None:
        """End the wait, if there is one: something was put into the asyncio loop's own queue."""
        thread = self.parked
        if thread is not None and not thread.dead:
            scheduler.wake(thread)

    def select(self, timeout: float | None = None) -> Ready:
        """Park until a registered descriptor is ready, wake() is called, or `timeout` seconds are over.

        timeout: None for ever; 0 or less lets the other threads run if they have a claim.
        Returns what is ready, perhaps nothing.  Yields.  Raises what interrupted the thread, and only in a wait.
        """
        ready: Ready = []
        if self.stirred:
            ready = super().select(0)
            self.stirred = bool(ready)
        if ready or (timeout is not None and timeout <= 0):
            if scheduler.ready or scheduler.clock() >= scheduler.poll_due:
                self.pause()
            return ready
        self._step.put_aside()
        try:
            self._park(timeout)
        finally:
            self._step.take_up()
        if self.stirred:
            ready = super().select(0)
            self.stirred = bool(ready)
        return ready

    def _park(self, timeout: float | None) -> None:
        if self._registered_with is not coro_loop.token:
            descriptors.set_handler(self.fileno(), READ, self.stir)
            self._registered_with = coro_loop.token
        timer = None
        if timeout is not None:
            timer = timers.arm(min(scheduler.clock() + seconds_to_ticks(timeout), FOREVER_TICKS), self._expire)
        self.parked = scheduler.current
        try:
            scheduler.park("asyncio", self)
        finally:
            self.parked = None
            if timer is not None and timer[2] is not None:
                timers.cancel(timer)

    def _expire(self, _: object) -> None:
        self.wake()

    # -- what is waited for

    def wait_text(self) -> str:
        """See coro.guests.GuestWait."""
        return f"on {len(self.get_map() or ())} descriptors"

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As selectors.BaseSelector.register()."""
        self.stirred = True
        return super().register(fileobj, events, data)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As selectors.BaseSelector.modify()."""
        self.stirred = True
        return super().modify(fileobj, events, data)

    def close(self) -> None:
        """Close the inner queue.  Closing twice is harmless."""
        if self._registered_with is not None:
            if self._registered_with is coro_loop.token:
                descriptors.set_handler(self.fileno(), READ, None)
            self._registered_with = None
        super().close()
