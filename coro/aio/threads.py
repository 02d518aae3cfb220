"""in_thread(): a task has a thread do what blocks, and awaits it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from coro.aio.loop import EventLoop
from coro.state import ThreadState
from coro.thread import coro, notify_later

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call `function(*args, **kwargs)` in a new thread, where it may block as threads do; await its value.

    It runs in a copy of the task's context variables, and shows up in `ps` under the function's name.
    Raises what the function raises; DeadCoroutine if its thread was shut down by others; TypeError; RuntimeError
    outside a loop of coro.aio.
    A cancelled task shuts the thread down, waits for its end (its `finally` blocks run), and is cancelled then;
    each further cancellation shuts it down again.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, EventLoop):
        raise RuntimeError(f"coro.aio.in_thread() needs a loop of coro.aio.run(), and {loop!r} is none")
    if not callable(function):
        raise TypeError(f"coro.aio.in_thread() needs a function to call, got {function!r}")
    thread = coro(function, args, kwargs)
    # Its failure is raised here.
    thread.observers = 1
    watch = _Watch(loop, thread)
    thread.start()
    cancelled: asyncio.CancelledError | None = None
    while not thread.dead:
        try:
            await watch.ended()
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
            thread.shutdown()
    if cancelled is None:
        return thread.result()  # type: ignore[no-any-return]
    try:
        if thread.error is not None:
            # Nobody else will get it.
            notify_later(thread, thread.error)
        raise cancelled
    finally:
        del cancelled


class _Watch:
    """Tells a task of the end of a thread."""

    __slots__ = ("_future", "_loop")

    def __init__(self, loop: EventLoop, thread: coro) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        thread.joiners = [self._note]

    def ended(self) -> asyncio.Future[None]:
        """A new future, done when the thread has ended; cancelling it cancels nothing else."""
        self._future = self._loop.create_future()
        return self._future

    def _note(self, thread: ThreadState) -> None:
        """Called in the thread as it ends."""
        if self._future is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_finish, self._future)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
