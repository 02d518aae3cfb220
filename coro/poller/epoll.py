"""The poller of Linux: epoll, edge-triggered.

Facts about the world that shaped this file:
- The kernel keys registrations by (open file, number).  A descriptor that was closed while a duplicate of its
  open file lives stays registered and keeps reporting under a number that may by now mean something else.
  Such a report is harmless here, since readiness only ever means "try", but ADD can meet it as EEXIST.
- EPOLL_CTL_MOD reports present readiness again, even edge-triggered: that is what rearm() is built on.
- The kernel counts timeouts in milliseconds.  `select.epoll.poll` rounds up; it also retries after EINTR.
"""

from __future__ import annotations

import errno
import os
import select

from coro.poller.base import NANOSECONDS, READ, READ_HANGUP, URGENT, WRITE

__all__ = ["EpollPoller"]

# EPOLLET by value: this module is imported where `select` has no epoll, too.
_EDGE = 1 << 31
_EVERYTHING = READ | WRITE | URGENT | READ_HANGUP | _EDGE


class EpollPoller:
    """`coro.poller.base.Poller` over epoll(7)."""

    __slots__ = ("_epoll",)

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def add(self, fd: int) -> bool:
        try:
            self._epoll.register(fd, _EVERYTHING)
        except FileExistsError:
            self._epoll.modify(fd, _EVERYTHING)
            return True
        return False

    def rearm(self, fd: int, events: int) -> bool:
        mask = events | READ_HANGUP | _EDGE
        try:
            self._epoll.modify(fd, mask)
        except FileNotFoundError:
            self._epoll.register(fd, mask)
            return False
        return True

    def remove(self, fd: int) -> None:
        try:
            self._epoll.unregister(fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF, errno.EPERM):
                raise

    def add_process(self, pid: int) -> int:
        key = os.pidfd_open(pid)
        try:
            self._epoll.register(key, READ | _EDGE)
        except BaseException:
            os.close(key)
            raise
        return key

    def remove_process(self, key: int) -> None:
        try:
            self.remove(key)
        finally:
            os.close(key)

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        try:
            if timeout_ns == 0:
                return self._epoll.poll(0)
            return self._epoll.poll(None if timeout_ns is None else timeout_ns / NANOSECONDS)
        except InterruptedError:
            return []

    def close(self) -> None:
        self._epoll.close()

    def fileno(self) -> int:
        return -1 if self._epoll.closed else self._epoll.fileno()
