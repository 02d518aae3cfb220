"""Binding the backdoor's listening sockets: never open to others, never over somebody else's file.

A Unix socket is bound under a lock on PATH.lock, which its daemon holds as long as it serves: two daemons cannot
both find a stale socket and both remove it, and a client sees by the lock alone who is alive.

Invariant: what we unlink is a socket, ours, and nobody listens on it; at close(), the very one that we bound.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterable
from typing import NoReturn, Self

from coro.wire.directories import candidate_directories, ensure_directory, well_known_directories
from coro.wire.lock_file import LockFile, try_lock
from coro.wire.registration import Registration, register

__all__ = ["BACKLOG", "BindRefused", "BoundSocket", "bind_tcp", "bind_unix"]

BACKLOG = 64
# unix(7): 108 bytes with the final NUL; 104 on BSD and macOS.
_MAX_PATH_BYTES = 107 if sys.platform == "linux" else 103
# Linux makes the file with the mode that the socket has; elsewhere it is made open, and renamed when it is not.
_MODE_BEFORE_BIND = sys.platform == "linux"
# A client that looks whether a daemon lives holds the lock for some microseconds.
_LOCK_PATIENCE_S = 0.2
_LOCK_PAUSE_S = 0.005
_CANNOT = "cannot bind the backdoor"


class BindRefused(OSError):
    """The address cannot be had, and why: errno, text, path."""


class BoundSocket:
    """A listening Unix socket, and its place in the file system.

    socket: the plain non-blocking listening socket.  path: absolute.  identity: (st_dev, st_ino) of its file.
    registration_fault: why clients will not find it by pid; None if they will.
    The process that bound it closes it; in a forked child close() is forget().
    """

    __slots__ = ("_lock", "_pid", "_registration", "identity", "path", "registration_fault", "socket")

    def __init__(
        self,
        path: str,
        listener: socket.socket,
        lock: LockFile,
        identity: tuple[int, int],
    ) -> None:
        self.path = path
        self.socket = listener
        self.identity = identity
        self.registration_fault: str | None = None
        self._lock = lock
        self._registration: Registration | None = None
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor; -1 when closed."""
        return self.socket.fileno()

    def in_place(self) -> bool:
        """Whether the path still leads to this socket: somebody may have removed or replaced it."""
        return self.fileno() >= 0 and _identity_at(self.path) == self.identity

    def register(self) -> None:
        """Have clients find it by this process's pid, if it lies where they do not look.  Never raises OSError."""
        directory, name = os.path.split(self.path)
        known = directory in well_known_directories(os.geteuid())
        if known and (name == f"{self._pid}.sock" or name.endswith(f"-{self._pid}.sock")):
            return
        try:
            self._registration = register(self._pid, self.path)
        except (OSError, ValueError) as error:
            # The socket is there all the same, for who knows its path.
            self.registration_fault = str(error)

    def touch(self) -> None:
        """Make the files beside the socket young, so that what clears old ones out of /tmp spares them."""
        self._lock.touch()
        if self._registration is not None:
            self._registration.touch()

    def close(self) -> None:
        """Stop listening and remove the socket, its lock and its registration, as far as they are still ours.

        Raises OSError if the directory has become read-only; everything is closed then too.
        """
        if self._pid != os.getpid():
            self.forget()
            return
        if self.fileno() < 0:
            return
        try:
            if self._registration is not None:
                self._registration.close()
            # While the socket is open the kernel keeps its inode, so no newcomer can have the same number.
            if self.in_place():
                os.unlink(self.path)
        finally:
            self.socket.close()
            self._lock.release()

    def forget(self) -> None:
        """Close the descriptors and touch nothing else: for a forked child, whose parent serves on."""
        self.socket.close()
        self._lock.forget()
        if self._registration is not None:
            self._registration.forget()


def bind_unix(
    path: str | os.PathLike[str],
    *,
    mode: int = 0o600,
    gid: int | None = None,
    backlog: int = BACKLOG,
    registered: bool = True,
) -> BoundSocket:
    """Listen at a path, which is at no time open to more than `mode` allows, whatever the umask.

    gid: the group of its file; None leaves the process's own.
    registered: have clients find it by pid, if it lies where they do not look; that this failed is no error.
    The directories of coro.wire.directories are made and verified; any other must be there.
    Raises BindRefused (an OSError) naming the path and what is in the way: a living daemon (EADDRINUSE), a file, a
    link, a directory, another's socket (EEXIST), a path too long (ENAMETOOLONG), a group that we may not give
    (EPERM).  ValueError for an impossible one.
    Does not yield; waits 0.2 s at most, when another process holds the lock.
    """
    place = _checked(os.fspath(path))
    _prepare_parent(place)
    lock = _locked(place)
    listener: socket.socket | None = None
    try:
        _clear_the_way(place)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        identity = _bind_and_listen(listener, place, mode, gid, backlog)
    except BaseException:
        if listener is not None:
            listener.close()
        lock.release()
        raise
    bound = BoundSocket(place, listener, lock, identity)
    if registered:
        bound.register()
    return bound


def _refuse(number: int, text: str, path: str) -> NoReturn:
    raise BindRefused(number, f"{_CANNOT}: {text}", path)


def _checked(path: str) -> str:
    if not path or "\0" in path:
        raise ValueError(f"a Unix socket's path must be that of a file, got {path!r}")
    # A daemon may change its directory later.
    place = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    length = len(os.fsencode(place))
    if length > _MAX_PATH_BYTES:
        _refuse(errno.ENAMETOOLONG, f"the path is {length} bytes long, the limit is {_MAX_PATH_BYTES}", place)
    return place


def _prepare_parent(place: str) -> None:
    parent = os.path.dirname(place)
    known = well_known_directories(os.geteuid())
    if parent in known or (os.path.basename(parent) == "coro" and parent in candidate_directories()):
        try:
            ensure_directory(parent)
        except OSError as error:
            raise BindRefused(error.errno, f"{_CANNOT}: its directory {error.strerror}", parent) from error
    if not os.path.isdir(parent):
        _refuse(errno.ENOENT, f"there is no directory {parent}", place)


def _locked(place: str) -> LockFile:
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            lock = try_lock(place + ".lock")
        except OSError as error:
            raise BindRefused(error.errno, f"{_CANNOT}: no lock: {error.strerror}", place + ".lock") from error
        if lock is not None:
            return lock
        _refuse_if_live(place)
        if time.monotonic() >= deadline:
            _refuse(errno.EADDRINUSE, f"another process holds {place}.lock", place)
        time.sleep(_LOCK_PAUSE_S)


def _clear_the_way(place: str) -> None:
    """Remove a dead socket of ours; refuse whatever else is there.  The caller holds the lock."""
    try:
        found = os.lstat(place)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        _refuse(errno.EEXIST, f"{_kind(found.st_mode)} is in the way", place)
    _refuse_if_live(place)
    if found.st_uid != os.geteuid():
        _refuse(errno.EEXIST, f"a socket of uid {found.st_uid} is in the way", place)
    os.unlink(place)


def _refuse_if_live(place: str) -> None:
    try:
        # Only a socket is asked: connect() follows links.
        if not stat.S_ISSOCK(os.lstat(place).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(place)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            _refuse(errno.EADDRINUSE, "a process listens there already, and its backlog is full", place)
        except OSError as error:
            _refuse(errno.EADDRINUSE, f"a socket is there that cannot be asked: {error.strerror}", place)
        pid = _listener_pid(probe)
    _refuse(errno.EADDRINUSE, f"{f'pid {pid}' if pid else 'another process'} listens there already", place)


def _listener_pid(probe: socket.socket) -> int | None:
    if sys.platform != "linux":
        return None
    # ucred, socket(7): for a client, who called listen().
    credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    pid: int = struct.unpack("iII", credentials)[0]
    return pid or None


def _bind_and_listen(
    listener: socket.socket, place: str, mode: int, gid: int | None, backlog: int
) -> tuple[int, int]:
    """Bind, with the mode and the group, and listen; returns the identity; leaves nothing behind if it fails."""
    if _MODE_BEFORE_BIND:
        # The kernel gives the file the socket's own mode, without what the umask takes.
        os.fchmod(listener.fileno(), mode)
        _try_to(listener.bind, place, place)
        try:
            identity = _give_back(place, mode, gid)
            listener.listen(backlog)
        except BaseException:
            os.unlink(place)
            raise
        return identity
    # Nobody can connect before listen(), and then the mode is right.
    new = os.path.join(os.path.dirname(place), f".{os.getpid():x}")
    if len(os.fsencode(new)) > _MAX_PATH_BYTES:
        _refuse(errno.ENAMETOOLONG, f"the directory leaves no room for {os.path.basename(new)!r}", place)
    _clear_the_way(new)
    _try_to(listener.bind, new, place)
    try:
        if gid is not None:
            _give_to(gid, new, place)
        os.chmod(new, mode)
        listener.listen(backlog)
        identity = _identity(os.lstat(new))
        os.rename(new, place)
    except BaseException:
        os.unlink(new)
        raise
    return identity


def _try_to(bind: Callable[[str], None], address: str, place: str) -> None:
    try:
        bind(address)
    except OSError as error:
        raise BindRefused(error.errno, f"{_CANNOT}: {error.strerror}", place) from error


def _give_to(gid: int, file: str, place: str) -> None:
    try:
        os.chown(file, -1, gid)
    except OSError as error:
        raise BindRefused(error.errno, f"{_CANNOT}: its group cannot be {gid}: {error.strerror}", place) from error


def _give_back(place: str, mode: int, gid: int | None) -> tuple[int, int]:
    """Give the file its group, and the bits that the umask took.

    Through a descriptor, so that no other file gets them.
    """
    bound = os.lstat(place)
    if stat.S_IMODE(bound.st_mode) != mode or gid is not None:
        fd = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if _identity(os.fstat(fd)) == _identity(bound):
                if gid is not None:
                    _give_to(gid, f"/proc/self/fd/{fd}", place)
                os.chmod(f"/proc/self/fd/{fd}", mode)
        finally:
            os.close(fd)
    return _identity(bound)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _identity_at(place: str) -> tuple[int, int] | None:
    try:
        return _identity(os.lstat(place))
    except OSError:
        return None


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a file" if stat.S_ISREG(mode) else "something that is not a socket"


def bind_tcp(
    ip: str,
    port: int | Iterable[int],
    *,
    allow_remote: bool = False,
    has_token: bool = False,
    backlog: int = BACKLOG,
) -> socket.socket:
    """Listen on TCP: on loopback only, unless `allow_remote` and there is a token.

    ip: a numeric IPv4 or IPv6 address, or "localhost", which is 127.0.0.1.
    port: one port, or several, of which the first free one is taken, as Shrapnel; 0 has the kernel choose.
    Returns the plain non-blocking listening socket.
    Raises ValueError for an address or port that is not allowed; BindRefused if none of the ports is free.
    Does not yield.
    """
    ports = _checked_ports(port)
    family, address = _checked_address(ip, allow_remote, has_token)
    for number in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            # A restarted daemon must not wait for its former connections; two listeners are still refused.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, number))
            listener.listen(backlog)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise BindRefused(error.errno, f"{_CANNOT}: {error.strerror}", f"{ip} port {number}") from error
        except BaseException:
            listener.close()
            raise
        else:
            return listener
    taken = ", ".join(map(str, ports))
    text = f"no port is free of {taken}" if len(ports) > 1 else f"port {taken} is taken"
    raise BindRefused(errno.EADDRINUSE, f"{_CANNOT}: {text}", ip)


def _checked_ports(port: int | Iterable[int]) -> list[int]:
    ports = [port] if isinstance(port, int) else list(port)
    if not ports:
        raise ValueError("the list of ports is empty")
    for number in ports:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 65535:
            raise ValueError(f"a port must be 0 to 65535, got {number!r}")
    return ports


def _checked_address(ip: str, allow_remote: bool, has_token: bool) -> tuple[int, str]:
    try:
        address = ipaddress.ip_address("127.0.0.1" if ip == "localhost" else ip)
    except ValueError:
        raise ValueError(f"the backdoor's ip must be a numeric address, got {ip!r}") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not address.is_loopback:
        if not allow_remote:
            raise ValueError(f"{ip} is not a loopback address: others could connect; allow_remote=True allows it")
        if not has_token:
            raise ValueError(f"{ip} is not a loopback address: allow_remote needs a token")
    return (socket.AF_INET if address.version == 4 else socket.AF_INET6), str(address)
