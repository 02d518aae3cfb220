"""Makers of sockets, and Shrapnel's namespaces of constants: `AF.INET`, `SO.REUSEADDR` …"""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace

from coro.socket.sock import sock

__all__ = [
    "AF",
    "OUT_OF_RESOURCES",
    "PF",
    "SHUT",
    "SO",
    "SOCK",
    "SOL",
    "adopt",
    "has_ipv6",
    "make_socket",
    "socketpair",
    "tcp6_sock",
    "tcp_sock",
    "udp6_sock",
    "udp_sock",
    "unix_sock",
]


# What these say was missing may be there a moment later, when somebody else has given it back.
OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC})


def _constants(*prefixes: str) -> SimpleNamespace:
    """The constants of the socket module with one of these prefixes, by what follows it."""
    found = {}
    for prefix in prefixes:
        for name in dir(socket):
            if name.startswith(prefix):
                found[name[len(prefix) :]] = getattr(socket, name)
    return SimpleNamespace(**found)


AF = _constants("AF_")
# Where the system defines protocol families at all, they equal the address families.
PF = _constants("AF_", "PF_")
SOCK = _constants("SOCK_")
SHUT = _constants("SHUT_")
# The protocol levels of setsockopt() count among SOL in Shrapnel.
SOL = _constants("IPPROTO_", "SOL_")
SO = _constants("SO_", "TCP_")


def make_socket(domain: int, stype: int, protocol: int = 0) -> sock:
    """A socket of any family and type.  Raises OSError as socket(2)."""
    return sock(domain, stype, protocol)


def tcp_sock() -> sock:
    """A TCP socket over IPv4."""
    return sock(socket.AF_INET, socket.SOCK_STREAM)


def udp_sock() -> sock:
    """A UDP socket over IPv4."""
    return sock(socket.AF_INET, socket.SOCK_DGRAM)


def tcp6_sock() -> sock:
    """A TCP socket over IPv6."""
    return sock(socket.AF_INET6, socket.SOCK_STREAM)


def udp6_sock() -> sock:
    """A UDP socket over IPv6."""
    return sock(socket.AF_INET6, socket.SOCK_DGRAM)


def unix_sock() -> sock:
    """A stream socket of the local machine."""
    return sock(socket.AF_UNIX, socket.SOCK_STREAM)


def socketpair(
    domain: int = socket.AF_UNIX, stype: int = socket.SOCK_STREAM, protocol: int = 0
) -> tuple[sock, sock]:
    """Two sockets that are connected to each other.  Raises OSError as socketpair(2)."""
    left, right = socket.socketpair(domain, stype, protocol)
    # Closes what could not be adopted.
    with left, right:
        first = adopt(left)
        try:
            return first, adopt(right)
        except BaseException:
            first.close()
            raise


def adopt(given: socket.socket) -> sock:
    """A socket of ours in place of one of the standard library's, which is as good as closed then.

    Raises OSError; then the given one is as it was.
    """
    ours = sock(given.family, given.type, given.proto, given.fileno())
    given.detach()
    return ours


def has_ipv6() -> bool:
    """Whether an IPv6 socket can be made and bound here.

    Raises OSError (EMFILE, ENFILE, ENOBUFS, ENOMEM) when that cannot be found out just now.
    """
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        if error.errno in OUT_OF_RESOURCES:
            raise
        return False
    return True
