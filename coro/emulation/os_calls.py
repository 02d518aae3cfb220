"""The emulated system calls on descriptors: os.read() and its kin.

Regular files are read and written as ever.  On pipes, terminals and sockets the call is made when it does not
block.

An open file may be shared with other processes (a pipe, the shell's terminal), so its O_NONBLOCK is left alone.
Linux can be told call by call not to wait (RWF_NOWAIT), on pipes and sockets.  Elsewhere a read follows on the
report that something is there, and a write takes no more than there is room for where room is reported; what
another process takes between the report and the call blocks the loop there.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Sequence
from typing import Any

from coro.emulation.patching import Patcher, original
from coro.emulation.place import may_park
from coro.emulation.sockets import blocks_for_user
from coro.emulation.waiting import give_way, poll_now, wait_briefly_in_steps, wait_fd
from coro.poller.base import READ, WRITE
from coro.socket.base import spend_act

__all__ = ["install", "may_block", "read", "read_into", "readv", "sendfile", "splice", "write", "writev"]

_read = original("os", "read")
_readv = original("os", "readv")
_write = original("os", "write")
_writev = original("os", "writev")
_sendfile = original("os", "sendfile")
_splice: Any = original("os", "splice") if hasattr(os, "splice") else None
_preadv: Any = getattr(os, "preadv", None)
_pwritev: Any = getattr(os, "pwritev", None)
_fstat = os.fstat

_POLLIN = select.POLLIN
_POLLOUT = select.POLLOUT
# Linux' flag of preadv2(2); os.RWF_NOWAIT is missing from some versions.
_NOWAIT = getattr(os, "RWF_NOWAIT", 8)
# What kernels say that do not know it, or not for this kind of file.
_UNKNOWN = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE)
# As splice(2) has it; the os module knows the name from Python 3.12 on.
_SPLICE_NONBLOCK = 2
# A pipe that reports room takes this much without blocking.  What a terminal takes nobody promises.
_PIPE_ROOM = select.PIPE_BUF
_TERMINAL_ROOM = 256
# One call reads no more: a short count is nothing unusual here, and the buffer is zeroed before.
_MOST_READ = 65536
# The major number of /dev/null and the like, which never block.
_MEMORY_DEVICES = 1

# The kinds of file that can be told not to wait; a kind that proves unable is taken out.
_can_try: set[int] = (
    {stat.S_IFIFO, stat.S_IFSOCK} if _preadv is not None and os.uname().sysname == "Linux" else set()
)


def may_block(status: os.stat_result) -> bool:
    """Whether a file of this kind may have nothing to read, or no room, for long: a pipe, a socket, a terminal."""
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFCHR:
        return os.major(status.st_rdev) != _MEMORY_DEVICES
    return kind in (stat.S_IFIFO, stat.S_IFSOCK)


def _slow_kind(fd: int) -> int:
    """The kind of a file that may block a caller who may park; 0 for any other, and for no descriptor."""
    if not may_park():
        return 0
    try:
        status = _fstat(fd)
    except (OSError, TypeError, OverflowError):
        # The original call says so.
        return 0
    return stat.S_IFMT(status.st_mode) if may_block(status) else 0


# -- reading


def read(fd: int, length: int, /) -> bytes:
    """As os.read().  Yields while a pipe, terminal or socket has nothing.

    Raises as the original.  An interrupted caller loses nothing.
    """
    kind = _slow_kind(fd)
    if not kind or not isinstance(length, int) or length < 0:
        return _read(fd, length)  # type: ignore[no-any-return]
    if kind not in _can_try:
        _wait_readable(fd)
        return _read(fd, length)  # type: ignore[no-any-return]
    buffer = bytearray(min(length, _MOST_READ))
    count = _read_without_waiting(fd, kind, [buffer])
    if count < 0:
        return read(fd, length)
    del buffer[count:]
    return bytes(buffer)


def readv(fd: int, buffers: Sequence[Any], /) -> int:
    """As os.readv().  Yields while a pipe, terminal or socket has nothing."""
    kind = _slow_kind(fd)
    if kind in _can_try:
        count = _read_without_waiting(fd, kind, buffers)
        if count >= 0:
            return count
    if kind:
        _wait_readable(fd)
    return _readv(fd, buffers)  # type: ignore[no-any-return]


def read_into(fd: int, buffer: Any) -> int:
    """Read what is there into a buffer; returns the number of bytes, 0 at the end.  Yields and raises as read()."""
    return readv(fd, [buffer])


def _read_without_waiting(fd: int, kind: int, buffers: Sequence[Any]) -> int:
    """Read from a pipe or socket, parking while it is empty; -1 if it turns out that the kernel would wait."""
    spend_act()
    while True:
        try:
            return _preadv(fd, buffers, -1, _NOWAIT)  # type: ignore[no-any-return]
        except BlockingIOError:
            if not blocks_for_user(fd):
                raise
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
            _can_try.discard(kind)
            return -1
        wait_briefly_in_steps(lambda limit: wait_fd(fd, READ, limit))


def _wait_readable(fd: int) -> None:
    """Park until a read does not block, unless its user wants it not to wait."""
    spend_act()
    while not poll_now(fd, _POLLIN) and blocks_for_user(fd):
        wait_briefly_in_steps(lambda limit: wait_fd(fd, READ, limit))


# -- writing


def write(fd: int, data: Any, /) -> int:
    """As os.write().  Yields while a pipe, terminal or socket has no room.

    Raises as the original.  What interrupts the caller carries the number of bytes that were written, if any, in
    its attribute `sent_bytes`.
    """
    kind = _slow_kind(fd)
    if not kind:
        return _write(fd, data)  # type: ignore[no-any-return]
    with memoryview(data) as whole, whole.cast("B") as view:
        return _write_all(fd, kind, view)


def writev(fd: int, buffers: Sequence[Any], /) -> int:
    """As os.writev().  Yields while a pipe, terminal or socket has no room; as write() otherwise."""
    kind = _slow_kind(fd)
    if not kind:
        return _writev(fd, buffers)  # type: ignore[no-any-return]
    with memoryview(b"".join(buffers)) as view:
        return _write_all(fd, kind, view)


def _write_all(fd: int, kind: int, view: memoryview) -> int:
    """Write all of it, as a descriptor that blocks does; what there is room for if its user wants no waiting."""
    give_way()
    sent = 0
    size = len(view)
    try:
        while True:
            try:
                with view[sent:] as rest:
                    sent += _write_some(fd, kind, rest)
            except BlockingIOError:
                if not blocks_for_user(fd):
                    if sent:
                        return sent
                    raise
                wait_briefly_in_steps(lambda limit: wait_fd(fd, WRITE, limit))
            else:
                if sent >= size:
                    return sent
    except OSError:
        if sent:
            # What the kernel does: the next call meets the error again.
            return sent
        raise
    except BaseException as error:
        if sent:
            error.sent_bytes = sent  # type: ignore[attr-defined]
        raise


def _write_some(fd: int, kind: int, view: memoryview) -> int:
    """Write what there is room for.  Raises BlockingIOError if there is none."""
    if kind in _can_try:
        try:
            return _pwritev(fd, [view], -1, _NOWAIT)  # type: ignore[no-any-return]
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
            _can_try.discard(kind)
    if not poll_now(fd, _POLLOUT):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    with view[: _TERMINAL_ROOM if kind == stat.S_IFCHR else _PIPE_ROOM] as part:
        return _write(fd, part)  # type: ignore[no-any-return]


# -- from one descriptor to another


def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int, *others: Any, **options: Any) -> Any:
    """As os.sendfile().  Yields while the receiver has no room.  Raises as the original."""
    if not _slow_kind(out_fd):
        return _sendfile(out_fd, in_fd, offset, count, *others, **options)
    spend_act()
    while True:
        if not poll_now(out_fd, _POLLOUT) and blocks_for_user(out_fd):
            wait_fd(out_fd, WRITE)
            continue
        # One that blocks in the kernel would take all, and wait for the receiver.
        part = min(count, _PIPE_ROOM) if os.get_blocking(out_fd) else count
        try:
            return _sendfile(out_fd, in_fd, offset, part, *others, **options)
        except BlockingIOError:
            if not blocks_for_user(out_fd):
                raise


def splice(src: int, dst: int, count: int, *others: Any, **options: Any) -> int:
    """As os.splice().  Yields while the source has nothing, or the destination no room.  Raises as the original."""
    if not (_slow_kind(src) or _slow_kind(dst)):
        return _splice(src, dst, count, *others, **options)  # type: ignore[no-any-return]
    spend_act()
    wanted = options.pop("flags", others[2] if len(others) > 2 else 0)
    while True:
        try:
            return _splice(src, dst, count, *others[:2], **options, flags=wanted | _SPLICE_NONBLOCK)  # type: ignore[no-any-return]
        except BlockingIOError:
            if wanted & _SPLICE_NONBLOCK:
                raise
        if not poll_now(src, _POLLIN):
            wait_fd(src, READ)
        if not poll_now(dst, _POLLOUT):
            wait_fd(dst, WRITE)


def install(patcher: Patcher) -> None:
    """Put the emulated calls in the place of the originals.  Does not yield."""
    patcher.replace_everywhere(
        os, read=read, readv=readv, write=write, writev=writev, sendfile=sendfile, splice=splice
    )
