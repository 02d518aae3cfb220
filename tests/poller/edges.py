"""Linux's edges under numbers of our own.

`select.epoll` reports descriptors by their number, under which something else may stand by now, while a duplicate
keeps the former registration alive.  Here each registration has a serial; so a report tells which one it means.
"""

import ctypes
import errno
import os
import platform
import select

_LIBC = ctypes.CDLL(None, use_errno=True)
_ADD, _DELETE, _MODIFY = 1, 2, 3
_AT_ONCE = 4096


class _Event(ctypes.Structure):
    # The kernel packs it on x86-64 only.
    _pack_ = 1 if platform.machine() in ("x86_64", "AMD64") else 8
    _fields_ = (("events", ctypes.c_uint32), ("serial", ctypes.c_uint64))


class Edges:
    """Tells which registrations have seen an edge.

    wanted: the epoll bits to look for.
    """

    def __init__(self, wanted: int) -> None:
        self._epoll = select.epoll()
        self._wanted = wanted | select.EPOLLET

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        self._epoll.close()

    def watch(self, fd: int, serial: int) -> None:
        """Report `serial` once if `fd` is ready now, and at every edge from now on.

        Raises PermissionError for what epoll does not take.
        """
        try:
            self._control(_ADD, fd, serial)
        except FileExistsError:
            # The same open file came back under the same number.
            self._control(_MODIFY, fd, serial)

    def forget(self, fd: int) -> None:
        """A registration whose file is no longer at `fd` stays, and reports a serial that nobody knows."""
        try:
            self._control(_DELETE, fd, 0)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF, errno.EPERM):
                raise

    def take(self) -> list[int]:
        """The serials that have seen an edge since they were taken last."""
        taken: list[int] = []
        while True:
            part = self._epoll.poll(0, _AT_ONCE)
            taken += (serial for serial, _ in part)
            if len(part) < _AT_ONCE:
                return taken

    def _control(self, operation: int, fd: int, serial: int) -> None:
        event = _Event(self._wanted, serial)
        if _LIBC.epoll_ctl(self._epoll.fileno(), operation, fd, ctypes.byref(event)) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
