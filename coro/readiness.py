"""Waiting for any descriptor that can be polled, and seeing what is waited for.

These are level-style: each call asks the kernel anew and trusts no cached flag, so they serve descriptors of other
libraries as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from coro.descriptors import Handler, descriptors
from coro.poller.base import READ, WRITE

__all__ = ["READ", "WRITE", "event_map", "set_handler", "wait_for", "wait_for_read", "wait_for_write"]


class HasFileno(Protocol):
    """Anything with a descriptor."""

    def fileno(self) -> int: ...


def _number(fd: int | HasFileno) -> int:
    number = fd if isinstance(fd, int) else getattr(fd, "fileno", lambda: None)()
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"a descriptor must be an int or have a fileno() method, got {fd!r}")
    if number < 0:
        raise ValueError(f"a descriptor must be 0 or more, got {number} (closed?)")
    return number


def _check_events(events: int) -> None:
    if not isinstance(events, int) or isinstance(events, bool):
        raise TypeError(f"events must be READ, WRITE or both, got {events!r}")
    if not events or events & ~(READ | WRITE):
        raise ValueError(f"events must be READ ({READ}), WRITE ({WRITE}) or both, got {events}")


def wait_for(fd: int | HasFileno, events: int, timeout: float | None = None) -> int:
    """Park until a descriptor is ready for reading, writing, or either.

    events: READ, WRITE or READ | WRITE.  timeout: seconds, None for ever, 0 only asks.
    Returns those of `events` that are ready; a hang-up counts as ready.
    Yields.  Raises SimultaneousError (somebody waits for that already), ClosedError, coro.TimeoutError;
    PermissionError for what cannot be polled, such as a regular file; OSError (EBADF); YieldFromMain.
    An interrupted caller stops waiting and loses nothing.
    """
    _check_events(events)
    return descriptors.wait(_number(fd), events, timeout)


def wait_for_read(fd: int | HasFileno, timeout: float | None = None) -> None:
    """Park until a descriptor is ready for reading.  As wait_for()."""
    descriptors.wait(_number(fd), READ, timeout)


def wait_for_write(fd: int | HasFileno, timeout: float | None = None) -> None:
    """Park until a descriptor is ready for writing.  As wait_for()."""
    descriptors.wait(_number(fd), WRITE, timeout)


def set_handler(fd: int | HasFileno, events: int, handler: Handler | None) -> None:
    """Have the loop call `handler(fd, events)` whenever a descriptor becomes ready; None takes the handler away.

    events: READ, WRITE or both, edge-triggered: take in everything that is there.
    The handler runs in the loop and must not block; one that raises is reported once and removed.
    Raises SimultaneousError if a thread waits for the descriptor, and as wait_for().  Does not yield.
    """
    _check_events(events)
    if handler is not None and not callable(handler):
        raise TypeError(f"a handler must be callable or None, got {handler!r}")
    descriptors.set_handler(_number(fd), events, handler)


class EventMap(Mapping[tuple[int, str], Any]):
    """What is waited for now: {(descriptor, "read" | "write" | "handler"): thread or handler}, live, read only."""

    def _entries(self) -> dict[tuple[int, str], Any]:
        entries: dict[tuple[int, str], Any] = {}
        for fd, descriptor in descriptors.table.items():
            if descriptor.reader is not None:
                entries[fd, "read"] = descriptor.reader
            if descriptor.writer is not None:
                entries[fd, "write"] = descriptor.writer
            if descriptor.handler is not None:
                entries[fd, "handler"] = descriptor.handler
        return entries

    def __getitem__(self, event: tuple[int, str]) -> Any:
        return self._entries()[event]

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def __repr__(self) -> str:
        return f"event_map({self._entries()!r})"


event_map = EventMap()
