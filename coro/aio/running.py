"""run(): an asyncio program in a thread, from its first step to the last clean-up.

Cancellation goes both ways.  What interrupts the thread cancels the main task; when that and the clean-up have come
to their ends, the interrupt is raised where the thread stands, in run().  A main task that was cancelled otherwise
leaves as asyncio.CancelledError.

Invariant: when run() is left, the loop is closed, and an interrupt that came meanwhile has been raised or is raised
at one of the thread's next parks.
"""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from coro.aio.loop import EventLoop
from coro.exceptions import Shutdown, YieldFromMain
from coro.scheduler import scheduler
from coro.shield import postpone_again
from coro.state import ThreadState

__all__ = ["run"]

T = TypeVar("T")


def run(
    main: Coroutine[Any, Any, T] | Callable[..., Coroutine[Any, Any, T]], *args: Any, debug: bool | None = None
) -> T:
    """Run an asyncio program in this thread: the coroutine `main`, and whatever tasks it makes, to their ends.

    main: a coroutine, such as `serve(port)` of an `async def serve(port)`; or the function, whose arguments follow:
        `coro.spawn(coro.aio.run, serve, port)` makes no coroutine that nobody would await if the thread never ran.
    debug: asyncio's debug mode; None for what the interpreter was started with.

    While the program waits, the other threads run; any number of threads may run such programs.  A task must not
    block as a thread may: then YieldFromMain, naming the task, is raised in it; see in_thread().
    At the end the other tasks are cancelled and awaited, asynchronous generators are closed, and calls in OS
    threads are waited for, as by asyncio.run(); after an interrupt, OS threads are not waited for.
    Returns what `main` returns.  Yields.
    Raises what `main` raises; asyncio.CancelledError if its task was cancelled by its own program; TypeError for
    what is no coroutine; RuntimeError inside another run() of this thread; YieldFromMain outside a thread.
    An interrupted caller: the main task is cancelled, and is so again by each further interrupt; when everything
    has come to its end, the first interrupt is raised here, and the next ones at the next parks.
    """
    main = _coroutine(main, args)
    try:
        me = scheduler.current_thread("coro.aio.run()")
        _refuse_nested(me)
        loop = EventLoop()
    except BaseException:
        # It never runs; without this the interpreter would complain of that, too.
        main.close()
        raise
    try:
        if debug is not None:
            loop.set_debug(debug)
        return _Run(loop, me).run(main)
    finally:
        loop.close()


def _coroutine(main: Any, args: tuple[Any, ...]) -> Coroutine[Any, Any, Any]:
    """The program as a coroutine."""
    given = main
    if asyncio.iscoroutine(main):
        if args:
            main.close()
            raise TypeError(f"coro.aio.run() takes arguments with a function only, not with a coroutine: {args!r}")
        return main
    if callable(main):
        main = main(*args)
        if asyncio.iscoroutine(main):
            return main
    raise TypeError(
        f"coro.aio.run() needs a coroutine or a function that makes one, such as an async def main(), got {given!r}"
    )


def _refuse_nested(me: ThreadState) -> None:
    outer = _get_running_loop()
    if outer is None:
        return
    task = asyncio.current_task(outer)
    who = "a callback" if task is None else f"the task {task.get_name()!r}"
    raise RuntimeError(
        f"coro.aio.run() was called by {who} of the asyncio loop that runs in {me!r} already; await the coroutine, "
        "or make the call in another thread"
    )


class _Run:
    """One run(): the loop, and the interrupts that have come."""

    __slots__ = ("_interrupts", "_loop", "_thread")

    def __init__(self, loop: EventLoop, thread: ThreadState) -> None:
        self._loop = loop
        self._thread = thread
        self._interrupts: list[BaseException] = []

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        task = self._loop.create_task(main)
        try:
            self._run_until(task)
            stopped = not task.done()
            self._clean_up()
            if stopped and not self._interrupts:
                raise RuntimeError(f"the asyncio loop of {self._thread!r} was stopped before its main task ended")
            if self._interrupts:
                self._raise_interrupt(task)
            return task.result()
        finally:
            # Tracebacks refer to this frame, which must not refer back.
            self._interrupts = []
            del task

    def _run_until(self, future: asyncio.Future[Any]) -> None:
        """Run the loop until the future is done, or somebody stops it; each interrupt cancels it (again)."""
        future.add_done_callback(_stop)
        try:
            while not future.done():
                try:
                    self._loop.run_forever()
                    if not future.done():
                        return
                except YieldFromMain:
                    # No interrupt: the thread cannot wait at all.
                    raise
                except BaseException as interrupt:
                    self._interrupts.append(interrupt)
                    if not future.done():
                        future.cancel(f"{self._thread!r} was interrupted by {interrupt!r}")
        finally:
            future.remove_done_callback(_stop)

    def _clean_up(self) -> None:
        """End everything that the program has left, as asyncio.run() does."""
        loop = self._loop
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            self._finish(asyncio.gather(*left, return_exceptions=True))
        for task in left:
            if not task.cancelled() and task.exception() is not None:
                self._report("a task that was left over failed while it was cancelled", task)
        self._finish(loop.create_task(loop.shutdown_asyncgens()))
        if not self._interrupts:
            # Once it is in a hurry it leaves the OS threads to themselves.
            self._finish(loop.create_task(loop.shutdown_default_executor()))

    def _finish(self, future: asyncio.Future[Any]) -> None:
        """Run the loop until the future is done, whoever stops it."""
        while not future.done():
            self._run_until(future)
        if not future.cancelled() and future.exception() is not None:
            self._report("cleaning up failed", future)

    def _raise_interrupt(self, task: asyncio.Task[Any]) -> NoReturn:
        """Raise the first interrupt, and leave the others for the thread's next parks."""
        first, *later = self._interrupts
        if not isinstance(first, Shutdown):
            for interrupt in later:
                postpone_again(self._thread, interrupt)
        if task.done() and not task.cancelled() and task.exception() not in (None, first):
            self._report("the main task failed after its thread was interrupted", task)
        try:
            raise first
        finally:
            del first, later, task

    def _report(self, message: str, future: asyncio.Future[Any]) -> None:
        self._loop.call_exception_handler({"message": message, "exception": future.exception(), "future": future})


def _stop(future: asyncio.Future[Any]) -> None:
    future.get_loop().stop()
