"""Signals while the loop runs.

Facts about the world that shaped this file:
- A Python-level handler runs in the main OS thread between two bytecodes of whichever thread runs then, so it may
  only note what happened and wake the loop.
- poll() is retried after EINTR; only the wake-up descriptor, written by the interpreter's C handler, ends it.
- The interpreter's own SIGINT handler raises KeyboardInterrupt wherever it happens to be, also inside the run
  queue.  While the loop runs, ours raises it in users' code only; inside the runtime it is left to the loop.

Invariant: handlers are installed over default ones only, in the main OS thread only, and restored afterwards.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from coro import leftovers
from coro.loop import loop
from coro.scheduler import scheduler

__all__ = ["installed", "restore"]

# Modules whose names begin like this are the runtime, which no KeyboardInterrupt may hit.
_RUNTIME_PREFIX = __name__.partition(".")[0] + "."
Handler = Callable[[int, FrameType | None], object]
# Signal number -> (the handler before, ours), and the wake-up descriptor before.
_replaced: dict[int, tuple[Any, Handler]] = {}
_former_fd = -1


@contextmanager
def installed(on_exit_signal: Callable[[], object] | None) -> Iterator[None]:
    """Handle signals for the loop: wake it for any, call `on_exit_signal` for SIGINT and SIGTERM.

    on_exit_signal: None leaves SIGTERM alone, and SIGINT a KeyboardInterrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def exit_handler(signum: int, frame: FrameType | None) -> None:
        on_exit_signal()  # type: ignore[misc]

    global _former_fd
    _former_fd = signal.set_wakeup_fd(loop.wakeup.signal_fileno(), warn_on_full_buffer=False)  # type: ignore[union-attr]
    try:
        if on_exit_signal is not None:
            _install(signal.SIGINT, exit_handler)
            _install(signal.SIGTERM, exit_handler)
        elif signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            _install(signal.SIGINT, _interrupt_handler)
        yield
    finally:
        restore()


def _install(signum: int, handler: Handler) -> None:
    former = signal.getsignal(signum)
    if former in (signal.SIG_DFL, signal.default_int_handler):
        signal.signal(signum, handler)
        _replaced[signum] = (former, handler)


def restore() -> None:
    """Put the handlers and the wake-up descriptor back; a handler that was changed meanwhile stays."""
    try:
        signal.set_wakeup_fd(_former_fd)
    except (OSError, ValueError):
        # Whoever set it has closed it since, or made it block.
        signal.set_wakeup_fd(-1)
    while _replaced:
        signum, (former, ours) = _replaced.popitem()
        if signal.getsignal(signum) is ours:
            signal.signal(signum, former)


def _interrupt_handler(signum: int, frame: FrameType | None) -> None:
    if loop.exit_requested or scheduler.uncaught is not None:
        # The loop is ending already.
        leftovers.hurry()
        return
    in_user_code = frame is not None and not str(frame.f_globals.get("__name__")).startswith(_RUNTIME_PREFIX)
    if in_user_code and scheduler.current is not None:
        raise KeyboardInterrupt
    scheduler.uncaught = KeyboardInterrupt()
    scheduler.poll_due = 0
