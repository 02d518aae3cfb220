"""The poller of the BSDs and macOS: kqueue, with EV_CLEAR for edges.

Facts about the world that shaped this file:
- Reading and writing are two filters with two registrations each; EV_EOF comes as a flag on either.
- EV_CLEAR reports an edge; EV_ADD on a registration that exists reports present readiness again.
- Errors of single changes come back in the event list as EV_ERROR when there is room for them, with the errno in
  `data`; changes are therefore handed over one call at a time with room for no event, which raises instead.
- The end of a process is EVFILT_PROC with NOTE_EXIT; an ended process gives ESRCH at registration.
- EV_ADD does not tell whether there was a registration, so add() and rearm() say that there was one.
- Closing a descriptor drops its registrations, and a fork()ed child does not inherit the queue at all.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from typing import Any

from coro.poller.base import ERROR, HANGUP, NANOSECONDS, READ, READ_HANGUP, WRITE

__all__ = ["KqueuePoller"]

_MAX_EVENTS = 1024


class KqueuePoller:
    """`coro.poller.base.Poller` over kqueue(2).

    kernel: what holds the `kqueue()`, `kevent()` and constants; the `select` module but in tests.
    """

    __slots__ = ("_ended", "_kernel", "_queue")

    def __init__(self, kernel: Any = select) -> None:
        self._kernel = kernel
        self._queue = kernel.kqueue()
        # Processes that had ended before they could be registered: reported by the next poll().
        self._ended: list[int] = []

    def add(self, fd: int) -> bool:
        kernel = self._kernel
        self._change(fd, kernel.KQ_FILTER_READ, kernel.KQ_EV_ADD | kernel.KQ_EV_CLEAR)
        self._change_write(fd, kernel.KQ_EV_ADD | kernel.KQ_EV_CLEAR)
        return True

    def rearm(self, fd: int, events: int) -> bool:
        kernel = self._kernel
        if events & READ:
            self._change(fd, kernel.KQ_FILTER_READ, kernel.KQ_EV_ADD | kernel.KQ_EV_CLEAR)
        if events & WRITE:
            self._change(fd, kernel.KQ_FILTER_WRITE, kernel.KQ_EV_ADD | kernel.KQ_EV_CLEAR)
        return True

    def remove(self, fd: int) -> None:
        kernel = self._kernel
        for kind in (kernel.KQ_FILTER_READ, kernel.KQ_FILTER_WRITE):
            try:
                self._change(fd, kind, kernel.KQ_EV_DELETE)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EBADF):
                    raise

    def add_process(self, pid: int) -> int:
        kernel = self._kernel
        try:
            self._change(pid, kernel.KQ_FILTER_PROC, kernel.KQ_EV_ADD | kernel.KQ_EV_ONESHOT, kernel.KQ_NOTE_EXIT)
        except ProcessLookupError:
            # A zombie cannot be registered, though it can still be waited for: ask whether it is there.
            os.kill(pid, 0)
            self._ended.append(pid)
        return -pid

    def remove_process(self, key: int) -> None:
        kernel = self._kernel
        if -key in self._ended:
            self._ended.remove(-key)
        try:
            self._change(-key, kernel.KQ_FILTER_PROC, kernel.KQ_EV_DELETE)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                raise

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        timeout = None if timeout_ns is None else timeout_ns / NANOSECONDS
        if self._ended:
            timeout = 0
        try:
            kevents = self._queue.control(None, _MAX_EVENTS, timeout)
        except InterruptedError:
            kevents = []
        ready = [(-pid, READ) for pid in self._ended]
        self._ended.clear()
        ready.extend(self._translate(kevent) for kevent in kevents)
        return ready

    def close(self) -> None:
        self._queue.close()

    def fileno(self) -> int:
        return -1 if self._queue.closed else int(self._queue.fileno())

    def _translate(self, kevent: Any) -> tuple[int, int]:
        kernel = self._kernel
        if kevent.filter == kernel.KQ_FILTER_PROC:
            return -kevent.ident, READ
        reads = kevent.filter == kernel.KQ_FILTER_READ
        events = READ if reads else WRITE
        if kevent.flags & kernel.KQ_EV_EOF:
            # On a read filter: the peer will send no more.  On a write filter: nobody reads any more.
            events |= READ_HANGUP if reads else HANGUP
            if kevent.fflags:
                events |= ERROR
        if kevent.flags & kernel.KQ_EV_ERROR:
            events |= ERROR
        return kevent.ident, events

    def _change(self, ident: int, kind: int, flags: int, fflags: int = 0) -> None:
        kernel = self._kernel
        self._queue.control([kernel.kevent(ident, kind, flags, fflags)], 0, 0)

    def _change_write(self, fd: int, flags: int) -> None:
        try:
            self._change(fd, self._kernel.KQ_FILTER_WRITE, flags)
        except OSError as error:
            # The read end of a pipe and some devices have no write filter: they are readable only.
            if error.errno not in (errno.EPIPE, errno.EINVAL, errno.ENODEV, errno.EPERM):
                raise


HAVE_KQUEUE = sys.platform != "linux" and hasattr(select, "kqueue")
