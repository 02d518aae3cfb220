"""kqueue(2) as far as coro's poller uses it, simulated on Linux: for the arithmetic of the kqueue poller.

It follows FreeBSD's manual: EV_CLEAR makes edges; EV_ADD of what exists reports present readiness again; a change
that fails raises when there is no room for an event; what cannot be deleted is ENOENT, a closed descriptor EBADF;
a process that is no more, or a zombie, is ESRCH; EV_ONESHOT deletes what it reports.
"""

import errno
import os
import select
import socket
from typing import NamedTuple

KQ_FILTER_READ = -1
KQ_FILTER_WRITE = -2
KQ_FILTER_PROC = -5
KQ_EV_ADD = 0x0001
KQ_EV_DELETE = 0x0002
KQ_EV_ONESHOT = 0x0010
KQ_EV_CLEAR = 0x0020
KQ_EV_ERROR = 0x4000
KQ_EV_EOF = 0x8000
KQ_NOTE_EXIT = 0x80000000


class Kevent(NamedTuple):
    ident: int
    filter: int
    flags: int
    fflags: int
    data: int


def kevent(ident: int, filter: int, flags: int = KQ_EV_ADD, fflags: int = 0) -> Kevent:
    if ident < 0:
        raise OverflowError("can't convert negative int to unsigned")
    return Kevent(ident, filter, flags, fflags, 0)


class kqueue:
    """A queue.  Each filter has an epoll of its own, so that reading and writing are registered apart."""

    def __init__(self) -> None:
        self.closed = False
        self._epolls = {KQ_FILTER_READ: select.epoll(), KQ_FILTER_WRITE: select.epoll()}
        self._both = select.epoll()
        for epoll in self._epolls.values():
            self._both.register(epoll.fileno(), select.EPOLLIN)
        # pid -> pidfd, and back.
        self._processes: dict[int, int] = {}

    def fileno(self) -> int:
        return self._both.fileno()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for epoll in (*self._epolls.values(), self._both):
                epoll.close()
            for pidfd in self._processes.values():
                os.close(pidfd)

    def control(self, changes: list[Kevent] | None, max_events: int, timeout: float | None = None) -> list[Kevent]:
        for change in changes or []:
            if change.filter == KQ_FILTER_PROC:
                self._change_process(change)
            else:
                self._change_descriptor(change)
        if max_events == 0:
            return []
        ready = [fd for fd, _ in self._both.poll(timeout)]
        events: list[Kevent] = []
        for filter, epoll in self._epolls.items():
            if epoll.fileno() in ready:
                events += [_event(fd, filter, bits) for fd, bits in epoll.poll(0, max_events)]
        for pid, pidfd in list(self._processes.items()):
            if pidfd in ready:
                events.append(Kevent(pid, KQ_FILTER_PROC, KQ_EV_ONESHOT | KQ_EV_EOF, KQ_NOTE_EXIT, 0))
                self._forget(pid)
        return events

    def _change_descriptor(self, change: Kevent) -> None:
        epoll = self._epolls[change.filter]
        if change.flags & KQ_EV_DELETE:
            try:
                epoll.unregister(change.ident)
            except PermissionError:
                # A regular file, which kqueue would have taken.
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
            return
        assert change.flags == KQ_EV_ADD | KQ_EV_CLEAR
        wanted = select.EPOLLIN | select.EPOLLRDHUP if change.filter == KQ_FILTER_READ else select.EPOLLOUT
        try:
            epoll.register(change.ident, wanted | select.EPOLLET)
        except FileExistsError:
            epoll.modify(change.ident, wanted | select.EPOLLET)

    def _change_process(self, change: Kevent) -> None:
        pid = change.ident
        if change.flags & KQ_EV_DELETE:
            if pid not in self._processes:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            self._forget(pid)
            return
        assert (change.flags, change.fflags) == (KQ_EV_ADD | KQ_EV_ONESHOT, KQ_NOTE_EXIT)
        pidfd = os.pidfd_open(pid)
        if select.select([pidfd], [], [], 0)[0]:
            os.close(pidfd)
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        self._processes[pid] = pidfd
        self._both.register(pidfd, select.EPOLLIN)

    def _forget(self, pid: int) -> None:
        pidfd = self._processes.pop(pid)
        self._both.unregister(pidfd)
        os.close(pidfd)


def _event(fd: int, filter: int, bits: int) -> Kevent:
    hung_up = select.EPOLLHUP | select.EPOLLERR
    if filter == KQ_FILTER_READ:
        hung_up |= select.EPOLLRDHUP
    if not bits & hung_up:
        return Kevent(fd, filter, KQ_EV_CLEAR, 0, 0)
    return Kevent(fd, filter, KQ_EV_CLEAR | KQ_EV_EOF, _error_of(fd) if bits & select.EPOLLERR else 0, 0)


def _error_of(fd: int) -> int:
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError as error:
        if error.errno == errno.ENOTSOCK:
            return 0
        raise
