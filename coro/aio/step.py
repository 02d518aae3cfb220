"""The steps of the tasks of one asyncio loop: what is set while they are taken, and put aside around each wait.

What of asyncio belongs to the running loop is kept for the OS thread: the running loop itself, the hooks of
asynchronous generators, the depth of coroutine origins in debug mode.  All of it is put aside whenever the thread
parks, so that the other threads see nothing of it, and run loops of their own.

In the middle of a step nobody may park: the scheduler asks `scheduler.collecting`, which is this object then.  The
exception are locks of an emulated `threading`, see suspended().

Invariant: whenever another thread runs, this OS thread looks as if no asyncio loop ran.
"""

from __future__ import annotations

import asyncio
import math
import sys
from asyncio import tasks as asyncio_tasks
from asyncio.events import _set_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from coro.exceptions import YieldFromMain
from coro.scheduler import scheduler
from coro.shield import Shield
from coro.state import ThreadState

__all__ = ["Step"]

_set_hooks = sys.set_asyncgen_hooks
_get_depth = sys.get_coroutine_origin_tracking_depth
_set_depth = sys.set_coroutine_origin_tracking_depth
# From Python 3.12 on; before that, each loop's current task is kept for itself.
_swap_current_task: Callable[[Any, Any], Any] | None = getattr(asyncio_tasks, "_swap_current_task", None)


class Step:
    """What is set during a step of a task, or a callback, of one asyncio loop.

    As a function it raises the error for who would park in one.
    """

    __slots__ = ("_guest", "_inner_depth", "_inner_hooks", "_outer_depth", "_outer_hooks")

    # How long a lock may be waited for in the middle of a step, in seconds.
    limit_s = 1.0

    def __init__(self) -> None:
        self._guest: asyncio.AbstractEventLoop | None = None
        self._inner_hooks: tuple[Any, Any] = (None, None)
        self._outer_hooks: tuple[Any, Any] = (None, None)
        self._inner_depth = self._outer_depth = 0

    def begin(self, guest: asyncio.AbstractEventLoop, hooks: tuple[Any, Any]) -> None:
        """`guest` is about to run in this thread.  hooks: for asynchronous generators; it sets them itself."""
        self._guest = guest
        self._inner_hooks = hooks
        self._outer_hooks = tuple(sys.get_asyncgen_hooks())  # type: ignore[assignment]
        self._outer_depth = _get_depth()
        scheduler.collecting = self

    def end(self) -> None:
        """It has stopped.  Nothing that refers to it is kept."""
        scheduler.collecting = False
        self._guest = None
        self._inner_hooks = (None, None)

    def put_aside(self) -> None:
        """The thread is about to park."""
        scheduler.collecting = False
        _set_running_loop(None)
        _set_hooks(*self._outer_hooks)
        self._inner_depth = _get_depth()
        if self._inner_depth != self._outer_depth:
            _set_depth(self._outer_depth)

    def take_up(self) -> None:
        """The thread goes on."""
        if self._inner_depth != self._outer_depth:
            _set_depth(self._inner_depth)
        _set_hooks(*self._inner_hooks)
        _set_running_loop(self._guest)
        scheduler.collecting = self

    def __call__(self, thread: ThreadState) -> NoReturn:
        """Somebody would park in the middle of a step: raises YieldFromMain, which names the task."""
        task = asyncio.current_task(self._guest)
        who = "a callback of the asyncio loop" if task is None else f"the asyncio task {task.get_name()!r}"
        raise YieldFromMain(
            f"{who} in {thread!r} cannot block: all other tasks of its loop would wait with it; "
            "await an asynchronous call, or coro.aio.in_thread(function, ...)"
        )

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """For a wait in the middle of a step that asyncio programs make in good faith: for a lock, and a short one.

        Starting an OS thread, handing a call to an executor and logging are such waits.  As in plain Python the
        whole asyncio loop waits; the other threads go on.  Interrupts wait until the thread parks after the step.
        """
        thread = scheduler.current_thread("a lock")
        task = None if _swap_current_task is None else _swap_current_task(self._guest, None)
        former = thread.shield
        shield = Shield(math.inf)
        shield.outer = former
        thread.shield = shield
        self.put_aside()
        try:
            yield
        finally:
            self.take_up()
            thread.shield = former
            if _swap_current_task is not None:
                _swap_current_task(self._guest, task)
