"""wait(): a thread waits for a future of an asyncio loop in another thread, or for one of concurrent.futures."""

from __future__ import annotations

import asyncio
import concurrent.futures
from asyncio.events import _get_running_loop
from typing import Any, TypeVar, overload

from coro.aio.loop import EventLoop
from coro.loop import loop as coro_loop
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.timed import park_timed

__all__ = ["wait"]

T = TypeVar("T")


class _Waiter:
    """One thread in wait()."""

    __slots__ = ("_thread", "_token", "done")

    def __init__(self, thread: ThreadState) -> None:
        self._thread = thread
        self._token = coro_loop.token
        self.done = False

    def is_done(self) -> bool:
        return self.done

    def wake(self, future: object = None) -> None:
        """The wait is over.  In the OS thread of our loop."""
        self.done = True
        if not self._thread.dead:
            scheduler.wake(self._thread)

    def post(self, future: object = None) -> None:
        """The wait is over.  In any OS thread."""
        if coro_loop.token is self._token:
            coro_loop.post(self.wake)


@overload
def wait(future: asyncio.Future[T], timeout: float | None = None) -> T: ...
@overload
def wait(future: concurrent.futures.Future[T], timeout: float | None = None) -> T: ...
def wait(future: Any, timeout: float | None = None) -> Any:
    """Wait, in a thread, until a future is done, and return its value.

    future: an asyncio future or task, whose loop runs in another thread (or in another OS thread), or a future of
        concurrent.futures, such as asyncio.run_coroutine_threadsafe() returns.
    timeout: seconds, None for ever.
    Yields.  Raises the future's exception; CancelledError if it was cancelled; coro.TimeoutError; RuntimeError if
    its asyncio loop was closed before it was done, and in a task, which is to await it instead; TypeError for what
    is no future; YieldFromMain outside a thread.
    An interrupted caller, as one whose time is over, stops waiting, and the future goes on.  If it is to end, have
    its loop cancel it: `future.get_loop().call_soon_threadsafe(future.cancel)`.
    """
    if isinstance(future, concurrent.futures.Future):
        return _wait_concurrent(future, timeout)
    if not asyncio.isfuture(future):
        raise TypeError(f"coro.aio.wait() needs a future or a task, got {future!r}")
    if _get_running_loop() is not None:
        raise RuntimeError(f"coro.aio.wait() would block the asyncio loop that called it; await {future!r} instead")
    me = scheduler.current_thread("coro.aio.wait()")
    loop = future.get_loop()
    if not future.done():
        if isinstance(loop, EventLoop):
            _wait_here(me, loop, future, timeout)
        else:
            _wait_elsewhere(me, loop, future, timeout)
    return future.result()


def _wait_here(me: ThreadState, loop: EventLoop, future: asyncio.Future[Any], timeout: float | None) -> None:
    """The loop runs in this OS thread, and not while we do: its futures can be touched."""
    _check_open(loop, future)
    waiter = _Waiter(me)
    future.add_done_callback(waiter.wake)
    loop.at_close[waiter] = waiter.wake
    try:
        park_timed("future", future, timeout, waiter.is_done)
    finally:
        future.remove_done_callback(waiter.wake)
        loop.at_close.pop(waiter, None)
    if not future.done():
        _check_open(loop, future)


def _check_open(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
    if loop.is_closed():
        raise RuntimeError(f"{future!r} will never be done: its asyncio loop is closed")


def _wait_elsewhere(
    me: ThreadState, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], timeout: float | None
) -> None:
    """The loop is one of another OS thread."""
    waiter = _Waiter(me)
    # Raises RuntimeError if it is closed.
    loop.call_soon_threadsafe(future.add_done_callback, waiter.post)
    try:
        park_timed("future", future, timeout, waiter.is_done)
    finally:
        if not waiter.done and not loop.is_closed():
            loop.call_soon_threadsafe(future.remove_done_callback, waiter.post)


def _wait_concurrent(future: concurrent.futures.Future[T], timeout: float | None) -> T:
    if not future.done():
        waiter = _Waiter(scheduler.current_thread("coro.aio.wait()"))
        future.add_done_callback(waiter.post)
        try:
            park_timed("future", future, timeout, waiter.is_done)
        finally:
            _forget_concurrent(future, waiter)
    return future.result()


def _forget_concurrent(future: concurrent.futures.Future[Any], waiter: _Waiter) -> None:
    """Take the callback back: who asks after a future for days would leave one each time.  There is no method."""
    with future._condition:
        callbacks = future._done_callbacks  # type: ignore[attr-defined]
        if waiter.post in callbacks:
            callbacks.remove(waiter.post)
