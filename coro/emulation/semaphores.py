"""Part of the area "thread": `multiprocessing`'s semaphores, and with them its locks, conditions and queues.

The original waits in C, and who holds it may wait for a thread of this process: the pool's thread that tells its
workers to end, for one.  The kernel has nothing that could be polled for a semaphore, so it is asked at intervals.
"""

from __future__ import annotations

from typing import Any

from coro.emulation.patching import Patcher
from coro.emulation.place import get_ident, may_park
from coro.emulation.waiting import TimeLeft
from coro.timed import sleep_relative

try:
    import _multiprocessing  # type: ignore[import-not-found]
except ImportError:
    # A system without semaphores; nor has multiprocessing any there.
    _multiprocessing = None

__all__ = ["install", "make_class"]

# multiprocessing.synchronize.RECURSIVE_MUTEX
_RECURSIVE = 0
_FIRST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.01


def make_class(original: Any) -> Any:
    """A subclass of _multiprocessing.SemLock whose waiting parks the thread."""

    class SemLock(original):  # type: ignore[misc]
        """As the original; recursive ones belong to a thread, not to an OS thread.

        An interrupted caller has not got it.
        """

        _owner = 0

        def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
            """Take it; yields if it has to wait.  As the original."""
            me = get_ident()
            if not self._try(me):
                if not block:
                    return False
                if not may_park():
                    if not original.acquire(self, block, timeout):
                        return False
                elif not self._wait(me, TimeLeft(None if timeout is None else max(timeout, 0.0))):
                    return False
            self._owner = me
            return True

        def _try(self, me: int) -> bool:
            # To C, all threads of the loop are one, which may take it again.
            taken = self.kind == _RECURSIVE and self._count() and self._owner != me
            return not taken and bool(original.acquire(self, False))

        def _wait(self, me: int, left: TimeLeft) -> bool:
            pause = _FIRST_PAUSE_S
            while not left.over():
                rest = left.seconds()
                sleep_relative(pause if rest is None else min(pause, rest))
                if self._try(me):
                    return True
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            return False

        def release(self) -> None:
            """Give it back.  Raises as the original.  Does not yield."""
            if self.kind == _RECURSIVE and not self._is_mine():
                raise AssertionError("attempt to release recursive lock not owned by thread")
            original.release(self)

        def _is_mine(self) -> bool:
            return bool(self._count()) and self._owner == get_ident()

        def __enter__(self) -> bool:
            return self.acquire()

        def __exit__(self, *exc_info: object) -> None:
            self.release()

    SemLock.__module__ = original.__module__
    SemLock.__qualname__ = original.__qualname__
    return SemLock


def install(patcher: Patcher) -> None:
    """Have `multiprocessing` make its locks and queues of these.  Does not yield."""
    if hasattr(_multiprocessing, "SemLock"):
        patcher.replace(_multiprocessing, SemLock=make_class(_multiprocessing.SemLock))
