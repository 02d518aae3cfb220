"""Area "thread": `_thread`, and by it `threading`, whose own Python stays as it is.

Replaced are the names of `_thread`, and the same objects wherever a module that is imported already has them as
globals.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

from coro.emulation import driver, handles, semaphores, starting
from coro.emulation.locks import Lock, RLock, allocate_lock
from coro.emulation.patching import Patcher, original
from coro.emulation.place import get_ident, get_native_id, in_foreign_os_thread, place
from coro.emulation.thread_locals import local
from coro.exceptions import Shutdown
from coro.loop import loop
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.thread import coro

__all__ = ["install"]

_RUNTIME_PREFIX = __name__.partition(".")[0] + "."
_os_current_frames = original("sys", "_current_frames")
_original_dummy: Any = threading._DummyThread
_original_maker: Any = threading._make_invoke_excepthook  # type: ignore[attr-defined]


class _DummyThread(_original_dummy):  # type: ignore[misc]
    """The threading.Thread of a thread that coro.spawn() made: it has that one's name, and goes when it ends."""

    def __init__(self) -> None:
        super().__init__()
        thread = None if in_foreign_os_thread() else scheduler.current
        if isinstance(thread, coro):
            self._name = thread.get_name()
            if thread.joiners is None:
                thread.joiners = []
            thread.joiners.append(_forget_dummy if type(thread) is coro else _forget_dummy_later)


# Of threads that _thread.start_new_thread() has started, the interpreter forgets none; but it uses numbers again.
_DUMMIES_KEPT = 100
_ended_dummies: deque[int] = deque()


def _forget_dummy(thread: ThreadState) -> None:
    threading._active.pop(thread.id, None)  # type: ignore[attr-defined]


def _forget_dummy_later(thread: ThreadState) -> None:
    _ended_dummies.append(thread.id)
    if len(_ended_dummies) > _DUMMIES_KEPT:
        threading._active.pop(_ended_dummies.popleft(), None)  # type: ignore[attr-defined]


def _make_invoke_excepthook() -> Callable[[threading.Thread], None]:
    """As the original; but a thread that is shut down has not failed."""
    invoke: Callable[[threading.Thread], None] = _original_maker()

    def invoke_excepthook(thread: threading.Thread) -> None:
        if not isinstance(sys.exception(), Shutdown):
            invoke(thread)

    return invoke_excepthook


_name_of_thread: Any = vars(threading.Thread)["name"]


def _set_name(self: threading.Thread, name: str) -> None:
    """As setting threading.Thread.name; the coroutine thread follows."""
    _name_of_thread.__set__(self, name)
    thread = scheduler.adopted if self is threading.main_thread() else scheduler.all_threads.get(self.ident or 0)
    if thread is not None:
        thread._name = self.name


_followed_name = property(_name_of_thread.fget, _set_name, None, _name_of_thread.__doc__)


def _current_frames() -> dict[int, FrameType]:
    """As sys._current_frames(), with the coroutine threads; the runtime itself asks for the OS threads only."""
    frames: dict[int, FrameType] = _os_current_frames()
    if str(sys._getframe(1).f_globals.get("__name__")).startswith(_RUNTIME_PREFIX):
        return frames
    frames.pop(place.home, None)
    for thread in list(scheduler.all_threads.values()):
        ident = place.home if thread is scheduler.adopted else thread.id
        frame = None if thread.carrier is None else thread.carrier.gr_frame
        if thread is scheduler.current:
            frame = sys._getframe(1)
        if frame is not None:
            frames[ident] = frame
    if get_ident() not in frames:
        frames[get_ident()] = sys._getframe(1)
    return frames


def install(patcher: Patcher) -> None:
    """Replace what threads and locks are made of."""
    driver.install()
    if starting.forget_abandoned not in loop.at_close:
        loop.at_close.append(starting.forget_abandoned)
    names: dict[str, Any] = {
        "start_new_thread": starting.start_new_thread,
        "start_new": starting.start_new_thread,
        "allocate_lock": allocate_lock,
        "allocate": allocate_lock,
        "LockType": Lock,
        "lock": Lock,
        "RLock": RLock,
        "get_ident": get_ident,
        "get_native_id": get_native_id,
        "_count": starting.count,
        "_set_sentinel": starting.set_sentinel,
        "_local": local,
        # From Python 3.13 on.
        "_ThreadHandle": handles.ThreadHandle,
        "_get_main_thread_ident": handles.main_thread_ident,
        "_make_thread_handle": handles.make_thread_handle,
        "_shutdown": handles.shutdown,
        "start_joinable_thread": handles.start_joinable_thread,
    }
    main: Any = threading.main_thread()
    if isinstance(getattr(main, "_handle", None), getattr(_thread, "_ThreadHandle", ())):
        main._handle = handles.make_thread_handle(main.ident)
    patcher.replace_everywhere(_thread, **names)
    patcher.replace(threading.Thread, name=_followed_name)
    patcher.replace(sys, _current_frames=_current_frames)
    patcher.replace(threading, _DummyThread=_DummyThread, _make_invoke_excepthook=_make_invoke_excepthook)
    semaphores.install(patcher)
