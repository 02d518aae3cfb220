"""The asyncio loop that runs in a thread.

asyncio's own loop for Unix, with some things replaced: its selector parks the thread, its queue of callbacks lets
the others run in time, its clock is ours, it is woken without a pipe, and what needs signals or OS threads is done
our way.

Invariant: it parks between two callbacks only, so a task's step is never interrupted, by anybody.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import warnings
from asyncio.unix_events import _UnixSubprocessTransport  # type: ignore[attr-defined]
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from coro.aio.children import Children
from coro.aio.os_calls import OSCalls
from coro.aio.ready import PausingQueue
from coro.aio.selector import ParkingSelector
from coro.aio.step import Step
from coro.aio.tasks import views_of
from coro.guests import GuestTask, guests
from coro.loop import loop as coro_loop
from coro.scheduler import scheduler

__all__ = ["EventLoop"]

# Timers are due this much too early, or the rounding of floats would have the loop wake in vain, and spin.
_RESOLUTION_S = 1e-6


class EventLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop for a thread: while it waits, the other threads run.

    It runs in one thread at a time.  Signal handlers cannot be added; everything else is as asyncio documents it.
    at_close: called with no arguments when the loop is closed: for those in other threads who would wait in vain.
    """

    _default_executor: concurrent.futures.Executor | None
    # Until asyncio's own __init__ says otherwise: one that could not be made needs no closing.
    _closed = True

    def __init__(self) -> None:
        self._step = Step()
        self._parking = ParkingSelector(self._step)
        self._os_calls = OSCalls()
        self._children = Children()
        self.at_close: dict[object, Callable[[], object]] = {}
        super().__init__(self._parking)
        self._ready = PausingQueue(self._parking.pause)
        self._clock_resolution = _RESOLUTION_S

    def time(self) -> float:
        """The clock of our loop, in seconds: time.monotonic(), or a fake one."""
        return scheduler.clock() / 1e9

    # -- running

    def run_forever(self) -> None:
        """Run until stop() is called.

        Yields.  Raises what interrupts the thread, between two steps; the loop can then run on.
        Raises YieldFromMain outside a thread; RuntimeError inside a task of another loop.
        """
        self._check_closed()  # type: ignore[attr-defined]
        self._check_running()  # type: ignore[attr-defined]
        me = scheduler.current_thread("an asyncio loop of coro.aio")
        hooks = (self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)  # type: ignore[attr-defined]
        self._step.begin(self, hooks)
        guests[me.id] = self
        try:
            super().run_forever()
        finally:
            self._step.end()
            del guests[me.id]

    def close(self) -> None:
        """Close the loop.  Calls in OS threads are abandoned, children are left to a thread that reaps them."""
        if self.is_running():
            raise RuntimeError(f"a running asyncio loop cannot be closed: {self!r}")
        if self.is_closed():
            return
        self._os_calls.close()
        self._children.close(self)
        super().close()
        while self.at_close:
            self.at_close.popitem()[1]()

    def view_tasks(self) -> Iterator[GuestTask | None]:
        """See coro.guests.Guest."""
        return views_of(self)

    # -- being woken

    def _make_self_pipe(self) -> None:
        """Other OS threads wake our loop, which has a pipe of its own."""

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        """What call_soon_threadsafe() calls, after it has queued something."""
        if scheduler.in_loop_os_thread():
            self._parking.wake()
        else:
            coro_loop.post(self._parking.wake)

    # -- blocking calls

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """As asyncio's.  The default executor is one of real OS threads, 20 at most, also under emulation."""
        if executor is not None or self._default_executor is not None:
            return super().run_in_executor(executor, func, *args)
        self._check_closed()  # type: ignore[attr-defined]
        self._check_default_executor()  # type: ignore[attr-defined]
        return self._os_calls.submit(self, func, args)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Take no more calls for the default executor, and wait for those that are under way.

        timeout: seconds, None for ever; then it warns, and leaves them to themselves.
        """
        self._executor_shutdown_called = True
        if self._default_executor is not None:
            # asyncio's own way starts an OS thread, and joins it in the middle of a step.
            self._os_calls.submit(self, self._default_executor.shutdown, ())
        if not await self._os_calls.finish(timeout):
            warnings.warn(f"calls in OS threads did not end within {timeout} s", RuntimeWarning, stacklevel=2)

    # -- what is done otherwise

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> NoReturn:  # type: ignore[override]
        """Refused: a signal belongs to the process, and its loop is not this one."""
        raise NotImplementedError(
            f"an asyncio loop in a thread cannot handle signal {sig!r}: use coro.signal_handler.register(), whose "
            "handler runs in a thread of its own and may call loop.call_soon_threadsafe()"
        )

    async def _make_subprocess_transport(
        self,
        protocol: Any,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As asyncio's, but for who waits for the child."""
        waiter = self.create_future()
        transport = _UnixSubprocessTransport(
            self, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=waiter, extra=extra, **kwargs
        )
        try:
            self._children.watch(self, transport)
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport
