"""Starting emulated threads: what `_thread` does, with coroutine threads.

Invariant: `alive` holds the emulated threads that have been started and have not ended.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import MethodType
from typing import Any

from coro.emulation.locks import Sentinel, allocate_sentinel
from coro.emulation.member import EmulatedThread
from coro.emulation.place import in_foreign_os_thread
from coro.exceptions import DeadCoroutine, Shutdown
from coro.loop import loop
from coro.run_queue import NO_KWARGS
from coro.scheduler import scheduler
from coro.state import ThreadState, function_name
from coro.thread import initialise, next_id

__all__ = ["alive", "begin", "count", "forget_abandoned", "make_thread", "set_sentinel", "start_new_thread"]

alive: set[EmulatedThread] = set()
# sys.UnraisableHookArgs, once it is known.
_unraisable_type: list[Callable[[tuple[object, ...]], Any]] = []


def start_new_thread(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, /
) -> int:
    """As _thread.start_new_thread(): start a thread, return its number.  Does not yield."""
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(args, tuple):
        raise TypeError("2nd arg must be a tuple")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise TypeError("optional 3rd arg must be a dictionary")
    thread = make_thread(function, args, kwargs or NO_KWARGS)
    begin(thread)
    return thread.id


def make_thread(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> EmulatedThread:
    """Make a thread that begin() starts.  For functions that stand in for those of `_thread`."""
    thread: EmulatedThread = object.__new__(EmulatedThread)
    owner = function.__self__ if isinstance(function, MethodType) else None
    thread.python_thread = owner if isinstance(owner, threading.Thread) else None
    thread.on_end = None
    name = function_name(function) if thread.python_thread is None else thread.python_thread.name
    initialise(thread, _run, (function, args, kwargs), NO_KWARGS, next_id(), name)
    frame = sys._getframe(2)
    thread.spawn_code = frame.f_code
    thread.spawn_lasti = frame.f_lasti
    thread.joiners = [_ended]
    alive.add(thread)
    return thread


def begin(thread: EmulatedThread) -> None:
    """Have the thread run, from whatever OS thread.  Does not yield."""
    if in_foreign_os_thread():
        loop.post(_start, thread)
    else:
        _start(thread)


def _start(thread: EmulatedThread) -> None:
    thread.scheduled = True
    scheduler.ready.append(thread)


def _ended(thread: ThreadState) -> None:
    """Called in every emulated thread when it ends, also when it was cancelled."""
    assert isinstance(thread, EmulatedThread)
    alive.discard(thread)
    thread.part()


def forget_abandoned() -> None:
    """The loop has ended: those that did not end by themselves have ended now, for whoever joins them."""
    for thread in [thread for thread in alive if thread.dead]:
        # What the thread itself would have done on its way out.
        threading._active.pop(thread.id, None)  # type: ignore[attr-defined]
        _ended(thread)


def _run(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """What an emulated thread runs: failures are told as the interpreter tells them."""
    trace, profile = sys.gettrace(), sys.getprofile()
    try:
        function(*args, **kwargs)
    except (SystemExit, Shutdown):
        return
    except BaseException as error:
        _report(function, error)
    finally:
        # Greenlets share these; a thread's own are not for the next.
        if sys.gettrace() is not trace:
            sys.settrace(trace)
        if sys.getprofile() is not profile:
            sys.setprofile(profile)


def _report(function: Callable[..., object], error: BaseException) -> None:
    """Hand a failure to sys.unraisablehook, as the interpreter does for an OS thread."""
    # The frame of _run() tells nothing.
    traceback = error.__traceback__
    traceback = traceback.tb_next if traceback is not None else None
    if not _unraisable_type:
        _learn_unraisable_type()
    error.__traceback__ = traceback
    said: tuple[str, object] = ("Exception ignored in thread started by", function)
    if sys.version_info >= (3, 13):
        said = (f"Exception ignored in thread started by {function!r}", None)
    sys.unraisablehook(_unraisable_type[0]((type(error), error, traceback, *said)))


class _Provocation:
    def __del__(self) -> None:
        raise DeadCoroutine(None, "provoked")


def _learn_unraisable_type() -> None:
    """The type of what sys.unraisablehook() gets has no name that could be imported."""
    former = sys.unraisablehook
    sys.unraisablehook = lambda args: _unraisable_type.append(type(args))
    try:
        _Provocation()
    finally:
        sys.unraisablehook = former


def count() -> int:
    """As _thread._count(): how many threads there are but the main thread."""
    return len(alive)


def set_sentinel() -> Sentinel:
    """As _thread._set_sentinel(): a lock that is released when the current thread ends."""
    lock = allocate_sentinel()
    thread = scheduler.current
    if isinstance(thread, EmulatedThread) and not in_foreign_os_thread():
        thread.on_end = lock.let_go
    return lock
