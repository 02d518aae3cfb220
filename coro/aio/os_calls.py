"""Blocking calls that the tasks of one asyncio loop hand to OS threads: what is behind run_in_executor(None, …).

Each call has a thread of ours that waits for it, so that `ps` shows what is under way and since when, and an
abandoned call is taken back from the queue.  The OS threads end when they have no work, and nobody joins them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from coro.exceptions import Interrupted, TimeoutError
from coro.os_thread import OSThreadPool
from coro.state import ThreadState, function_name
from coro.thread import coro

__all__ = ["OS_THREADS", "OSCalls"]

# As many as in_os_thread() has by default.
OS_THREADS = 20


class OSCalls:
    """The calls of one asyncio loop that OS threads are at.

    calls: our threads that wait for them, and the futures that tasks wait for.
    """

    __slots__ = ("_pool", "calls")

    def __init__(self) -> None:
        self._pool: OSThreadPool | None = None
        self.calls: dict[ThreadState, asyncio.Future[Any]] = {}

    def submit(
        self, loop: asyncio.AbstractEventLoop, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> asyncio.Future[Any]:
        """Have an OS thread call `function(*args)`; the future, one of `loop`, gets what it comes to.

        Cancelling the future takes the call back if it was not begun, else it drops the result.  Does not yield.
        """
        if not callable(function):
            raise TypeError(f"an OS thread needs a function to call, got {function!r}")
        if self._pool is None:
            # A late failure is one that a cancelled task no longer wanted to know.
            self._pool = OSThreadPool(OS_THREADS, name="asyncio", report_late_failures=False)
        future = loop.create_future()
        thread = coro(self._call, (self._pool, future, function, args), name=f"asyncio {_name(function)}")
        thread.start()
        self.calls[thread] = future
        thread.joiners = [self._ended]
        future.add_done_callback(lambda done: thread.shutdown() if done.cancelled() else None)
        return future

    @staticmethod
    def _call(
        pool: OSThreadPool, future: asyncio.Future[Any], function: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        try:
            value = pool.call(function, *args)
        except TimeoutError as error:
            # Also an Interrupted, but nothing that was sent to this thread.
            _tell(future, _fail, future, error)
        except Interrupted:
            # Nobody wants it any more; or the thread was shut down, and whoever awaits the call must hear of that.
            _tell(future, future.cancel)
            raise
        except BaseException as error:
            _tell(future, _fail, future, error)
        else:
            _tell(future, _succeed, future, value)

    def _ended(self, thread: ThreadState) -> None:
        del self.calls[thread]

    async def finish(self, timeout: float | None = None) -> bool:
        """Wait, `timeout` seconds at most, for all calls but cancelled ones; returns whether they have ended."""
        pending = [future for future in self.calls.values() if not future.done()]
        if not pending:
            return True
        return not (await asyncio.wait(pending, timeout=timeout))[1]

    def close(self) -> None:
        """Wait for nothing more, and take no more calls.  Does not yield."""
        for thread in list(self.calls):
            if isinstance(thread, coro):
                thread.shutdown()
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def _name(function: Callable[..., Any]) -> str:
    """A name for people; asyncio.to_thread() wraps the function that it was given."""
    if isinstance(function, partial) and isinstance(getattr(function.func, "__self__", None), Context):
        function = function.args[0]
    return function_name(function)


def _tell(future: asyncio.Future[Any], function: Callable[..., object], *args: Any) -> None:
    loop = future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, *args)


def _succeed(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if future.done():
        return
    if isinstance(error, StopIteration):
        # A future refuses it: in a coroutine it would look like its end.
        wrapped = RuntimeError(f"the function raised {error!r}")
        wrapped.__cause__ = error
        error = wrapped
    future.set_exception(error)
