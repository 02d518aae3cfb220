"""When an installation is refused: before anything was changed, with the reason."""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection
from types import FrameType
from typing import Any

from coro.emulation import existing
from coro.emulation.place import in_foreign_os_thread, os_get_ident
from coro.loop import loop

__all__ = ["check"]

_RUNTIME_PREFIX = __name__.partition(".")[0] + "."
# Modules whose names are replaced: one that is being imported would go on with what it has seen so far.
_PATCHED = (
    "_pyio",
    "concurrent.futures",
    "queue",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
)


def check(areas: Collection[str], found: list[Any]) -> None:
    """Raise RuntimeError if these areas cannot be installed now.

    found: what existing.find() has found.
    """
    if in_foreign_os_thread():
        raise RuntimeError(
            f"the emulation must be installed in the main OS thread, not in OS thread {os_get_ident()} "
            f"({threading.current_thread().name!r})"
        )
    if loop.running:
        raise RuntimeError(
            "the emulation cannot be installed while an event loop is running: install it at the program's start, "
            "or run the program by `python -m coro`"
        )
    half = [
        name
        for name in _PATCHED
        if getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False)
    ]
    if half:
        raise RuntimeError(f"the emulation cannot be installed while {', '.join(half)} is being imported")
    if "thread" in areas:
        _check_os_threads()
        held = existing.held(found)
        if held:
            raise RuntimeError(f"the emulation cannot be installed while locks are held: {'; '.join(held)}")


def _check_os_threads() -> None:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    others = [
        f"{names.get(ident, 'unknown')!r} ({ident}) in {_innermost(frame)}"
        for ident, frame in sys._current_frames().items()
        if ident != os_get_ident() and not _is_of_runtime(frame)
    ]
    if others:
        raise RuntimeError(
            "the emulation must be installed before OS threads are started, but there "
            f"{'is' if len(others) == 1 else 'are'} {', '.join(others)}: install it earlier, or run the program by "
            "`python -m coro`"
        )


def _innermost(frame: FrameType) -> str:
    return f"{frame.f_code.co_qualname}() of {frame.f_globals.get('__name__')}"


def _is_of_runtime(frame: FrameType | None) -> bool:
    """Whether an OS thread is one of the runtime's own: the sentinel, one of a pool."""
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(_RUNTIME_PREFIX):
            return True
        frame = frame.f_back
    return False
