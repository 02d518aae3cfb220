"""The functions of the socket module that look names up; here they block the calling thread only.

What is numeric asks nobody and is answered at once.  The rest goes through `coro.dns.lookups`: asked once for all
who want it at the same time, and remembered for a moment.

Outside the loop, and in other OS threads, they are the functions of the socket module.
"""

from __future__ import annotations

import _socket
import functools
from collections.abc import Callable
from typing import Any, Protocol

from coro import resolve
from coro.dns.cache import Outcome
from coro.dns.lookups import Lookups, check_seconds
from coro.dns.system import Begin, System, named
from coro.resolve import AddressInfo
from coro.scheduler import scheduler

__all__ = [
    "Source",
    "clear_cache",
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "install",
    "lookups",
    "set_cache",
    "set_source",
]

_NUMERIC = _socket.AI_NUMERICHOST | _socket.AI_NUMERICSERV
_NUMERIC_NAMES = _socket.NI_NUMERICHOST | _socket.NI_NUMERICSERV
_LAST_PORT = 65535


class Source(Protocol):
    """Who is asked: the system, or name servers.  See `System` for the methods."""

    def getaddrinfo(
        self,
        begin: Begin,
        host: str | bytes | None,
        port: str | bytes | int | None,
        family: int,
        type: int,
        proto: int,
        flags: int,
    ) -> Outcome: ...

    def gethostbyname(self, begin: Begin, hostname: str) -> Outcome: ...

    def gethostbyname_ex(self, begin: Begin, hostname: str) -> Outcome: ...

    def gethostbyaddr(self, begin: Begin, address: str) -> Outcome: ...

    def getnameinfo(self, begin: Begin, sockaddr: tuple[Any, ...], flags: int) -> Outcome: ...


lookups = Lookups()
_source: Source = System()


# -- settings


def install() -> None:
    """Have names in addresses looked up here too: of connect(), bind(), listen_tcp(), create_connection() …

    Doing it twice is harmless.  Does not yield.
    """
    resolve.lookup_hook = getaddrinfo


def set_source(source: Source) -> Source:
    """Set who is asked from now on: a `System`, or `coro.dns.servers.Servers`; returns the former one.

    What is known is forgotten.  Does not yield.
    """
    global _source
    former, _source = _source, source
    lookups.forget()
    return former


def set_cache(size: int = 1000, *, found: float = 10.0, failed: float = 2.0) -> None:
    """Set what is remembered, and for how long.

    size: so many answers; 0 switches the cache off.
    found, failed: seconds that an answer, or a certain "no such name", is believed for; 0 for not at all.  Where
        the answer itself says for how long it holds (`Servers`), that counts, unless the size is 0.
    A failure that may be over a moment later (a server that does not answer) is never remembered.
    Raises TypeError, ValueError.  Does not yield.
    """
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"the cache's size must be an int, got {size!r}")
    if size < 0:
        raise ValueError(f"the cache's size must be 0 or more, got {size}")
    check_seconds(found, "found")
    check_seconds(failed, "failed")
    lookups.cache.size = size
    lookups.found_s = found
    lookups.failed_s = failed
    lookups.cache.shrink()


def clear_cache() -> None:
    """Forget all answers, those that are on their way included.  Does not yield."""
    lookups.forget()


# -- the functions


def getaddrinfo(
    host: str | bytes | None,
    port: str | bytes | int | None,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[AddressInfo]:
    """Look up the addresses of a host and a service, as socket.getaddrinfo().

    Yields, unless both are numeric (or None) or the answer is known.  Raises as the original: socket.gaierror,
    UnicodeError for what can be no host name; socket.gaierror (EAI_AGAIN) also when 1000 others are under way.
    An interrupted caller returns at once.
    """
    try:
        # With these flags nobody is asked: no file, no server.
        return named(_socket.getaddrinfo(host, port, family, type, proto, flags | _NUMERIC))
    except _socket.gaierror as error:
        if error.errno != _socket.EAI_NONAME:
            raise
    if not _can_wait():
        return named(_socket.getaddrinfo(host, port, family, type, proto, flags))
    number = _port_number(port)
    if number is None or host is None:
        return _find("getaddrinfo", host, port, family, type, proto, flags)  # type: ignore[no-any-return]
    # Asked without the port: the answer serves for all of them.
    found = _find("getaddrinfo", host, None, family, type, proto, flags)
    return [(*info[:4], (info[4][0], number, *info[4][2:])) for info in found]


def gethostbyname(hostname: str) -> str:
    """Look up the first IPv4 address of a host, as socket.gethostbyname().  Yields and raises as getaddrinfo()."""
    if _is_ipv4(hostname):
        return hostname
    if not _can_wait():
        return _socket.gethostbyname(hostname)
    return _find("gethostbyname", hostname)  # type: ignore[no-any-return]


def gethostbyname_ex(hostname: str) -> tuple[str, list[str], list[str]]:
    """Look up (canonical name, other names, IPv4 addresses), as socket.gethostbyname_ex().

    Yields and raises as getaddrinfo().
    """
    if _is_ipv4(hostname):
        return hostname, [], [hostname]
    if not _can_wait():
        return _socket.gethostbyname_ex(hostname)
    return _find("gethostbyname_ex", hostname)  # type: ignore[no-any-return]


def gethostbyaddr(ip_address: str) -> tuple[str, list[str], list[str]]:
    """Look up (name, other names, addresses) of an address, as socket.gethostbyaddr().

    Yields.  Raises as the original: socket.herror, socket.gaierror.  An interrupted caller returns at once.
    """
    if not _can_wait():
        return _socket.gethostbyaddr(ip_address)
    return _find("gethostbyaddr", ip_address)  # type: ignore[no-any-return]


def getnameinfo(sockaddr: tuple[Any, ...], flags: int) -> tuple[str, str]:
    """Look up the names of an address and its port, as socket.getnameinfo(): (host, service).

    Yields, unless `flags` ask for numbers in both places.  Raises as the original.
    An interrupted caller returns at once.
    """
    if not isinstance(sockaddr, tuple) or flags & _NUMERIC_NAMES == _NUMERIC_NAMES or not _can_wait():
        # What is no address is refused at once, and leaves no trace.
        return _socket.getnameinfo(sockaddr, flags)
    return _find("getnameinfo", sockaddr, flags)  # type: ignore[no-any-return]


def getfqdn(name: str = "") -> str:
    """The host's name with its domain, or `name` itself, as socket.getfqdn().  Yields; as gethostbyaddr()."""
    name = name.strip()
    if not name or name in ("0.0.0.0", "::"):
        name = _socket.gethostname()
    try:
        first, others, _ = gethostbyaddr(name)
    except OSError:
        return name
    return next((known for known in (first, *others) if "." in known), first)


def _find(function: str, *arguments: Any) -> Any:
    try:
        question = (function, *arguments)
        hash(question)
    except TypeError:
        # The original says what is wrong with it.
        return getattr(_socket, function)(*arguments)
    return lookups.find(question, functools.partial(_ask, function, arguments))


def _ask(function: str, arguments: tuple[Any, ...], begin: Callable[[], None]) -> Outcome:
    method: Callable[..., Outcome] = getattr(_source, function)
    return method(begin, *arguments)


def _can_wait() -> bool:
    """Whether a loop runs others meanwhile, or will: under emulation the main greenlet becomes a thread."""
    if scheduler.loop_greenlet is None:
        return scheduler.adopt("looking up a name") is not None
    return scheduler.in_loop_os_thread()


def _is_ipv4(hostname: object) -> bool:
    """Whether it is a complete numeric address; "", "127.1" and "<broadcast>" are the system's to judge."""
    try:
        return isinstance(hostname, str) and bool(_socket.inet_pton(_socket.AF_INET, hostname))
    except (OSError, ValueError):
        return False


def _port_number(port: object) -> int | None:
    """The number if it is one within the limits; the system knows what it makes of others."""
    if isinstance(port, (str, bytes)):
        if not (port.isascii() and port.isdigit()):
            return None
        port = int(port)
    return port if isinstance(port, int) and 0 <= port <= _LAST_PORT else None
