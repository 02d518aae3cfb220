"""Descriptors, timers and locks, with who waits for them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DescriptorRecord", "LockRecord", "TimerRecord"]


@dataclass(frozen=True, slots=True)
class DescriptorRecord:
    """One descriptor that the poller knows, and who waits for it (ids)."""

    fd: int
    reader: int | None
    writer: int | None
    handler: str | None
    readable: bool
    writable: bool
    hangup: bool


@dataclass(frozen=True, slots=True)
class TimerRecord:
    """One armed timer.  due_s: in how many seconds, negative if overdue; thread: whom it wakes or interrupts."""

    due_s: float
    thread: int | None
    what: str


@dataclass(frozen=True, slots=True)
class LockRecord:
    """One primitive that somebody waits for.

    holders, waiters: ids, in order, a thousand at most.  waiting: how many wait in all.
    """

    kind: str
    text: str
    holders: tuple[int, ...]
    waiters: tuple[int, ...]
    waiting: int
