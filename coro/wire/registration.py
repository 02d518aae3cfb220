"""An entry PID.path in a well-known directory, for a socket that lies where no client would look.

The entry is a small text file that holds the socket's absolute path, and the daemon keeps it locked: unlocked means
that the daemon is gone.  The lock also keeps systemd-tmpfiles from clearing it out of /tmp after ten days.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from coro.wire.directories import registration_directory
from coro.wire.lock_file import is_held, remove_if_same

__all__ = ["Registration", "read_entry", "register", "unregister"]

# PATH_MAX of Linux.
_MAX_BYTES = 4096
# How many sockets one process may register.
_MAX_ENTRIES = 16


class Registration:
    """An entry of ours.  A forked child calls forget()."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def close(self) -> None:
        """Remove the entry, if it is still ours.  Does nothing the second time."""
        if self._fd < 0:
            return
        try:
            remove_if_same(self.path, self._fd)
        finally:
            self.forget()

    def touch(self) -> None:
        """Make the file young: what clears old files out of /tmp spares it."""
        if self._fd >= 0:
            os.utime(self._fd)

    def forget(self) -> None:
        """Close the descriptor and touch nothing else."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def register(pid: int, path: str) -> Registration:
    """Have clients find the socket at `path` (absolute) by the pid.  Raises OSError if no directory serves."""
    if not os.path.isabs(path) or "\n" in path or len(os.fsencode(path)) >= _MAX_BYTES:
        raise ValueError(f"a registered path must be absolute, on one line and short, got {path!r}")
    directory = registration_directory()
    new = os.path.join(directory, f"{pid}.path.new")
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # Written and locked before anybody sees it under its name.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, os.fsencode(path) + b"\n")
        entry = _free_name(directory, pid)
        os.rename(new, entry)
    except BaseException:
        os.close(fd)
        raise
    return Registration(entry, fd)


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
