"""rw_lock: many readers or one writer.

Invariant: `_writer` and `_readers` say who has the lock, and being written there is the grant.  If both are empty
nobody waits; if there is only a reader, those that wait are writers, or readers behind a writer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NoReturn, cast

from coro.exceptions import LockError
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.sync.waiters import (
    as_threads,
    calling_thread,
    check_timeout,
    forget,
    is_leaving,
    name_of,
    next_waiter,
    wait_until,
    waiting_text,
)
from coro.thread import coro

__all__ = ["rw_lock"]


class _Side:
    """What read() and write() return: locks at the beginning of a `with` block, unlocks at its end."""

    __slots__ = ("_lock", "_timeout", "_unlock")

    def __init__(
        self, lock: Callable[[float | None], None], unlock: Callable[[], None], timeout: float | None
    ) -> None:
        self._lock = lock
        self._unlock = unlock
        self._timeout = timeout

    def __enter__(self) -> None:
        self._lock(self._timeout)

    def __exit__(self, *exc_info: object) -> None:
        self._unlock()


class rw_lock:
    """A lock that many readers hold at once, or one writer alone.

    Writers are preferred: while one waits, new readers wait behind it.  Each kind is served in the order of asking.
    A thread may lock again what it holds, and unlocks it as many times.  A writer may read; a reader may not write.
    """

    __slots__ = ("__weakref__", "_readers", "_waiting_readers", "_waiting_writers", "_writer", "_writer_locks")

    def __init__(self) -> None:
        self._writer: ThreadState | None = None
        self._writer_locks = 0
        # Who reads, and how many times each has to unlock.  The writer is here too while it reads.
        self._readers: dict[ThreadState, int] = {}
        self._waiting_writers: deque[ThreadState] = deque()
        self._waiting_readers: deque[ThreadState] = deque()

    # -- reading

    def read_lock(self, timeout: float | None = None) -> None:
        """Lock for reading; waits while another thread writes, or waits to write.

        timeout: seconds; None waits for ever, 0 or less does not wait.
        A thread that reads or writes already never waits.
        Yields if it has to wait.  Raises coro.TimeoutError; YieldFromMain outside a thread.  A caller that is
        interrupted before it runs again has not got the lock, also if it had been given it.
        """
        me = scheduler.current_thread("rw_lock.read_lock()")
        if timeout is not None:
            check_timeout(timeout)
        if self._read_now(me):
            return
        self._waiting_readers.append(me)
        try:
            wait_until(lambda _: me in self._readers, "rw_lock read", self, timeout)
        except BaseException:
            if self._readers.pop(me, None) is None:
                forget(self._waiting_readers, me)
            self._grant()
            raise

    def try_read_lock(self) -> bool:
        """Try to lock for reading without waiting.

        Returns **True if it failed**, False if the caller has the lock, as Shrapnel's.
        Does not yield.  Raises YieldFromMain outside a thread.
        """
        return not self._read_now(scheduler.current_thread("rw_lock.try_read_lock()"))

    def read_unlock(self) -> None:
        """Give back one read lock of the caller's.

        Does not yield.  Raises LockError if the caller does not read; YieldFromMain from another OS thread.
        """
        me = calling_thread("rw_lock.read_unlock()")
        locks = self._readers.get(me, 0)
        if locks == 0:
            self._refuse_unlock(me, "read")
        if locks > 1:
            self._readers[me] = locks - 1
        else:
            del self._readers[me]
            self._grant()

    def read(self, timeout: float | None = None) -> _Side:
        """For `with rw.read():`.  The block runs with a read lock; `timeout` as for read_lock()."""
        return _Side(self.read_lock, self.read_unlock, timeout)

    # -- writing

    def write_lock(self, timeout: float | None = None) -> None:
        """Lock for writing; waits while another thread writes or reads.

        timeout: seconds; None waits for ever, 0 or less does not wait.
        A thread that writes already never waits, whether it reads as well or not.
        Yields if it has to wait.  Raises coro.TimeoutError; YieldFromMain outside a thread; LockError if the caller
        holds a read lock only: it would wait for itself.  A caller that is interrupted before it runs again has not
        got the lock, also if it had been given it: then it goes to the next in line, be it a writer or readers.
        """
        me = scheduler.current_thread("rw_lock.write_lock()")
        if timeout is not None:
            check_timeout(timeout)
        if self._write_now(me):
            return
        if me in self._readers:
            raise LockError(
                f"{name_of(me)} reads {self!r} and would wait for itself: read_unlock() before write_lock()",
                self,
                me,
            )
        self._waiting_writers.append(me)
        try:
            wait_until(lambda _: self._writer is me, "rw_lock write", self, timeout)
        except BaseException:
            if self._writer is me:
                self._writer = None
                self._writer_locks = 0
            else:
                forget(self._waiting_writers, me)
            self._grant()
            raise

    def try_write_lock(self) -> bool:
        """Try to lock for writing without waiting.

        Returns **True if it failed**, False if the caller has the lock, as Shrapnel's.
        Does not yield.  Raises YieldFromMain outside a thread.
        """
        return not self._write_now(scheduler.current_thread("rw_lock.try_write_lock()"))

    def write_unlock(self) -> None:
        """Give back one write lock of the caller's; if it reads as well, it goes on reading.

        Does not yield.  Raises LockError if the caller does not write; YieldFromMain from another OS thread.
        """
        me = calling_thread("rw_lock.write_unlock()")
        if self._writer is not me:
            self._refuse_unlock(me, "write")
        self._writer_locks -= 1
        if self._writer_locks == 0:
            self._writer = None
            self._grant()

    def write(self, timeout: float | None = None) -> _Side:
        """For `with rw.write():`.  The block runs with the write lock; `timeout` as for write_lock()."""
        return _Side(self.write_lock, self.write_unlock, timeout)

    # -- looking

    @property
    def writer(self) -> coro | None:
        """The thread that holds the write lock, or None."""
        return cast("coro | None", self._writer)

    @property
    def readers(self) -> tuple[coro, ...]:
        """The threads that hold read locks; the writer is among them if it reads as well."""
        return as_threads(self._readers)

    @property
    def waiting_writers(self) -> tuple[coro, ...]:
        """The threads that wait to write, first come first."""
        return as_threads(self._waiting_writers)

    @property
    def waiting_readers(self) -> tuple[coro, ...]:
        """The threads that wait to read, first come first."""
        return as_threads(self._waiting_readers)

    @property
    def waiters(self) -> tuple[coro, ...]:
        """All threads that wait: the writers, which go first, then the readers."""
        return self.waiting_writers + self.waiting_readers

    def __repr__(self) -> str:
        holders = [f"written by {name_of(self._writer)}"] if self._writer is not None else []
        if self._readers:
            holders.append("read by " + ", ".join(name_of(thread) for thread in self._readers))
        return f"<rw_lock {' and '.join(holders) or 'unlocked'}{waiting_text(self.waiters)} at {id(self):#x}>"

    # -- granting

    def _read_now(self, me: ThreadState) -> bool:
        """Give `me` a read lock if it need not wait; returns whether it was given one."""
        locks = self._readers.get(me, 0)
        # Who reads already must not wait for a writer that waits for it.
        if locks or self._writer is me or (self._writer is None and not self._writer_waits()):
            self._readers[me] = locks + 1
            return True
        return False

    def _write_now(self, me: ThreadState) -> bool:
        """Give `me` a write lock if it need not wait; returns whether it was given one."""
        if self._writer is me or (self._writer is None and not self._readers and not self._writer_waits()):
            self._writer = me
            self._writer_locks += 1
            return True
        return False

    def _writer_waits(self) -> bool:
        """Whether a writer waits that can use the lock; drops those at the head that cannot."""
        waiting = self._waiting_writers
        while waiting and is_leaving(waiting[0]):
            waiting.popleft()
        return bool(waiting)

    def _grant(self) -> None:
        """Something became free, or a waiter left: give what can be given."""
        if self._writer is not None:
            return
        if not self._readers:
            writer = next_waiter(self._waiting_writers)
            if writer is not None:
                self._writer = writer
                self._writer_locks = 1
                scheduler.wake(writer)
                return
        elif self._writer_waits():
            return
        while (reader := next_waiter(self._waiting_readers)) is not None:
            self._readers[reader] = 1
            scheduler.wake(reader)

    def _refuse_unlock(self, me: ThreadState, side: str) -> NoReturn:
        raise LockError(f"{name_of(me)} cannot {side}_unlock {self!r}: it holds no {side} lock of it", self, me)
