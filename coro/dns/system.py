"""Names as the system looks them up: its files, DNS, whatever it is set up to ask.

That blocks, so it is done in OS threads: in the pool for look-ups that `coro.resolve` has, 20 at a time.
"""

from __future__ import annotations

# The functions of C: an emulation may put others in their place, in the socket module.
import _socket
from collections.abc import Callable
from socket import AddressFamily, SocketKind
from typing import Any

from coro.dns.cache import Outcome
from coro.resolve import AddressInfo, lookup_pool

__all__ = ["Begin", "System", "named"]

# Called when an OS thread, or a server, is asked: from then on there is no way back.
Begin = Callable[[], None]


def named(found: list[AddressInfo]) -> list[AddressInfo]:
    """The same with enums for families and types, as socket.getaddrinfo()."""
    return [
        (_member(AddressFamily, family), _member(SocketKind, type), proto, canonical_name, address)
        for family, type, proto, canonical_name, address in found
    ]


def _member(enum: Callable[[int], int], value: int) -> int:
    try:
        return enum(value)
    except ValueError:
        return value


class System:
    """The system's own look-ups.

    Each method is named and called as the function of the socket module, behind `begin`, and returns an Outcome.
    All yield and raise what that function raises; an interrupted caller returns at once.
    """

    def getaddrinfo(
        self,
        begin: Begin,
        host: str | bytes | None,
        port: str | bytes | int | None,
        family: int,
        type: int,
        proto: int,
        flags: int,
    ) -> Outcome:
        """Addresses of a host and a service."""
        return Outcome(named(_call(begin, _socket.getaddrinfo, host, port, family, type, proto, flags)))

    def gethostbyname(self, begin: Begin, hostname: str) -> Outcome:
        """The first IPv4 address of a host."""
        return Outcome(_call(begin, _socket.gethostbyname, hostname))

    def gethostbyname_ex(self, begin: Begin, hostname: str) -> Outcome:
        """(canonical name, other names, IPv4 addresses) of a host."""
        return Outcome(_call(begin, _socket.gethostbyname_ex, hostname))

    def gethostbyaddr(self, begin: Begin, address: str) -> Outcome:
        """(name, other names, addresses) of an address."""
        return Outcome(_call(begin, _socket.gethostbyaddr, address))

    def getnameinfo(self, begin: Begin, sockaddr: tuple[Any, ...], flags: int) -> Outcome:
        """(host, service) of a socket's address."""
        return Outcome(_call(begin, _socket.getnameinfo, sockaddr, flags))


def _call(begin: Begin, function: Callable[..., Any], *arguments: Any) -> Any:
    return lookup_pool.call(_begin_and_call, begin, function, arguments)


def _begin_and_call(begin: Begin, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    begin()
    return function(*arguments)
