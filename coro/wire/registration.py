"""An entry PID.path in a well-known directory, for a socket that lies where no client would look.

The entry is a small text file that holds the socket's absolute path, and the daemon keeps it locked: unlocked means
that the daemon is gone.  The lock also keeps systemd-tmpfiles from clearing it out of /tmp after ten days.
"""

from __future__ import annotations

import errno
import os
import stat

from coro.wire.directories import registration_directory
from coro.wire.lock_file import LockFile, is_held, try_lock

__all__ = ["Registration", "read_entry", "register", "unregister"]

# PATH_MAX of Linux.
_MAX_BYTES = 4096
# How many sockets one process may register.
_MAX_ENTRIES = 16


class Registration(LockFile):
    """An entry of ours, which stays locked.  A forked child calls forget()."""

    __slots__ = ()

    def close(self) -> None:
        """Remove the entry, if it is still ours.  Does nothing the second time."""
        self.release()


def register(pid: int, path: str) -> Registration:
    """Have clients find the socket at `path` (absolute) by the pid.  Raises OSError if no directory serves."""
    if not os.path.isabs(path) or "\n" in path or len(os.fsencode(path)) >= _MAX_BYTES:
        raise ValueError(f"a registered path must be absolute, on one line and short, got {path!r}")
    directory = registration_directory()
    new = os.path.join(directory, f"{pid}.path.new")
    lock = try_lock(new)
    if lock is None:
        raise BlockingIOError(errno.EAGAIN, f"another process registers as pid {pid}", new)
    try:
        # Written and locked before anybody sees it under its name.
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), os.fsencode(path) + b"\n")
        entry = _free_name(directory, pid)
        os.rename(new, entry)
    except BaseException:
        lock.release()
        raise
    return Registration(entry, lock.fileno())


def unregister(registration: Registration) -> None:
    """Remove the entry, as registration.close()."""
    registration.close()


def read_entry(name: str, directory_fd: int, owner: int) -> str | None:
    """The path that an entry of a directory holds; None unless it is a plain file of `owner`'s that holds one.

    Safe against whatever its owner laid there: links, FIFOs, other people's files, long ones.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        fd = os.open(name, flags, dir_fd=directory_fd)
    except OSError:
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != owner or found.st_nlink != 1:
            return None
        path = os.read(fd, _MAX_BYTES + 1)
    except OSError:
        return None
    finally:
        os.close(fd)
    if not path.startswith(b"/") or path.find(b"\n") != len(path) - 1 or b"\0" in path:
        return None
    return os.fsdecode(path[:-1])


def _free_name(directory: str, pid: int) -> str:
    for number in range(_MAX_ENTRIES):
        entry = os.path.join(directory, f"{pid}.path" if number == 0 else f"{pid}-{number}.path")
        # Not locked: not there, or left by a process that had this pid before.
        if not is_held(entry, os.geteuid()):
            return entry
    raise OSError(errno.EMFILE, f"pid {pid} has {_MAX_ENTRIES} registered sockets already", directory)
