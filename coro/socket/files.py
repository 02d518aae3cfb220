"""Pipes, terminals and other descriptors that can be polled, as objects that read and write like sockets.

A pipe or terminal is often shared: the shell and other processes see the same open file, and O_NONBLOCK with it.
So it is put back as it was when the object is closed, collected, or when the process exits.
"""

from __future__ import annotations

import atexit
import errno
import os
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self, TypeVar

from coro.descriptors import Descriptor, descriptors
from coro.poller.base import READ, WRITE
from coro.socket.base import in_thread, spend_act
from coro.socket.sending import Buffer

__all__ = ["fd_sock", "file_sock"]

T = TypeVar("T")

_IOV_MAX = os.sysconf("SC_IOV_MAX")
# Those that are open: several may share one open file, and its O_NONBLOCK.
_live: weakref.WeakSet[fd_sock] = weakref.WeakSet()
_watching = False
_exiting = False


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


class fd_sock:
    """A descriptor that is no socket: a pipe, a terminal, a FIFO, an eventfd …

    fd: the descriptor.  It is ours from then on: close() closes it, and so does the collector, with a warning.
    Raises TypeError; OSError (EBADF).  A regular file is refused when it is waited for: the kernel cannot poll it.
    """

    __slots__ = ("__weakref__", "_descriptor", "_identity", "_owes")

    def __init__(self, fd: int) -> None:
        if not isinstance(fd, int) or isinstance(fd, bool):
            raise TypeError(f"a descriptor must be an int, got {fd!r}")
        self._identity = _identity(fd)
        # Whether the open file must be given its blocking mode back.
        self._owes = os.get_blocking(fd)
        os.set_blocking(fd, False)
        self._descriptor = Descriptor(fd)
        _live.add(self)
        _watch_exit()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self.fileno()}>"

    def __del__(self) -> None:
        # At the end of the process what was owed is paid; closing would only disturb others' last words.
        if not _exiting and hasattr(self, "_descriptor") and not self._descriptor.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self.close()

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
        """Read exactly `size` bytes.

        Yields.  Raises EOFError, with the partial bytes as args[0], at the end.  Whatever else ends it early
        carries the bytes that were read already in its attribute `partial_bytes`.
        """
        if not isinstance(size, int):
            raise TypeError(f"read_exact() needs a number of bytes as an int, got {size!r}")
        if size < 0:
            raise ValueError(f"read_exact() needs 0 bytes or more, got {size}")
        done = bytearray()
        try:
            while len(done) < size:
                part = self.read(size - len(done))
                if not part:
                    break
                done += part
        except BaseException as error:
            error.partial_bytes = bytes(done)  # type: ignore[attr-defined]
            raise
        if len(done) < size:
            raise EOFError(bytes(done))
        return bytes(done)

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
        """Write all of `data`; returns its length in bytes.  Yields while there is no room.

        Raises OSError (BrokenPipeError …), SimultaneousError, ClosedError.  Whatever ends it early carries the
        number of bytes that were written in its attribute `sent_bytes`.
        """
        return self.writev([data])

    send = write

    def sendall(self, data: Buffer) -> None:
        """As write(), returning None."""
        self.write(data)

    def writev(self, data: Iterable[Buffer]) -> int:
        """Write all of the buffers, in order; returns their length in bytes.  As write() otherwise."""
        sent = 0
        try:
            for part in data:
                with memoryview(part) as whole, whole.cast("B") as view:
                    done = 0
                    while done < len(view):
                        with view[done:] as rest:
                            taken = self._write(os.write, rest)
                        done += taken
                        sent += taken
        except BaseException as error:
            error.sent_bytes = sent  # type: ignore[attr-defined]
            raise
        return sent

    # -- waiting

    def wait_for_read(self, timeout: float | None = None) -> None:
        """Park until there is something to read; asks the kernel anew.

        timeout: seconds, None for ever, 0 only asks.
        Yields.  Raises coro.TimeoutError, SimultaneousError, ClosedError, PermissionError for a regular file.
        """
        descriptors.wait(self._own_fd(), READ, timeout)

    def wait_for_write(self, timeout: float | None = None) -> None:
        """Park until there is room to write.  As wait_for_read()."""
        descriptors.wait(self._own_fd(), WRITE, timeout)

    def _own_fd(self) -> int:
        """The descriptor's number, entered in the table as this object's."""
        descriptor = self._descriptor
        if not descriptor.registered:
            descriptors.register(descriptor)
        return descriptor.fd

    # -- life

    def dup(self) -> Self:
        """A second object on a duplicate of the descriptor."""
        fd = os.dup(self._open_fd())
        try:
            return type(self)(fd)
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Put O_NONBLOCK back and close the descriptor; waiters get ClosedError.  Closing twice is harmless."""
        descriptor = self._descriptor
        if descriptor.closed:
            return
        _live.discard(self)
        # The poller first, as for sockets: the number may be another's a moment later.
        descriptors.close(descriptor)
        descriptor.reset()
        try:
            self._restore()
        finally:
            os.close(descriptor.fd)

    def _restore(self) -> None:
        """Put O_NONBLOCK back, unless another of our objects goes on using the same open file: then it owes it."""
        if not self._owes:
            return
        self._owes = False
        fd = self._descriptor.fd
        if not _make_blocking(fd, self._identity):
            return
        for other in list(_live):
            if other._identity == self._identity and _is_blocking(other._descriptor.fd, self._identity):
                # It is a duplicate, so the same open file, as stdin and stdout of a terminal are.
                os.set_blocking(other._descriptor.fd, False)
                other._owes = True
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _read(self, operation: Callable[..., T], *arguments: Any) -> T:
        descriptor = self._descriptor
        if descriptor.readable:
            spend_act()
        elif not in_thread():
            # Nobody polls on this behalf.
            descriptor.readable = True
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
        elif not in_thread():
            descriptor.writable = True
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
    fd = os.dup(file.fileno())
    try:
        return fd_sock(fd)
    except BaseException:
        os.close(fd)
        raise


def _identity(fd: int) -> tuple[int, int, int]:
    """What tells this process's open file from whatever bears its number later."""
    status = os.fstat(fd)
    return os.getpid(), status.st_dev, status.st_ino


def _is_blocking(fd: int, identity: tuple[int, int, int]) -> bool | None:
    """Whether a descriptor blocks; None if it is not the one with this identity any more."""
    try:
        # A forked child shares the open file with its parent, which goes on using it; and the number may be
        # another's, or nobody's, if somebody closed it behind our back.
        return os.get_blocking(fd) if _identity(fd) == identity else None
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return None


def _make_blocking(fd: int, identity: tuple[int, int, int]) -> bool:
    """Take O_NONBLOCK away from a descriptor, if it is still the one with this identity; True if so."""
    if _is_blocking(fd, identity) is None:
        return False
    os.set_blocking(fd, True)
    return True


def _watch_exit() -> None:
    global _watching
    if not _watching:
        _watching = True
        atexit.register(_restore_all)


def _restore_all() -> None:
    """The process ends: all that is owed is paid."""
    global _exiting
    _exiting = True
    for one in list(_live):
        if one._owes:
            try:
                _make_blocking(one._descriptor.fd, one._identity)
            except OSError:
                # The others are owed theirs all the same.
                continue
