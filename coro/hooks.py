"""What users may hang into the runtime: the exception notifier and the latency warning.

A hook that raises is reported and, in the loop, removed; it cannot stop anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from coro import collector, stderr
from coro.loop import loop
from coro.run_queue import LATENCY_UNIT_NS, NEVER_NS
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["install", "set_exception_notifier", "set_latency_hook", "set_latency_warning"]

MAX_LATENCY_FACTOR = 300

ExceptionNotifier = Callable[..., object]
LatencyHook = Callable[[Any, float, float], object]

_notifier: ExceptionNotifier | None = None
_notifier_takes_arguments = False
_latency_hook: LatencyHook | None = None
_latency_factor: float = 1


def install() -> None:
    """Connect the hooks to the core; the loop does so when it starts."""
    scheduler.exception_hook = _notify
    scheduler.hook_failed = _hook_failed
    loop.latency_hook = _warn


def set_exception_notifier(notifier: ExceptionNotifier | None) -> ExceptionNotifier | None:
    """Set what is called when an exception ends a thread; returns the old one (None for the default).

    notifier: `f(thread, exception)`; or, as Shrapnel's, a function without arguments, which finds the exception
        in sys.exc_info().  None restores the default, which prints the traceback to stderr.
    It runs in the thread that ends, and may block.  If it raises, the default runs too.
    """
    global _notifier, _notifier_takes_arguments
    if notifier is not None and not callable(notifier):
        raise TypeError(f"an exception notifier must be callable or None, got {notifier!r}")
    old = _notifier
    _notifier_takes_arguments = notifier is not None and _takes_two_arguments(notifier)
    _notifier = notifier
    return old


def set_latency_warning(factor: float) -> float:
    """Set from which length a slice is reported, in units of 0.2 s; returns the old factor.

    factor: 0 to 300; 0 turns the warning off; 1 is the default.
    A thread that runs that long without yielding is named, also if it ended in that slice.
    """
    global _latency_factor
    if not isinstance(factor, (int, float)) or isinstance(factor, bool):
        raise TypeError(f"the latency warning's factor must be a number, got {factor!r}")
    if not 0 <= factor <= MAX_LATENCY_FACTOR:
        raise ValueError(f"the latency warning's factor must be 0 to {MAX_LATENCY_FACTOR}, got {factor!r}")
    old = _latency_factor
    _latency_factor = factor
    limit = int(factor * LATENCY_UNIT_NS) if factor else NEVER_NS
    scheduler.latency_limit_ns = limit
    for thread in scheduler.all_threads.values():
        thread.slice_mark_ns = min(thread.longest_slice_ns, limit)
    return old


def get_latency_warning() -> float:
    """The factor that set_latency_warning() set."""
    return _latency_factor


def set_latency_hook(hook: LatencyHook | None) -> LatencyHook | None:
    """Set what is called with each slice over the limit of set_latency_warning(); returns the old one.

    hook: `f(thread, ran_seconds, collector_seconds)`; the collector's share is part of the first.  None restores
        the default, which prints one line to stderr.
    It runs in the loop and must not block.  One that raises is reported once, and the default comes back.
    """
    global _latency_hook
    if hook is not None and not callable(hook):
        raise TypeError(f"a latency hook must be callable or None, got {hook!r}")
    old = _latency_hook
    _latency_hook = hook
    return old


def _notify(thread: ThreadState, error: BaseException) -> None:
    notifier = _notifier
    if notifier is None:
        stderr.default_exception_notifier(thread, error)
        return
    try:
        if _notifier_takes_arguments:
            notifier(thread, error)
        else:
            notifier()
    except KeyboardInterrupt:
        raise
    except BaseException as failure:
        stderr.default_exception_notifier(thread, error)
        stderr.default_hook_failed("exception notifier", failure)


def _hook_failed(what: str, error: BaseException) -> None:
    stderr.default_hook_failed(what, error)


def _warn(thread: ThreadState, ran_ns: int, now: int) -> None:
    global _latency_hook
    ran_s = ran_ns / 1e9
    collector_s = collector.pause_ns_within(now - ran_ns, now) / 1e9
    if _latency_hook is not None:
        try:
            _latency_hook(thread, ran_s, collector_s)
            return
        except BaseException as failure:
            _latency_hook = None
            scheduler.note_interrupt(failure)
            stderr.default_hook_failed("latency hook", failure)
    stderr.default_latency_warning(thread, ran_s, collector_s)


def _takes_two_arguments(function: Callable[..., Any]) -> bool:
    """Whether a notifier is of the new kind.  What cannot be told (a builtin) is."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return True
    try:
        signature.bind(None, None)
    except TypeError:
        return False
    return True
