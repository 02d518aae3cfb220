"""The buffers of `io` for files and sockets whose raw file parks the thread.

The buffers of C hold a lock of C while their raw file reads or writes.  A thread that parks there keeps that
lock, and of two threads that meet the second fails ("reentrant call") or blocks the loop.  So these take an
emulated lock first, which parks the second thread; the work is done by C all the same.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from coro.emulation.waiter import Waiter, grant_next, leave

__all__ = ["BufferedRWPair", "BufferedRandom", "BufferedReader", "BufferedWriter"]

# Stands for whoever was handed the turn and has not run yet.
_HANDED = object()


class _Turns:
    """Who is inside a buffer, and who wants to be there next."""

    _inside: object = None
    _queue: deque[Waiter] | None = None

    def _wait_turn(self, me: object) -> None:
        """Wait until the turn is handed over.  Yields.  An interrupted caller hands on what it was handed."""
        waiter = Waiter("using a file that another thread uses")
        queue = self._queue
        if queue is None:
            queue = self._queue = deque()
        queue.append(waiter)
        if self._inside is not None or not leave(queue, waiter):
            # Else it was left in another OS thread just now.
            try:
                waiter.wait("file", self, None)
            except BaseException:
                if not leave(queue, waiter):
                    self._hand_on()
                raise
        self._inside = me

    def _hand_on(self) -> None:
        """Leave; the next may enter."""
        self._inside = None
        if self._queue and self._inside is None:
            self._inside = _HANDED
            if not grant_next(self._queue):
                self._inside = None


def _in_turn(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of a C buffer, taking turns.  Yields while another thread is inside."""

    def take_turn(self: Any, *arguments: Any) -> Any:
        # Without a call for the turn: half of what readline() takes here.
        if self._inside is not None:
            me: object = getcurrent()
            if self._inside is me:
                # close() flushes, for one.  What must not be done twice at once the original refuses.
                return method(self, *arguments)
            self._wait_turn(me)
        else:
            try:
                self._inside = getcurrent()
            except RuntimeError:
                # The interpreter ends, and flushes the standard streams; there are no threads any more.
                return method(self, *arguments)
        try:
            return method(self, *arguments)
        finally:
            self._inside = None
            if self._queue:
                self._hand_on()

    take_turn.__name__ = method.__name__
    take_turn.__doc__ = method.__doc__
    return take_turn


def _as_original(self: Any) -> str:
    """What the original's repr says: C does not know a subclass's module."""
    try:
        name = f" name={self.name!r}"
    except (AttributeError, ValueError):
        name = ""
    return f"<{type(self).__module__}.{type(self).__qualname__}{name}>"


class BufferedReader(_Turns, io.BufferedReader):
    """As io.BufferedReader; of two threads that meet the second waits."""


class BufferedWriter(_Turns, io.BufferedWriter):
    """As io.BufferedWriter; of two threads that meet the second waits."""


class BufferedRandom(_Turns, io.BufferedRandom):
    """As io.BufferedRandom; of two threads that meet the second waits."""


class BufferedRWPair(io.BufferedRWPair):
    """As io.BufferedRWPair: one thread may read while another writes."""

    def __init__(self, reader: Any, writer: Any, buffer_size: int = io.DEFAULT_BUFFER_SIZE) -> None:
        # Without the original's, which would make buffers of its own: none of its methods is left.
        self._reader = BufferedReader(reader, buffer_size)
        self._writer = BufferedWriter(writer, buffer_size)

    def read(self, size: int | None = -1, /) -> bytes:
        return self._reader.read(size)

    def read1(self, size: int = -1, /) -> bytes:
        return self._reader.read1(size)

    def readinto(self, buffer: Any, /) -> int:
        return self._reader.readinto(buffer)

    def readinto1(self, buffer: Any, /) -> int:
        return self._reader.readinto1(buffer)

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._reader.readline(size)

    def peek(self, size: int = 0, /) -> bytes:
        return self._reader.peek(size)

    def write(self, buffer: Any, /) -> int:
        return self._writer.write(buffer)

    def flush(self) -> None:
        self._writer.flush()

    def readable(self) -> bool:
        return self._reader.readable()

    def writable(self) -> bool:
        return self._writer.writable()

    def isatty(self) -> bool:
        return self._writer.isatty() or self._reader.isatty()

    def close(self) -> None:
        try:
            self._writer.close()
        finally:
            self._reader.close()

    @property
    def closed(self) -> bool:
        return self._writer.closed


def _finish(ours: type, original: type, methods: str) -> None:
    """Have these methods of the original take turns, and the class pass for the original."""
    for name in methods.split():
        setattr(ours, name, _in_turn(getattr(original, name)))
    ours.__module__ = original.__module__
    ours.__repr__ = _as_original  # type: ignore[method-assign, assignment]


_READING = "read read1 readinto readinto1 readline readlines peek"
_WRITING = "write writelines flush"
_BOTH = "close detach seek tell truncate"
_finish(BufferedReader, io.BufferedReader, f"{_READING} {_BOTH}")
_finish(BufferedWriter, io.BufferedWriter, f"{_WRITING} {_BOTH}")
_finish(BufferedRandom, io.BufferedRandom, f"{_READING} {_WRITING} {_BOTH}")
BufferedRWPair.__module__ = io.BufferedRWPair.__module__
