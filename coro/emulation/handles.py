"""What `_thread` has from Python 3.13 on: handles to join threads by, in place of locks.

Invariant: a handle's lock is held from the start of its thread to its end.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

from coro.emulation.locks import Sentinel, allocate_sentinel
from coro.emulation.place import get_ident, place
from coro.emulation.starting import begin, make_thread
from coro.run_queue import NO_KWARGS
from coro.scheduler import scheduler

__all__ = ["ThreadHandle", "main_thread_ident", "make_thread_handle", "shutdown", "start_joinable_thread"]

# Of threads that the interpreter's exit waits for.
_joined_at_exit: set[ThreadHandle] = set()
_all: weakref.WeakSet[ThreadHandle] = weakref.WeakSet()


class ThreadHandle:
    """What _thread._ThreadHandle is: of a thread that is yet to be started, of one that runs, or has ended."""

    __slots__ = ("__weakref__", "_done", "_ended", "_ident")

    def __init__(self) -> None:
        self._ident = 0
        self._done = False
        self._ended: Sentinel = allocate_sentinel()
        _all.add(self)

    def __repr__(self) -> str:
        return f"<_ThreadHandle object: ident={self._ident}>"

    @property
    def ident(self) -> int:
        """The thread's number; 0 before its start."""
        return self._ident

    def begin(self, ident: int) -> None:
        """The thread runs from now on.  Raises RuntimeError the second time."""
        if self._ident:
            raise RuntimeError("thread already started")
        self._ident = ident
        self._ended.acquire()

    def is_done(self) -> bool:
        """Whether the thread has ended."""
        return self._done

    def join(self, timeout: float | None = None, /) -> None:
        """Wait for the thread's end, for `timeout` seconds at most; None and negative numbers mean for ever.

        Yields.  Raises RuntimeError for a thread that was not started, and in the thread itself.
        """
        if not self._ident:
            raise RuntimeError("thread not started")
        if self._done:
            return
        if self._ident == get_ident():
            raise RuntimeError("Cannot join current thread")
        if self._ended.acquire(True, -1 if timeout is None or timeout < 0 else timeout):
            self._ended.release()

    def end(self) -> None:
        """The thread has ended."""
        self._done = True
        _joined_at_exit.discard(self)
        self._ended.let_go()

    _set_done = end


def start_joinable_thread(
    function: Callable[[], object], handle: ThreadHandle | None = None, daemon: bool = True
) -> ThreadHandle:
    """As _thread.start_joinable_thread().  Does not yield."""
    if not callable(function):
        raise TypeError("thread function must be callable")
    handle = ThreadHandle() if handle is None else handle
    if not isinstance(handle, ThreadHandle):
        raise TypeError("'handle' must be a _ThreadHandle")
    thread = make_thread(function, (), NO_KWARGS)
    handle.begin(thread.id)
    thread.on_end = handle.end
    if not daemon:
        _joined_at_exit.add(handle)
    begin(thread)
    return handle


def make_thread_handle(ident: int) -> ThreadHandle:
    """As _thread._make_thread_handle(): of a thread that was started by others."""
    handle = ThreadHandle()
    handle.begin(ident)
    return handle


def shutdown() -> None:
    """As _thread._shutdown(): wait for the threads that are no daemons."""
    while _joined_at_exit:
        next(iter(_joined_at_exit)).join()


def main_thread_ident() -> int:
    """As _thread._get_main_thread_ident()."""
    main = place.main
    return place.home if main is None or main is scheduler.adopted else main.id


def _after_fork_in_child() -> None:
    me = get_ident()
    _joined_at_exit.clear()
    for handle in list(_all):
        if handle._ident != me:
            handle._ended._at_fork_reinit()
            if handle._ident:
                handle._done = True


os.register_at_fork(after_in_child=_after_fork_in_child)
