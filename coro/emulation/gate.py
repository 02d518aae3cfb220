"""Gates: where a thread waits for descriptors beside others who wait for the same ones.

A gate is an epoll of the kernel's.  Its own descriptor can be polled, so the loop watches that one, whoever else
watches what is behind it.

Facts about the world that shaped this file:
- A regular file cannot be registered, and is always ready.
- A descriptor that is closed is forgotten by the kernel unless a duplicate of its open file lives; then it goes on
  being reported, so a gate that could not be cleared is not used again.
- The kernel allows 500 gates for one open file (EINVAL for the next).
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Mapping
from typing import Any

from coro.descriptors import descriptors
from coro.emulation.patching import original
from coro.loop import loop
from coro.poller.base import READ

__all__ = ["NO_GATE", "Gate", "forget", "open_gate"]

_epoll: Any = original("select", "epoll") if hasattr(select, "epoll") else None
# What the kernel says when there can be no gate, or none for so much; on other systems there is none at all.
NO_GATE = frozenset(
    {errno.ENOSYS, errno.EINVAL, errno.ELOOP, errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
)
_MAX_IDLE = 100


def forget(fd: int) -> None:
    """Have the loop forget a descriptor that is about to be closed; who waits for it is told."""
    known = descriptors.table.get(fd)
    if known is not None:
        descriptors.close(known)


class Gate:
    """An epoll that one thread waits at; the loop's own epoll watches it."""

    __slots__ = ("_always", "_epoll", "_watched")

    def __init__(self) -> None:
        self._epoll = _epoll()
        self._watched: list[int] = []
        # Whether something was asked for that is always ready.
        self._always = False
        _register_fork_hook()

    def watch(self, fd: int, events: int) -> None:
        """Have the gate report `events` (poll(2)'s bits) of a descriptor.  Raises OSError."""
        try:
            self._epoll.register(fd, events)
        except PermissionError:
            self._always = self._always or bool(events & (select.POLLIN | select.POLLOUT))
        else:
            self._watched.append(fd)

    def wait(self, timeout: float | None) -> None:
        """Park until something watched may be ready.  Yields.  Raises coro.TimeoutError."""
        if not self._always:
            descriptors.wait(self._epoll.fileno(), READ, timeout)

    def give_back(self) -> None:
        """Watch nothing any more; the gate is kept for the next who needs one.  Does not yield."""
        reusable = len(_idle) < _MAX_IDLE
        for fd in self._watched:
            try:
                self._epoll.unregister(fd)
            except OSError:
                reusable = False
        self._watched.clear()
        self._always = False
        if reusable:
            _idle.append(self)
        else:
            self.close()

    def close(self) -> None:
        """Free the kernel's object.  Does not yield."""
        forget(self._epoll.fileno())
        self._epoll.close()


# Gates that nobody waits at.
_idle: list[Gate] = []


def _close_idle() -> None:
    while _idle:
        _idle.pop().close()


# A process whose loop has ended keeps none in stock.
loop.at_close.append(_close_idle)
_fork_hook_registered = False


def _register_fork_hook() -> None:
    global _fork_hook_registered
    if not _fork_hook_registered:
        _fork_hook_registered = True
        # The kernel's objects are the parent's, who goes on changing them.
        os.register_at_fork(after_in_child=_idle.clear)


def open_gate(wanted: Mapping[int, int]) -> Gate:
    """A gate that watches these: descriptor -> poll(2)'s bits.  Raises OSError (EBADF, or one of NO_GATE)."""
    if _epoll is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    gate = _idle.pop() if _idle else Gate()
    try:
        for fd, events in wanted.items():
            gate.watch(fd, events)
    except BaseException:
        gate.give_back()
        raise
    return gate
