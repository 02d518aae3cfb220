"""semaphore: so many permits, and threads that take some of them.

Invariant: `_avail` counts what nobody has been given; while the first in line could have its share, it is given
it.  So if somebody waits, the first in line asks for more than there is.
"""

from __future__ import annotations

from collections import deque

from greenlet import getcurrent

from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.sync.waiters import as_threads, check_count, check_timeout, forget, is_leaving, wait_until, waiting_text
from coro.thread import coro

__all__ = ["semaphore"]


class _Request:
    """What one waiter asks for, and whether it was granted."""

    __slots__ = ("granted", "permits", "thread")

    def __init__(self, thread: ThreadState, permits: int) -> None:
        self.thread = thread
        self.permits = permits
        self.granted = False


class semaphore:
    """A number of permits: acquire() takes some and waits while there are too few, release() puts some back.

    n: permits at the start, 0 or more.
    Served in the order of asking: a big request at the head is not overtaken by a small one that could be met.
    `with` takes one permit and puts it back.
    """

    __slots__ = ("__weakref__", "_avail", "_waiters")

    def __init__(self, n: int) -> None:
        check_count(n, "a semaphore's permits", 0)
        self._avail = n
        self._waiters: deque[_Request] = deque()

    def acquire(self, k: int = 1, timeout: float | None = None) -> None:
        """Take `k` permits; waits until they are there and everybody who asked before is served.

        k: 1 or more.
        timeout: seconds; None waits for ever, 0 or less does not wait.
        Yields if it has to wait.  Raises coro.TimeoutError; YieldFromMain if it has to wait outside a thread.
        A caller that is interrupted before it runs again has taken nothing: permits that it had been given go to
        the next in line.
        """
        if type(k) is not int or k < 1:
            check_count(k, "the permits of semaphore.acquire()", 1)
        if timeout is not None:
            check_timeout(timeout)
        try:
            me: ThreadState | None = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            scheduler.refuse_foreign("semaphore.acquire()")
            me = None
        if self._waiters:
            # Those in line may be leaving, or gone in a fork: then nobody is before the caller.
            self._grant()
        if k <= self._avail and not self._waiters:
            self._avail -= k
            return
        if me is None:
            me = scheduler.refuse("semaphore.acquire()")
        self._wait(_Request(me, k), timeout)

    def release(self, k: int = 1) -> None:
        """Put `k` permits back, 1 or more; threads whose turn it is get them.

        They need not have been taken before: this is also how a semaphore is made larger.
        Does not yield.  Raises YieldFromMain from another OS thread.
        """
        if type(k) is not int or k < 1:
            check_count(k, "the permits of semaphore.release()", 1)
        try:
            _ = getcurrent().thread  # type: ignore[attr-defined]
        except AttributeError:
            scheduler.refuse_foreign("semaphore.release()")
        self._avail += k
        if self._waiters:
            self._grant()

    @property
    def avail(self) -> int:
        """How many permits are there to be taken."""
        return self._avail

    def __int__(self) -> int:
        return self._avail

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    @property
    def waiters(self) -> tuple[coro, ...]:
        """The threads that wait for permits, first come first."""
        return as_threads([request.thread for request in self._waiters])

    def __repr__(self) -> str:
        return f"<semaphore {self._avail} available{waiting_text(self.waiters)} at {id(self):#x}>"

    def _wait(self, request: _Request, timeout: float | None) -> None:
        self._waiters.append(request)
        try:
            wait_until(lambda _: request.granted, "semaphore", self, timeout)
        except BaseException:
            if request.granted:
                self._avail += request.permits
            else:
                forget(self._waiters, request)
            self._grant()
            raise

    def _grant(self) -> None:
        """Serve those in line, in order, as far as the permits go."""
        waiters = self._waiters
        while waiters:
            request = waiters[0]
            if is_leaving(request.thread):
                waiters.popleft()
            elif request.permits <= self._avail:
                waiters.popleft()
                self._avail -= request.permits
                request.granted = True
                scheduler.wake(request.thread)
            else:
                return
