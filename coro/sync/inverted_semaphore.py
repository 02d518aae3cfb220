"""inverted_semaphore: a count that goes up and down, and threads that wait until it is zero.

Nothing is given to a waiter: it looks at the count each time it runs, and stands in line until it leaves.
"""

from __future__ import annotations

from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.sync.waiters import as_threads, check_count, check_timeout, wait_until, waiting_text
from coro.thread import coro

__all__ = ["inverted_semaphore"]


class inverted_semaphore:
    """A count of what is still to be done: acquire() raises it, release() lowers it, neither ever waits.

    n: the count at the start, 0 or more.
    block_till_zero() waits until all is done.  `with` raises the count by one and lowers it again.
    """

    __slots__ = ("__weakref__", "_value", "_waiters")

    def __init__(self, n: int = 0) -> None:
        check_count(n, "an inverted_semaphore's value", 0)
        self._value = n
        # A dict is an ordered set here: anybody may leave from the middle.
        self._waiters: dict[ThreadState, None] = {}

    def acquire(self, k: int = 1) -> None:
        """Raise the count by `k`, 1 or more.

        Does not yield.  Raises YieldFromMain from another OS thread.
        """
        check_count(k, "what inverted_semaphore.acquire() adds", 1)
        scheduler.refuse_foreign("inverted_semaphore.acquire()")
        self._value += k

    def release(self, k: int = 1) -> None:
        """Lower the count by `k`, 1 or more; at zero all waiters are woken.

        Does not yield.  Raises ValueError if `k` is more than the count; YieldFromMain from another OS thread.
        """
        check_count(k, "what inverted_semaphore.release() takes away", 1)
        scheduler.refuse_foreign("inverted_semaphore.release()")
        if k > self._value:
            raise ValueError(f"cannot release {k} of {self!r}: no more than {self._value} can be released")
        self._value -= k
        if self._value == 0:
            for thread in list(self._waiters):
                if thread.dead:
                    # Left behind by a fork or the end of the loop: it will not leave by itself.
                    del self._waiters[thread]
                else:
                    scheduler.wake(thread)

    def block_till_zero(self, timeout: float | None = None) -> None:
        """Wait until the count is zero; returns at once if it is.

        timeout: seconds; None waits for ever, 0 or less does not wait.
        When this returns, the count is zero: a caller that was woken, but finds that the count has been raised
        again before it could run, waits on.
        Yields if it has to wait.  Raises coro.TimeoutError; YieldFromMain if it has to wait outside a thread.
        A caller that is interrupted just stops waiting.
        """
        if timeout is not None:
            check_timeout(timeout)
        scheduler.refuse_foreign("inverted_semaphore.block_till_zero()")
        if self._value == 0:
            return
        me = scheduler.current_thread("inverted_semaphore.block_till_zero()")
        self._waiters[me] = None
        try:
            wait_until(lambda _: self._value == 0, "inverted_semaphore", self, timeout)
        finally:
            del self._waiters[me]

    @property
    def value(self) -> int:
        """The count."""
        return self._value

    def __int__(self) -> int:
        return self._value

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    @property
    def waiters(self) -> tuple[coro, ...]:
        """The threads that wait for zero, first come first."""
        return as_threads(self._waiters)

    def __repr__(self) -> str:
        return f"<inverted_semaphore at {self._value}{waiting_text(self._waiters)} at {id(self):#x}>"
