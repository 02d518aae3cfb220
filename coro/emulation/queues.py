"""Area "queue": queue.SimpleQueue, whose original waits in C."""

from __future__ import annotations

import _queue
import time
from collections import deque
from types import GenericAlias
from typing import Any

from coro.emulation.patching import Patcher
from coro.emulation.waiter import Waiter, grant_next, leave

__all__ = ["SimpleQueue", "install"]

Empty = _queue.Empty


class SimpleQueue:
    """What queue.SimpleQueue is; the interpreter's documentation of it holds.

    put() may be called from any OS thread, from signal handlers and finalisers.  An interrupted get() takes
    nothing.
    """

    __slots__ = ("__weakref__", "_items", "_waiters")

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiters: deque[Waiter] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item at the end.  Never blocks; `block` and `timeout` are ignored, as the original's are."""
        self._items.append(item)
        if self._waiters:
            grant_next(self._waiters)

    def put_nowait(self, item: Any) -> None:
        """As put()."""
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the first item; yields while there is none, for `timeout` seconds at most.

        Raises queue.Empty; ValueError for a negative timeout.
        """
        items = self._items
        deadline = None
        if block and timeout is not None:
            if timeout < 0:
                raise ValueError("'timeout' must be a non-negative number")
            deadline = time.monotonic() + timeout
        while True:
            try:
                return items.popleft()
            except IndexError:
                if not block:
                    raise Empty from None
            if not self._wait(None if deadline is None else max(0.0, deadline - time.monotonic())) and not items:
                raise Empty

    def get_nowait(self) -> Any:
        """As get(False)."""
        return self.get(False)

    def empty(self) -> bool:
        """Whether there is no item now."""
        return not self._items

    def qsize(self) -> int:
        """How many items there are now."""
        return len(self._items)

    __class_getitem__: Any = classmethod(GenericAlias)

    def _wait(self, timeout: float | None) -> bool:
        """Wait for an item to be put; another may be quicker to take it.  False if the time was over."""
        waiters = self._waiters
        waiter = Waiter("waiting for a queue")
        waiters.append(waiter)
        try:
            # One that was put in another OS thread before the waiter stood in line woke nobody.
            return bool(self._items) or waiter.wait("queue", self, timeout)
        finally:
            if not leave(waiters, waiter) and self._items and waiters:
                # It was told of an item, which it may not take now: others wait.
                grant_next(waiters)


def _pass_for_original() -> None:
    made: Any = SimpleQueue
    made.__module__ = "_queue"


_pass_for_original()


def install(patcher: Patcher) -> None:
    """Replace SimpleQueue."""
    patcher.replace_everywhere(_queue, SimpleQueue=SimpleQueue)
