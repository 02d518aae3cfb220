"""A limit in real time for what should take no time: it says where the main OS thread hangs, and gets it out.

A signal handler runs in the main OS thread even when that spins, and ends its sleep in a system call; so an OS
thread of ours watches the clock and sends one.  In another OS thread than the main one there is no such way: there
the exception is raised at the next bytecode, and a blocked call must end by itself.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol, Self

from coro.testing.failures import BlockedForReal
from coro.testing.places import place_of

__all__ = ["TimeLimit"]

# Nothing else uses it; SIGALRM is what test runners use for limits of their own.
_SIGNAL = signal.SIGVTALRM
# What a wait of an OS thread can be given.
_LONGEST_WAIT_S = 3600.0
_PACKAGE = __name__.partition(".")[0] + "."


class _TakenBack(BaseException):
    """Raised in this very OS thread in place of what was sent to it too late."""


class _Failing(Protocol):
    def fail(self, error: BaseException) -> None:
        """Take note."""


class TimeLimit:
    """For `with`: watches that what is begun in watching() ends within so many real seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_main = threading.current_thread() is threading.main_thread()
        self._ident = threading.get_ident()
        self._watched: _Failing | None = None
        self._deadline = 0.0
        # Whether BlockedForReal was sent to an OS thread other than the main one; the lock keeps it from being sent
        # to one that has just gone on.
        self._sent = False
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="time limit of explore()", daemon=True)
        self._former: Any = None
        self._former_sigint: Any = None
        # Whether Ctrl-C was typed.
        self.interrupted = False

    def __enter__(self) -> Self:
        if self._is_main:
            self._former = signal.signal(_SIGNAL, self._expired)
            self._former_sigint = signal.getsignal(signal.SIGINT)
            if self._former_sigint is signal.default_int_handler:
                # The loops would take it as a wish to exit.
                signal.signal(signal.SIGINT, self._interrupt)
        self._watcher.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closed.set()
        self._watcher.join()
        if self._is_main:
            signal.signal(_SIGNAL, self._former)
            signal.signal(signal.SIGINT, self._former_sigint)

    @contextmanager
    def watching(self, watched: _Failing) -> Iterator[None]:
        """What runs in this block must end in time, else `watched` fails and BlockedForReal is raised in it."""
        self._deadline = time.monotonic() + self._seconds
        self._watched = watched
        try:
            yield
        finally:
            self._stop_watching()

    def _stop_watching(self) -> None:
        if self._is_main:
            self._watched = None
            return
        while self._watched is not None or self._sent:
            try:
                with self._lock:
                    self._watched = None
                if self._sent:
                    self._take_back()
            except _TakenBack:
                self._sent = False
            except BlockedForReal:
                # Sent before the block ended, raised only here: its watched one knows already.
                continue

    def _take_back(self) -> None:
        """What was sent and not yet raised must not be raised later: something that is expected replaces it.

        Replaced by nothing it would leave Python 3.11 with the mark that something is to be raised in some thread.
        With that mark every call of a traced function waits for ever.
        """
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), ctypes.py_object(_TakenBack))
        while True:
            pass

    def _watch(self) -> None:
        while not self._closed.wait(min(self._seconds / 4, _LONGEST_WAIT_S)):
            watched = self._watched
            if watched is not None and time.monotonic() > self._deadline:
                if self._is_main:
                    signal.pthread_kill(self._ident, _SIGNAL)
                else:
                    self._send(watched)

    def _send(self, watched: _Failing) -> None:
        """Raise BlockedForReal in the watched OS thread, which is not the main one."""
        with self._lock:
            if self._watched is watched:
                self._deadline = time.monotonic() + self._seconds
                # The place is known here; what is raised over there can carry no message.
                watched.fail(self._blocked(sys._current_frames().get(self._ident)))
                self._sent = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._ident), ctypes.py_object(BlockedForReal)
                )

    def _expired(self, signum: int, frame: FrameType | None) -> None:
        watched = self._watched
        if watched is None or time.monotonic() <= self._deadline:
            # It has ended meanwhile.
            return
        self._deadline = time.monotonic() + self._seconds
        error = self._blocked(frame)
        watched.fail(error)
        raise error

    def _blocked(self, frame: FrameType | None) -> BlockedForReal:
        return BlockedForReal(
            f"a schedule has not ended after {self._seconds} s of real time: it blocks, or never yields, "
            f"{place_of(frame)}"
        )

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Ctrl-C ends the exploration: at once in the scenario's own code, else with the schedule."""
        self.interrupted = True
        error = KeyboardInterrupt()
        if self._watched is not None:
            self._watched.fail(error)
            module = "" if frame is None else str(frame.f_globals.get("__name__", ""))
            if module.startswith(_PACKAGE):
                # Raised inside the runtime it could leave that in disorder.
                return
        raise error
