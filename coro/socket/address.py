"""Addresses whose host may be a name: looked up without blocking the loop."""

from __future__ import annotations

import socket
from typing import Any

from coro.resolve import getaddrinfo

__all__ = ["Address", "numeric_address"]

# What the socket module calls an address: a tuple, a path, bytes; each family has its own.
Address = Any


def is_numeric(family: int, host: object) -> bool:
    """Whether the socket module takes `host` without asking a name server."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str):
        # The socket module says what is wrong with it.
        return True
    if host in ("", "<broadcast>", "<any>"):
        return True
    try:
        # A scope ("fe80::1%eth0") is not part of the address proper.
        socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        return False
    return True


def numeric_address(sock: socket.socket, address: Address) -> Address:
    """The address with its host name resolved; anything else comes back as it is.

    Yields if the host is a name.  Raises socket.gaierror.
    """
    family = sock.family
    if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple) or len(address) < 2:
        return address
    host = bytes(address[0]) if isinstance(address[0], bytearray) else address[0]
    if is_numeric(family, host):
        return address
    # Without the port: what is no port is the socket module's to refuse, as with a numeric host.
    found = getaddrinfo(host, None, family, sock.type, sock.proto)[0][4]
    return (found[0], *address[1:], *found[len(address) :])
