"""Signal handlers that run as threads: they may block, print, take locks, as no real signal handler may.

    from coro import signal_handler
    signal_handler.register(signal.SIGHUP, lambda signum: reload_configuration())

Facts about the world that shaped this file:
- The interpreter runs a Python-level handler in the main OS thread, between two bytecodes of whatever runs there.
  So ours only notes the signal and posts to the loop.
- A signal says "at least once since you last looked": the kernel keeps one pending signal of a kind, not a count.
  Handlers here keep to that, so a storm of signals costs no more than one thread.

Invariant: of each signal at most one handler runs, and at most one more run is owed.
"""

from __future__ import annotations

import os
import signal
import threading
from _thread import get_ident
from collections.abc import Callable
from types import FrameType
from typing import Any

from coro import signals
from coro.exceptions import SimultaneousError
from coro.loop import loop
from coro.runtime import spawn
from coro.state import ThreadState

__all__ = ["SignalHandler", "register", "unregister"]

SignalHandler = Callable[[int], object]

_registered: dict[int, _Registration] = {}
_fork_hook_registered = False


def register(signum: int, handler: SignalHandler, once_only: bool = False) -> Any:
    """Have `handler(signum)` called, in a thread of its own, whenever the signal arrives.

    handler: runs in a thread named after the signal ("SIGHUP handler").  It may block.  If it raises, the exception
        goes to the exception notifier, and it stays registered.
    once_only: the first signal takes the handler away and puts the former one back.

    Signals that arrive while the handler runs, however many, make it run once more when it has returned.  Signals
    that arrive while no loop runs are handled when one starts.  The handler stays, over the end of the loop, until
    unregister().
    Returns the former handler, as signal.signal().
    Raises SimultaneousError if a handler is registered for this signal already; ValueError for a number that is no
    signal and outside the main OS thread; OSError (EINVAL) for SIGKILL and SIGSTOP, which cannot be caught.
    Does not yield.
    """
    number = _check_number(signum)
    if not callable(handler):
        raise TypeError(
            f"a handler of {_name(number)} must be callable, got {handler!r}; "
            "unregister() puts the former handler back, signal.signal() sets the default"
        )
    _check_os_thread("register()")
    other = _registered.get(number)
    if other is not None:
        raise SimultaneousError(handler, other.handler, ("signal", number))
    _register_fork_hook()
    registration = _Registration(number, handler, once_only)
    try:
        signal.signal(number, registration.arrived)
    except OSError as error:
        raise OSError(error.errno, f"{_name(number)} cannot be caught") from None
    _registered[number] = registration
    return registration.former


def unregister(signum: int) -> SignalHandler | None:
    """Take the handler of a signal away and put back the one that was there before.

    Returns the handler; None if there was none.  A run of it that has begun goes on; one that is owed is not made.
    If somebody else has set another handler with signal.signal() meanwhile, that one stays.
    Raises ValueError as register().  Does not yield.
    """
    number = _check_number(signum)
    _check_os_thread("unregister()")
    registration = _registered.get(number)
    if registration is None:
        return None
    registration.cancelled = True
    registration.restore()
    return registration.handler


class _Registration:
    """One registered handler.

    posted is set in the main OS thread and reset by the loop; all else is written by the loop, and by register()
    and unregister().
    """

    __slots__ = (
        "_former_token",
        "_thread",
        "again",
        "cancelled",
        "former",
        "handler",
        "once_only",
        "posted",
        "signum",
    )

    def __init__(self, signum: int, handler: SignalHandler, once_only: bool) -> None:
        self.signum = signum
        self.handler = handler
        self.once_only = once_only
        self.former: Any = signal.getsignal(signum)
        # Which loop set the former handler, if one did.
        self._former_token: object = loop.token
        # The latest run, ended or not.
        self._thread: ThreadState | None = None
        # Whether a call of begin() is under way to the loop.
        self.posted = False
        # Whether the signal arrived again while the handler ran.
        self.again = False
        self.cancelled = False

    def arrived(self, signum: int, frame: FrameType | None) -> None:
        """The interpreter's handler.  In the main OS thread, in the middle of anything."""
        if self.once_only:
            self.restore()
        if not self.posted:
            self.posted = True
            loop.post(self.begin)

    def begin(self) -> None:
        """See to it that the handler runs.  In the loop."""
        # First: a signal that arrives from here on asks for another run.
        self.posted = False
        if self._thread is not None and not self._thread.dead:
            self.again = True
        elif not self.cancelled:
            self._run()

    def restore(self) -> None:
        """Put the former handler back.  In the main OS thread."""
        if _registered.get(self.signum) is self:
            del _registered[self.signum]
        # A bound method is made anew at each access: equal, not identical.
        if signal.getsignal(self.signum) == self.arrived:
            signal.signal(self.signum, self._former_handler())

    def _run(self) -> None:
        self.again = False
        self._thread = spawn(self.handler, self.signum, thread_name=f"{_name(self.signum)} handler")
        self._thread.joiners = [self._ended]

    def _ended(self, thread: ThreadState) -> None:
        if self.again and not self.cancelled:
            self._run()

    def _former_handler(self) -> Any:
        former = self.former
        if former is None:
            # Set by C code, so there is nothing to put back.
            return signal.SIG_DFL
        if getattr(former, "__module__", None) == signals.__name__ and self._former_token is not loop.token:
            # The handler of a loop that has ended would swallow the signal.
            return signal.default_int_handler if self.signum == signal.SIGINT else signal.SIG_DFL
        return former


def _check_number(signum: int) -> int:
    if not isinstance(signum, int) or isinstance(signum, bool):
        raise TypeError(f"a signal must be given by its number, got {signum!r}")
    if signum not in signal.valid_signals():
        raise ValueError(f"a signal must be 1 to {max(signal.valid_signals())}, got {signum}")
    return int(signum)


def _check_os_thread(what: str) -> None:
    if get_ident() != threading.main_thread().ident:
        raise ValueError(
            f"signal_handler.{what} works in the main OS thread only (the system's rule for Python), "
            f"but was called in OS thread {get_ident()}"
        )


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        # A real-time signal.
        return f"signal {signum}"


def _register_fork_hook() -> None:
    global _fork_hook_registered
    if not _fork_hook_registered:
        _fork_hook_registered = True
        os.register_at_fork(after_in_child=_after_in_child)


def _after_in_child() -> None:
    for registration in _registered.values():
        # What was under way to the loop was for the parent.
        registration.posted = False
