"""Names of hosts and services, looked up without blocking the loop.

The system's own look-up (files, DNS, whatever it is set up to ask) blocks, so it is done in OS threads; in a pool
of their own, so that a slow name server does not keep in_os_thread() waiting, nor the other way round.  What is
numeric asks nobody, and is answered at once.

Outside the loop, and in other OS threads, these are the functions of the socket module.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

# Bound now: an emulation of the socket module puts functions that call these in their place.
from socket import getaddrinfo as _getaddrinfo
from socket import gethostbyname as _gethostbyname
from socket import getnameinfo as _getnameinfo
from typing import Any, TypeVar

from coro.loop import loop
from coro.os_thread import OSThreadPool
from coro.scheduler import scheduler

__all__ = ["AddressInfo", "getaddrinfo", "gethostbyname", "getnameinfo", "lookup_pool", "resolve"]

T = TypeVar("T")

# (family, type, protocol, canonical name, address), as of socket.getaddrinfo().
AddressInfo = tuple[Any, Any, int, str, Any]

# Looks up what is not numeric, in place of the system's own function: `coro.dns` puts its own here, if it is
# asked to.  It may yield, and raises as resolve(); called in the loop's OS thread only.
lookup_hook: Callable[..., list[AddressInfo]] | None = None

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_NUMERIC_NAMES = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV

# That a look-up which nobody waits for any more finds nothing is no news to anybody.
lookup_pool = OSThreadPool(name="name look-ups", report_late_failures=False)
loop.at_close.append(lookup_pool.dismiss_idle)


def resolve(
    host: str | bytes | None,
    port: str | bytes | int | None,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[AddressInfo]:
    """Look up the addresses of a host and a service, as socket.getaddrinfo().

    Yields, unless both are numeric (or None).  Raises socket.gaierror; UnicodeError for what can be no host name.
    An interrupted caller returns at once; the look-up's result is dropped.
    """
    try:
        # With these flags nobody is asked: no file, no server.
        return _getaddrinfo(host, port, family, type, proto, flags | _NUMERIC)
    except socket.gaierror:
        # What the look-up raises is not to be told as having come of this.
        pass
    if lookup_hook is not None and scheduler.in_loop_os_thread():
        return lookup_hook(host, port, family, type, proto, flags)
    return _look_up(_getaddrinfo, host, port, family, type, proto, flags)


def getaddrinfo(
    host: str | bytes | None,
    port: str | bytes | int | None,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[AddressInfo]:
    """The socket module's getaddrinfo(), which blocks this thread only.  As resolve()."""
    return resolve(host, port, family, type, proto, flags)


def gethostbyname(hostname: str) -> str:
    """Look up the first IPv4 address of a host, as socket.gethostbyname().  Yields and raises as resolve()."""
    try:
        # Complete numeric addresses only: the rest ("", "127.1", "<broadcast>") is the socket module's to judge.
        return socket.inet_ntoa(socket.inet_pton(socket.AF_INET, hostname))
    except OSError:
        return _look_up(_gethostbyname, hostname)


def getnameinfo(sockaddr: tuple[Any, ...], flags: int) -> tuple[str, str]:
    """Look up the names of an address and its port, as socket.getnameinfo(): (host, service).

    Yields, unless `flags` ask for numbers in both places.  Raises as resolve().
    """
    if flags & _NUMERIC_NAMES == _NUMERIC_NAMES:
        return _getnameinfo(sockaddr, flags)
    return _look_up(_getnameinfo, sockaddr, flags)


def _look_up(function: Callable[..., T], *arguments: Any) -> T:
    if scheduler.loop_greenlet is None or not scheduler.in_loop_os_thread():
        return function(*arguments)
    return lookup_pool.call(function, *arguments)
