"""A lock that ends with its holder: flock(2) on a small file beside what it guards.

The kernel gives the lock up when the holder dies, so an unlocked file is the proof that nobody is there: no pid is
compared, no clock read, and it holds across pid namespaces too.

Invariant: a lock file is removed only by who holds its lock, and who got a lock looks whether the file is still the
one at the path.  Else a waiter could lock a file that its former holder has just removed, while a third makes and
locks a new one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

__all__ = ["LockFile", "is_held", "try_lock"]

# NONBLOCK: a FIFO that somebody laid there must not park us for ever.
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN)


class LockFile:
    """A lock that is held.  fork() shares it: a child calls forget(), or it would outlive its holder."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def fileno(self) -> int:
        """The file's descriptor; -1 once the lock was given up."""
        return self._fd

    def release(self) -> None:
        """Remove the file and give the lock up.  Does nothing the second time."""
        if self._fd < 0:
            return
        try:
            _remove_if_same(self.path, self._fd)
        finally:
            self.forget()

    def touch(self) -> None:
        """Make the file young: what clears old files out of /tmp spares it."""
        if self._fd >= 0:
            os.utime(self._fd)

    def forget(self) -> None:
        """Close the descriptor and touch nothing else: after fork(), a LOCK_UN would end the parent's lock."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def try_lock(path: str) -> LockFile | None:
    """Make the file, mode 0600, if it is not there, and lock it; None if another holds the lock.

    Raises OSError as open(2) and flock(2), and PermissionError or EEXIST for anything at the path but a regular
    file of our own with one name.  Links are not followed.  Never waits.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        try:
            if not _lock_if_free(fd, fcntl.LOCK_EX):
                os.close(fd)
                return None
            if _is_at(path, fd):
                _refuse_strange(path, os.fstat(fd))
                return LockFile(path, fd)
        except BaseException:
            os.close(fd)
            raise
        # Its holder removed it between our open and our lock: take the new one.
        os.close(fd)


def is_held(path: str, owner: int) -> bool | None:
    """Whether some process holds the lock; None if that cannot be told: no such file, not readable, not `owner`'s.

    Makes nothing.  For the moment of the look the file is locked for reading, so who locks must try twice.
    """
    try:
        fd = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError:
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != owner:
            return None
        return not _lock_if_free(fd, fcntl.LOCK_SH)
    except OSError:
        # A file system without locks.
        return None
    finally:
        os.close(fd)


def _remove_if_same(path: str, fd: int) -> None:
    """Remove what is at the path if it is the file that `fd` is; the caller holds its lock."""
    try:
        if _is_at(path, fd):
            os.unlink(path)
    except FileNotFoundError:
        return


def _lock_if_free(fd: int, operation: int) -> bool:
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


def _is_at(path: str, fd: int) -> bool:
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    ours = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _refuse_strange(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise FileExistsError(errno.EEXIST, "the lock is not a regular file", path)
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EACCES, f"the lock belongs to uid {found.st_uid}, not {os.geteuid()}", path)
    # A second name would mean that somebody linked another file of ours to this place.
    if found.st_nlink != 1:
        raise FileExistsError(errno.EEXIST, f"the lock has {found.st_nlink} names, not one", path)
