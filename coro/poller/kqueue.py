"""The poller of the BSDs and macOS: kqueue, with EV_CLEAR for edges.

Facts about the world that shaped this file:
- Reading and writing are two filters with a registration each; EV_EOF comes as a flag on either.
- EV_CLEAR reports an edge; EV_ADD on a registration that exists reports present readiness again.
- Errors of single changes come back in the event list as EV_ERROR when there is room for them; changes are
  therefore handed over one call at a time with room for no event, which raises instead.
- Closing a number drops its registrations, whatever duplicates there are.  EV_ADD does not tell whether there was
  one; EV_ENABLE does: it changes nothing, and is ENOENT without one.
- The write filter of a pipe whose reader is gone already is refused with EPIPE, where poll(2) would report it.
- Regular files are taken, and reported unless they are read to their end.  Nobody wants to wait for that.
- Most of these systems say nothing of urgent data, yet a read stops short at its mark.
- The end of a process is EVFILT_PROC with NOTE_EXIT; for one that has ended some report it, some say ESRCH.
- A forked child does not inherit the queue: its number is free there.  Before Python 3.12.1 the queue object does
  not know that, and would close whatever got the number since.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import Any

from coro.poller.base import ERROR, HANGUP, NANOSECONDS, READ, READ_HANGUP, URGENT, WRITE

__all__ = ["KqueuePoller"]

_MAX_EVENTS = 1024
# A file that has no such filter: the read end of a pipe, many devices.
_NO_FILTER = (errno.EINVAL, errno.ENODEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP)

# Queues that a fork() left without a kernel's object; kept for ever, for their finaliser would close a stranger.
_inherited: list[Any] = []


class KqueuePoller:
    """`coro.poller.base.Poller` over kqueue(2).

    kernel: what holds the `kqueue()`, `kevent()` and constants; the `select` module but in tests.
    """

    __slots__ = ("_kernel", "_late", "_pid", "_queue")

    def __init__(self, kernel: Any = select) -> None:
        self._kernel = kernel
        self._queue = kernel.kqueue()
        # Whose queue it is: it does not pass to a forked child.
        self._pid = os.getpid()
        # What was over before it could be registered, by key: reported by the next poll().
        self._late: dict[int, int] = {}

    def add(self, fd: int) -> bool:
        return self._register(fd, READ | WRITE)

    def rearm(self, fd: int, events: int) -> bool:
        return self._register(fd, events)

    def remove(self, fd: int) -> None:
        self._late.pop(fd, None)
        for kind in (self._kernel.KQ_FILTER_READ, self._kernel.KQ_FILTER_WRITE):
            self._delete(fd, kind)

    def add_process(self, pid: int) -> int:
        kernel = self._kernel
        try:
            self._change(pid, kernel.KQ_FILTER_PROC, kernel.KQ_EV_ADD | kernel.KQ_EV_ONESHOT, kernel.KQ_NOTE_EXIT)
        except ProcessLookupError:
            # A zombie, which can still be waited for, or nobody: ask whether it is there.
            os.kill(pid, 0)
            self._late[-pid] = READ
        return -pid

    def remove_process(self, key: int) -> None:
        self._late.pop(key, None)
        self._delete(-key, self._kernel.KQ_FILTER_PROC)

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        timeout = None if timeout_ns is None else timeout_ns / NANOSECONDS
        if self._late:
            timeout = 0
        try:
            kevents = self._queue.control(None, _MAX_EVENTS, timeout)
        except InterruptedError:
            kevents = []
        ready = list(self._late.items())
        self._late.clear()
        ready.extend(self._translate(kevent) for kevent in kevents)
        return ready

    def close(self) -> None:
        if self._pid == os.getpid():
            self._queue.close()
        elif not self._queue.closed:
            _inherited.append(self._queue)

    def fileno(self) -> int:
        if self._pid != os.getpid() or self._queue.closed:
            return -1
        return int(self._queue.fileno())

    def _register(self, fd: int, events: int) -> bool:
        """Register for `events`, READ | WRITE | URGENT; returns whether there was a registration."""
        # Epoll refuses them in the kernel; here they would be taken.
        if stat.S_IFMT(os.fstat(fd).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        kernel = self._kernel
        known = fd in self._late or self._knows(fd)
        refusal: OSError | None = None
        taken = False
        for bits, kind in ((READ | URGENT, kernel.KQ_FILTER_READ), (WRITE, kernel.KQ_FILTER_WRITE)):
            if not events & bits:
                continue
            try:
                self._change(fd, kind, kernel.KQ_EV_ADD | kernel.KQ_EV_CLEAR)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    self._late[fd] = WRITE | HANGUP
                elif error.errno in _NO_FILTER:
                    refusal = error
                    continue
                else:
                    raise
            taken = True
        if refusal is not None and not taken:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from refusal
        return known

    def _knows(self, fd: int) -> bool:
        """Whether either filter is registered for what `fd` means now."""
        kernel = self._kernel
        for kind in (kernel.KQ_FILTER_READ, kernel.KQ_FILTER_WRITE):
            try:
                self._change(fd, kind, kernel.KQ_EV_ENABLE)
            except FileNotFoundError:
                continue
            return True
        return False

    def _translate(self, kevent: Any) -> tuple[int, int]:
        kernel = self._kernel
        if kevent.filter == kernel.KQ_FILTER_PROC:
            return -kevent.ident, READ
        reads = kevent.filter == kernel.KQ_FILTER_READ
        # There may be urgent data, of which a kernel that knows would tell: a short read must not count as drained.
        events = READ | URGENT if reads else WRITE
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

    def _delete(self, ident: int, kind: int) -> None:
        try:
            self._change(ident, kind, self._kernel.KQ_EV_DELETE)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF, errno.ESRCH):
                raise
