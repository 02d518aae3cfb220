"""Where sockets of daemons are: the directories, and how to find what lies there.

Some of these directories belong to other users, and root looks there too: nothing that they hold is followed,
opened blindly or believed.  What is found is only a path; whoever connects verifies the listener's uid.

Invariant: removes only what is ours and proven dead: its lock is free and nobody listens.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from coro.wire import directories
from coro.wire.directories import (
    candidate_directories,
    default_socket_path,
    ensure_directory,
    fault_in,
    fault_of,
    runtime_directory,
)
from coro.wire.lock_file import is_held, try_lock
from coro.wire.registration import Registration, read_entry, register, unregister

__all__ = [
    "Found",
    "Registration",
    "candidate_directories",
    "default_socket_path",
    "ensure_directory",
    "find_sockets",
    "pid_sockets",
    "register",
    "runtime_directory",
    "socket_answers",
    "unregister",
]

_SOCKET = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*-)?([1-9][0-9]{0,9})\.sock")
_ENTRY = re.compile(r"([1-9][0-9]{0,9})(?:-[0-9]+)?\.path")
_OF_UID = re.compile(r"coro-([0-9]{1,10})")
# A directory of somebody else's could hold millions.
_MAX_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """A daemon's socket.  pid: as its name or registration says; uid: who owns it."""

    path: str
    pid: int | None
    uid: int


def find_sockets(all_users: bool = False, *, skipped: list[str] | None = None) -> list[Found]:
    """The sockets of running daemons that we may use: our own, and those whose mode lets us in.

    all_users: for root, also those of all other users.
    skipped: gets a line for each directory that was not searched, with the reason.
    Sockets of ours whose daemon is dead are removed.  Never raises OSError, and never waits.
    """
    me = os.geteuid()
    found: dict[tuple[int, int], Found] = {}
    for directory, owners in _directories(all_users):
        for each in _search(directory, owners, skipped):
            mine = each.uid == me
            if not mine and not all_users and (me == 0 or not os.access(each.path, os.W_OK)):
                continue
            _keep_if_alive(each, found)
    return sorted(found.values(), key=lambda each: (each.pid or 0, each.path))


def pid_sockets(pid: int) -> list[Found]:
    """The sockets of the daemon with this pid, also where only it sees them: a private /tmp, a container.

    Root looks among all users' sockets.  Never raises OSError, and never waits.
    """
    here = [each for each in find_sockets(os.geteuid() == 0) if each.pid == pid]
    return here or _inside(pid)


def socket_answers(path: str) -> bool:
    """Whether somebody listens at the path; True also if that cannot be told.  Connects and closes, never waits."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except OSError:
        # A full backlog (EAGAIN), no permission, a datagram socket: somebody is there, or may be.
        return True
    return True


def _directories(all_users: bool) -> Iterator[tuple[str, Collection[int]]]:
    """Each directory to search, with those who may own it."""
    me = os.geteuid()
    seen = set()
    for directory in candidate_directories():
        seen.add(directory)
        yield directory, {me, 0}
    if os.environ.get(directories.ONLY):
        return
    for name, uid in _names_of(f"{directories.RUN}/coro"):
        # RuntimeDirectory=coro/NAME of a service with a user of its own.
        yield f"{directories.RUN}/coro/{name}", {me, 0, uid} if all_users else {me, 0}
    if not all_users:
        return
    for name, uid in _names_of(f"{directories.RUN}/user"):
        path = f"{directories.RUN}/user/{name}/coro"
        if name == str(uid) and path not in seen:
            yield path, {uid}
    for name, uid in _names_of(directories.TEMP):
        path = f"{directories.TEMP}/{name}"
        match = _OF_UID.fullmatch(name)
        # Anybody can make a directory with another's number here.
        if match is not None and int(match[1]) == uid and path not in seen:
            yield path, {uid}


def _names_of(directory: str) -> list[tuple[str, int]]:
    """The real directories in a directory, with their owners."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for number, entry in enumerate(entries):
                if number >= _MAX_NAMES:
                    break
                try:
                    if entry.is_dir(follow_symlinks=False):
                        found.append((entry.name, entry.stat(follow_symlinks=False).st_uid))
                except OSError:
                    # Gone since.
                    continue
    except OSError:
        return found
    return sorted(found)


def _search(directory: str, owners: Collection[int], skipped: list[str] | None, root: str = "") -> list[Found]:
    """What a directory holds, dead ones too.  root: put before registered paths, "" or /proc/PID/root."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if skipped is not None and error.errno != errno.ENOENT:
            skipped.append(f"{directory} {fault_of(directory, owners) or f'cannot be read: {error.strerror}'}")
        return []
    try:
        here = os.fstat(fd)
        fault = fault_in(here, owners)
        if fault is not None:
            if skipped is not None:
                skipped.append(f"{directory} {fault}")
            return []
        return list(_entries(directory, fd, here.st_uid, root))
    except OSError as error:
        if skipped is not None:
            skipped.append(f"{directory} cannot be read: {error.strerror}")
        return []
    finally:
        os.close(fd)


def _entries(directory: str, fd: int, owner: int, root: str) -> Iterator[Found]:
    ours = os.path.basename(directory).startswith("coro")
    with os.scandir(fd) as entries:
        for number, entry in enumerate(entries):
            if number >= _MAX_NAMES:
                return
            match = _SOCKET.fullmatch(entry.name)
            if match is not None:
                path = os.path.join(directory, entry.name)
                # A service's own directory may hold sockets of its own; ours have a lock beside them.
                if not ours and not os.path.lexists(path + ".lock"):
                    continue
                uid = _socket_owner(entry.name, fd)
            else:
                match = _ENTRY.fullmatch(entry.name)
                if match is None:
                    continue
                told = read_entry(entry.name, fd, owner)
                if told is None:
                    continue
                path = root + told
                uid = _socket_owner(path)
                if not _entry_stands(os.path.join(directory, entry.name), owner, uid):
                    continue
            if uid is not None:
                yield Found(path, int(match[1]), uid)


def _socket_owner(path: str, directory_fd: int | None = None) -> int | None:
    try:
        found = os.stat(path, dir_fd=directory_fd, follow_symlinks=False)
    except (OSError, ValueError):
        return None
    return found.st_uid if stat.S_ISSOCK(found.st_mode) else None


def _entry_stands(entry: str, owner: int, socket_uid: int | None) -> bool:
    """Whether a registration is to be believed; one of ours whose daemon is gone is removed."""
    if is_held(entry, owner) is False:
        if owner == os.geteuid():
            _remove_unlocked(entry)
        return False
    # Nobody registers another's socket.
    return socket_uid == owner


def _remove_unlocked(entry: str) -> None:
    try:
        lock = try_lock(entry)
    except OSError:
        return
    if lock is not None:
        lock.release()


def _keep_if_alive(each: Found, found: dict[tuple[int, int], Found]) -> None:
    try:
        there = os.lstat(each.path)
    except OSError:
        return
    # Held is proof enough, and spares the daemon a connection.
    held = is_held(each.path + ".lock", each.uid)
    if held or socket_answers(each.path):
        found.setdefault((there.st_dev, there.st_ino), each)
    elif held is False and each.uid == os.geteuid():
        _remove_dead(each.path)


def _remove_dead(path: str) -> None:
    """Remove a socket of ours at which nobody listens, as its binder would: under its lock."""
    try:
        lock = try_lock(path + ".lock")
    except OSError:
        return
    if lock is None:
        return
    try:
        # Asked again under the lock: a new daemon may have come since.
        if _socket_owner(path) == os.geteuid() and not socket_answers(path):
            os.unlink(path)
    except OSError:
        # Somebody else was quicker, or the directory is read-only: then it stays, and is passed over.
        return
    finally:
        lock.release()


def _inside(pid: int) -> list[Found]:
    """What a process sees in its own directories, through /proc (Linux); [] if we may not look."""
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
        own = os.readlink(f"/proc/{pid}/root") == "/" and (
            os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
        )
        environ, inner_pid = _environ_of(pid), _inner_pid(pid)
    except (OSError, ValueError):
        return []
    root = "" if own else f"/proc/{pid}/root"
    found: dict[tuple[int, int], Found] = {}
    for directory in candidate_directories(uid, environ):
        for each in _search(root + directory, {uid, 0}, None, root):
            if each.pid == inner_pid and each.uid == uid:
                _keep_if_alive(Found(each.path, pid, uid), found)
    return list(found.values())


def _environ_of(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = (os.fsdecode(each).partition("=") for each in file.read().split(b"\0") if each)
        return {name: value for name, _, value in pairs}


def _inner_pid(pid: int) -> int:
    """The pid as the process itself knows it, within its pid namespace."""
    with open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return pid
