"""event: something that has happened, or has not yet; it remembers.

Invariant: a thread in `_waiters` waits for the next set(), which takes it out: that is its grant.
"""

from __future__ import annotations

from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.sync.waiters import as_threads, check_timeout, wait_until, waiting_text
from coro.thread import coro

__all__ = ["event"]


class event:
    """A flag that threads wait for.  Unlike a condition_variable it remembers: once set, nobody waits."""

    __slots__ = ("__weakref__", "_flag", "_waiters")

    def __init__(self) -> None:
        self._flag = False
        # A dict is an ordered set here: anybody may leave from the middle.
        self._waiters: dict[ThreadState, None] = {}

    def set(self) -> None:
        """Set the flag and release everybody who waits for it, also if it is cleared before they run.

        Does not yield.  Raises YieldFromMain from another OS thread (there: call_from_os_thread).
        """
        scheduler.refuse_foreign("event.set()")
        self._flag = True
        released, self._waiters = self._waiters, {}
        for thread in released:
            scheduler.wake(thread)

    def clear(self) -> None:
        """Unset the flag: from now on wait() waits again.  Does not yield."""
        scheduler.refuse_foreign("event.clear()")
        self._flag = False

    def is_set(self) -> bool:
        """Whether the flag is set.  Does not yield."""
        return self._flag

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the flag is set; returns at once if it is.

        timeout: seconds; None waits for ever, 0 or less does not wait.
        Yields if it has to wait.  Raises coro.TimeoutError; YieldFromMain if it has to wait outside a thread.
        A caller that is interrupted just stops waiting; there is nothing that it could take from the others.
        """
        if timeout is not None:
            check_timeout(timeout)
        scheduler.refuse_foreign("event.wait()")
        if self._flag:
            return
        me = scheduler.current_thread("event.wait()")
        self._waiters[me] = None
        try:
            wait_until(lambda _: me not in self._waiters, "event", self, timeout)
        except BaseException:
            self._waiters.pop(me, None)
            raise

    @property
    def waiters(self) -> tuple[coro, ...]:
        """The threads that wait for set(), first come first."""
        return as_threads(self._waiters)

    def __repr__(self) -> str:
        state = "set" if self._flag else "not set"
        return f"<event {state}{waiting_text(self._waiters)} at {id(self):#x}>"
