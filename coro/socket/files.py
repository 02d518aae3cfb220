"""Pipes, terminals and other descriptors that can be polled, as objects that read and write like sockets.

A pipe or terminal is often shared: the shell and other processes see the same open file, and O_NONBLOCK with it.
So it is put back as it was when the object is closed, collected, or when the process exits.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self, TypeVar

from coro.descriptors import Descriptor, descriptors
from coro.poller.base import READ, WRITE
from coro.socket.sock import Buffer, spend_act

__all__ = ["fd_sock", "file_sock"]

T = TypeVar("T")

_IOV_MAX = os.sysconf("SC_IOV_MAX")


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


class fd_sock:
    """A descriptor that is no socket: a pipe, a terminal, a FIFO, an eventfd …

    fd: the descriptor.  It is ours from then on: close() closes it.
    Raises TypeError; OSError (EBADF).  A regular file is refused when it is waited for: the kernel cannot poll it.
    """

    __slots__ = ("__weakref__", "_descriptor", "_restore")

    def __init__(self, fd: int) -> None:
        if not isinstance(fd, int) or isinstance(fd, bool):
            raise TypeError(f"a descriptor must be an int, got {fd!r}")
        blocking = os.get_blocking(fd)
        os.set_blocking(fd, False)
        self._descriptor = Descriptor(fd)
        self._restore = weakref.finalize(self, _restore_blocking, fd, _identity(fd)) if blocking else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self.fileno()}>"

    def fileno(self) -> int:
        """The descriptor's number, -1 once it is closed."""
        return -1 if self._descriptor.closed else self._descriptor.fd

    # -- reading

    def read(self, size: int) -> bytes:
        """Read what is there, `size` bytes at most; b"" at the end.  Yields if nothing is there.

        Raises OSError, SimultaneousError, ClosedError.  A terminal whose other side is gone (EIO) is at its end.
        """
        try:
            return self._read(os.read, size)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return b""

    recv = read

    def read_exact(self, size: int) -> bytes:
        """Read exactly `size` bytes.  Raises EOFError with the partial bytes as args[0] at the end."""
        parts: list[bytes] = []
        left = size
        while left > 0:
            part = self.read(left)
            if not part:
                raise EOFError(b"".join(parts))
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    recv_exact = read_exact

    def readv(self, sizes: Sequence[int]) -> list[bytes]:
        """Read into buffers of these sizes with one system call; the last ones are shorter when less was there."""
        buffers = [bytearray(size) for size in sizes]
        count = self._read(os.readv, buffers[:_IOV_MAX])
        parts = []
        for buffer in buffers:
            parts.append(bytes(buffer[:count]))
            count = max(0, count - len(buffer))
        return parts

    # -- writing

    def write(self, data: Buffer) -> int:
        """Write all of `data`; returns its length.  Yields while there is no room.

        Raises OSError (BrokenPipeError …), SimultaneousError, ClosedError.
        """
        with memoryview(data) as whole, whole.cast("B") as view:
            sent = 0
            while sent < len(view):
                sent += self._write(os.write, view[sent:])
            return sent

    send = write

    def sendall(self, data: Buffer) -> None:
        """As write(), returning None."""
        self.write(data)

    def writev(self, data: Iterable[Buffer]) -> int:
        """Write all of the buffers, in order; returns their length."""
        return sum(self.write(part) for part in data)

    # -- waiting

    def wait_for_read(self, timeout: float | None = None) -> None:
        """Park until there is something to read.  Raises coro.TimeoutError after `timeout` seconds."""
        descriptors.wait(self._descriptor.fd, READ, timeout)

    def wait_for_write(self, timeout: float | None = None) -> None:
        """Park until there is room to write.  Raises coro.TimeoutError after `timeout` seconds."""
        descriptors.wait(self._descriptor.fd, WRITE, timeout)

    # -- life

    def dup(self) -> Self:
        """A second object on a duplicate of the descriptor."""
        return type(self)(os.dup(self._descriptor.fd))

    def close(self) -> None:
        """Put O_NONBLOCK back and close the descriptor; waiters get ClosedError.  Closing twice is harmless."""
        descriptor = self._descriptor
        if descriptor.closed:
            return
        if self._restore is not None:
            self._restore()
        descriptors.close(descriptor)
        os.close(descriptor.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _read(self, operation: Callable[..., T], *arguments: Any) -> T:
        descriptor = self._descriptor
        if descriptor.readable:
            spend_act()
        while True:
            if descriptor.readable:
                try:
                    return operation(self._open_fd(), *arguments)
                except BlockingIOError:
                    descriptor.readable = False
            descriptor.wait_readable()

    def _write(self, operation: Callable[..., T], *arguments: Any) -> T:
        descriptor = self._descriptor
        if descriptor.writable:
            spend_act()
        while True:
            if descriptor.writable:
                try:
                    return operation(self._open_fd(), *arguments)
                except BlockingIOError:
                    descriptor.writable = False
            descriptor.wait_writable()

    def _open_fd(self) -> int:
        descriptor = self._descriptor
        if descriptor.closed:
            # Its number may be another's by now.
            raise OSError(errno.EBADF, f"{os.strerror(errno.EBADF)}: this {type(self).__name__} is closed")
        return descriptor.fd


def file_sock(file: _HasFileno) -> fd_sock:
    """An fd_sock on a duplicate of a file object's descriptor, such as sys.stdin's; the file stays its owner's."""
    return fd_sock(os.dup(file.fileno()))


def _identity(fd: int) -> tuple[int, int, int]:
    """What tells this process's open file from whatever bears its number later."""
    status = os.fstat(fd)
    return os.getpid(), status.st_dev, status.st_ino


def _restore_blocking(fd: int, identity: tuple[int, int, int]) -> None:
    try:
        # A forked child shares the open file with its parent, which goes on using it; and the number may be
        # another's if somebody closed it behind our back.
        if _identity(fd) == identity:
            os.set_blocking(fd, True)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
