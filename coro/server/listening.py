"""Sockets that listen: TCP on one or both IP versions, Unix sockets at a path.

Facts about the world that shaped this file:
- One IPv6 socket with IPV6_V6ONLY off serves both versions, where the wildcard address is meant.
- A Unix socket's file outlives its process, so a restarted daemon finds it in its way; whether somebody still
  listens there is found out by connecting.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any

from coro.resolve import getaddrinfo
from coro.socket.make import has_ipv6
from coro.socket.sock import sock

__all__ = ["BACKLOG", "identity_of_bound", "listen_tcp", "listen_unix", "remove_unix_path"]

BACKLOG = 1024
# How often another port is tried when a free one turns out to be taken on the second address.
_PORT_ATTEMPTS = 16


def listen_tcp(address: tuple[Any, ...], *, backlog: int = BACKLOG, reuse_port: bool = False) -> list[sock]:
    """Sockets that listen at (host, port).

    host: an address; a name, which is listened at on all its addresses; "" or None for every interface on both IP
        versions, by one dual-stack socket where the system has IPv6.
    port: 0 to 65535; 0 takes a free one, the same on all addresses.
    backlog: as listen(2).  reuse_port: sets SO_REUSEPORT, so that several processes share the port.
    Yields if `host` is a name.  Raises TypeError, ValueError, OSError (EADDRINUSE …), socket.gaierror.
    """
    host, port = _checked_address(address)
    if host in (None, ""):
        if has_ipv6():
            return [_listener(socket.AF_INET6, ("::", port), backlog, reuse_port, dual_stack=True)]
        return [_listener(socket.AF_INET, ("0.0.0.0", port), backlog, reuse_port)]
    found = getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    places = list(dict.fromkeys((family, place) for family, _, _, _, place in found))
    for attempt in range(_PORT_ATTEMPTS):
        try:
            return _listen_at_all(places, port, backlog, reuse_port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port != 0 or attempt + 1 == _PORT_ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _listen_at_all(
    places: list[tuple[int, tuple[Any, ...]]], port: int, backlog: int, reuse_port: bool
) -> list[sock]:
    listeners: list[sock] = []
    unavailable: OSError | None = None
    try:
        for family, place in places:
            try:
                listeners.append(_listener(family, (place[0], port, *place[2:]), backlog, reuse_port))
            except OSError as error:
                # "localhost" names ::1 on hosts that have no IPv6 at all.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                unavailable = error
                continue
            port = listeners[-1].getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    if not listeners and unavailable is not None:
        raise unavailable
    return listeners


def _listener(
    family: int, place: tuple[Any, ...], backlog: int, reuse_port: bool, *, dual_stack: bool = False
) -> sock:
    listener = sock(family, socket.SOCK_STREAM)
    try:
        listener.set_reuse_addr()
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # Without this two sockets at "::" and "0.0.0.0" would be in each other's way.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual_stack else 1)
        listener.bind(place)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{error.strerror} (listening at {place!r})") from None
    except BaseException:
        listener.close()
        raise
    return listener


def listen_unix(path: str | os.PathLike[str], *, backlog: int = BACKLOG, mode: int | None = None) -> sock:
    """A socket that listens at a path of the file system; a name that begins with a NUL is abstract.

    mode: permissions of the socket's file, set before anybody can connect; None leaves them to the umask.
    A stale socket at the path is replaced.  Raises OSError: EADDRINUSE if somebody listens there, EEXIST if
    something else than a socket is in the way (links are not followed).  Does not yield.
    """
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"a Unix socket's path must be a str, got {path!r}")
    if not name:
        raise ValueError("a Unix socket's path must not be empty")
    abstract = name.startswith("\0")
    listener = sock(socket.AF_UNIX, socket.SOCK_STREAM)
    identity: tuple[int, int] | None = None
    try:
        if not abstract:
            _clear_stale(name)
        if mode is not None:
            # On Linux the file gets the mode of the descriptor: so it is never open to more.
            os.fchmod(listener.fileno(), mode)
        _bind_unix(listener, name)
        if not abstract:
            identity = identity_of_bound(name)
            if mode is not None:
                os.chmod(name, mode)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        if identity is not None:
            remove_unix_path(name, identity)
        raise
    return listener


def _bind_unix(listener: sock, name: str) -> None:
    try:
        listener.bind(name)
    except OSError as error:
        if error.errno is None:
            # Too long for the kernel's structure, says the socket module.
            raise OSError(errno.ENAMETOOLONG, f"{error} ({len(os.fsencode(name))} bytes)", name) from None
        raise OSError(error.errno, error.strerror, name) from None


def identity_of_bound(name: str) -> tuple[int, int]:
    """What tells the file that was made a moment ago from whatever stands at its path later."""
    try:
        status = os.lstat(name)
    except OSError:
        _unlink(name)
        raise
    return status.st_dev, status.st_ino


def _clear_stale(path: str) -> None:
    """Unlink a socket at `path` that nobody listens at any more."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise FileExistsError(errno.EEXIST, "something that is no socket is in the way", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full backlog answers EAGAIN at once: somebody listens.
        probe.setblocking(False)
        error = probe.connect_ex(path)
    if error == errno.ECONNREFUSED:
        _unlink(path)
    elif error in (0, errno.EAGAIN, errno.EPROTOTYPE):
        raise OSError(errno.EADDRINUSE, "somebody listens there already", path)
    elif error != errno.ENOENT:
        raise OSError(error, f"{os.strerror(error)}; a socket is in the way, and it may be in use", path)


def remove_unix_path(path: str, identity: tuple[int, int]) -> None:
    """Unlink a socket's file if it is still the one with this (device, inode)."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if (status.st_dev, status.st_ino) == identity:
        _unlink(path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        # Somebody else was quicker.
        return


def _checked_address(address: tuple[Any, ...]) -> tuple[str | None, int]:
    if not isinstance(address, tuple) or len(address) < 2:
        raise TypeError(f"an address must be a tuple (host, port), got {address!r}")
    host, port = address[0], address[1]
    if host is not None and not isinstance(host, str):
        raise TypeError(f"a host must be a str or None, got {host!r}")
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"a port must be an int, got {port!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"a port must be 0 to 65535, got {port}")
    return host, port
