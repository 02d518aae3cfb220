"""Names as name servers tell them, asked by dnspython over coro sockets; needs the extra coro[dns].

No OS thread is needed, so a thousand look-ups can be under way, and answers are kept for as long as their servers
say.  In turn it does less than the system: /etc/hosts first, then the servers and search domains of
/etc/resolv.conf.  What else /etc/nsswitch.conf may name (mdns, LDAP, containers' names) is not asked.
"""

from __future__ import annotations

import _socket
import os
import re
import socket
from typing import Any

try:
    import dns.asyncresolver
    import dns.exception
    import dns.message
    import dns.name
    import dns.rdatatype
    import dns.resolver
    import dns.reversename
except ImportError as missing:
    raise ImportError(f"coro.dns.servers needs dnspython ({missing}): pip install 'coro[dns]'") from missing

from coro.dns.cache import Outcome
from coro.dns.hosts import HostsFile
from coro.dns.lookups import HOST_NOT_FOUND, NO_DATA, TRY_AGAIN
from coro.dns.system import Begin, System, named
from coro.dns.transport import Transport, complete
from coro.parallel import in_parallel
from coro.resolve import AddressInfo
from coro.sync.semaphore import semaphore

__all__ = ["Servers"]

MAX_QUESTIONS = 100
# A look-up of addresses by these flags is done here; with others the system does it.
_KNOWN_FLAGS = (
    socket.AI_PASSIVE
    | socket.AI_CANONNAME
    | socket.AI_ADDRCONFIG
    | socket.AI_NUMERICSERV
    | getattr(socket, "AI_DEFAULT", 0)
)
_KNOWN_NAME_FLAGS = socket.NI_NAMEREQD | socket.NI_DGRAM | socket.NI_NUMERICSERV
_RECORDS: dict[int, str] = {socket.AF_INET: "A", socket.AF_INET6: "AAAA"}
# The texts of gai_strerror() and hstrerror().
_NO_NAME = (socket.EAI_NONAME, "Name or service not known")
_NO_ADDRESS = (getattr(socket, "EAI_NODATA", socket.EAI_NONAME), "No address associated with hostname")
_AGAIN = (socket.EAI_AGAIN, "Temporary failure in name resolution")
# Any port does: connecting a datagram socket sends nothing.
_ANY_PORT = 9


class _Host:
    """What is known of a host: its names and addresses, and for how many seconds (None: as for any answer)."""

    __slots__ = ("addresses", "name", "others", "ttl_s")

    def __init__(self, name: str, others: list[str], addresses: list[str], ttl_s: float | None) -> None:
        self.name = name
        self.others = others
        self.addresses = addresses
        self.ttl_s = ttl_s


class _Failed(Exception):
    """A look-up that came to nothing.

    problem: errno and text of a gaierror.
    ttl_s: for how long that holds, in seconds.
    """

    def __init__(self, problem: tuple[int, str], ttl_s: float | None = None) -> None:
        super().__init__(problem, ttl_s)
        self.problem = problem
        self.ttl_s = ttl_s

    def as_gaierror(self) -> Outcome:
        return Outcome(error=socket.gaierror(*self.problem), ttl_s=self.ttl_s)

    def as_herror(self) -> Outcome:
        number, text = {
            _NO_NAME: (HOST_NOT_FOUND, "Unknown host"),
            _NO_ADDRESS: (NO_DATA, "No address associated with name"),
        }.get(self.problem, (TRY_AGAIN, "Host name lookup failure"))
        return Outcome(error=socket.herror(number, text), ttl_s=self.ttl_s)


class Servers(System):
    """Look-ups by /etc/hosts and name servers; for coro.dns.set_source().

    resolver: the servers, search domains and time limits, a dns.asyncresolver.Resolver; None reads
        /etc/resolv.conf.  A cache of its own is not needed.
    hosts: the path of the hosts file; None for none.
    max_questions: how many are sent at a time; more wait.

    An address that this machine has no route to stands behind those that it has; otherwise IPv6 comes first.
    A name that a server does not know raises socket.gaierror (EAI_NONAME); one without such an address EAI_NODATA;
    servers that fail or do not answer EAI_AGAIN.
    """

    def __init__(
        self,
        resolver: dns.asyncresolver.Resolver | None = None,
        *,
        hosts: str | os.PathLike[str] | None = "/etc/hosts",
        max_questions: int = MAX_QUESTIONS,
    ) -> None:
        if resolver is None:
            resolver = dns.asyncresolver.Resolver()
        elif not isinstance(resolver, dns.asyncresolver.Resolver):
            raise TypeError(f"Servers() needs a dns.asyncresolver.Resolver, got {resolver!r}")
        self.resolver = resolver
        self.hosts = None if hosts is None else HostsFile(hosts)
        self._places = semaphore(max_questions)
        self._transport = Transport()

    def __repr__(self) -> str:
        return f"<name servers {', '.join(map(str, self.resolver.nameservers))}, {self.hosts!r}>"

    # -- as the functions of the socket module

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
        name = _name_to_ask(host)
        if name is None or family not in (0, *_RECORDS) or flags & ~_KNOWN_FLAGS:
            return super().getaddrinfo(begin, host, port, family, type, proto, flags)
        try:
            known = self._find_host(begin, name, family)
        except _Failed as failure:
            return failure.as_gaierror()
        found: list[AddressInfo] = []
        numeric_flags = (flags | socket.AI_NUMERICHOST) & ~socket.AI_CANONNAME
        for address in _best_first(known.addresses, only_usable=bool(flags & socket.AI_ADDRCONFIG)):
            try:
                at_once = numeric_flags | socket.AI_NUMERICSERV
                found += named(_socket.getaddrinfo(address, port, family, type, proto, at_once))
            except socket.gaierror:
                # The service is a name, or wrong: the system knows, by a file.
                found += super().getaddrinfo(begin, address, port, family, type, proto, numeric_flags).value
        if flags & socket.AI_CANONNAME:
            found[0] = (*found[0][:3], known.name, found[0][4])
        return Outcome(found, ttl_s=known.ttl_s)

    def gethostbyname(self, begin: Begin, hostname: str) -> Outcome:
        """The first IPv4 address of a host."""
        name = _name_to_ask(hostname)
        if name is None:
            return super().gethostbyname(begin, hostname)
        try:
            known = self._find_host(begin, name, socket.AF_INET)
        except _Failed as failure:
            return failure.as_gaierror()
        return Outcome(known.addresses[0], ttl_s=known.ttl_s)

    def gethostbyname_ex(self, begin: Begin, hostname: str) -> Outcome:
        """(canonical name, other names, IPv4 addresses) of a host."""
        name = _name_to_ask(hostname)
        if name is None:
            return super().gethostbyname_ex(begin, hostname)
        try:
            known = self._find_host(begin, name, socket.AF_INET)
        except _Failed as failure:
            return failure.as_gaierror()
        return Outcome((known.name, known.others, known.addresses), ttl_s=known.ttl_s)

    def gethostbyaddr(self, begin: Begin, address: str) -> Outcome:
        """(name, other names, addresses) of an address, or of the first one of a host."""
        name = _name_to_ask(address)
        try:
            if name is not None:
                address = self._find_host(begin, name, 0).addresses[0]
        except _Failed as failure:
            return failure.as_gaierror()
        numeric = _numeric(address)
        if numeric is None:
            # "", "127.1" and the like, or what is wrong.
            return super().gethostbyaddr(begin, address)
        try:
            known = self._find_names(begin, numeric)
        except _Failed as failure:
            return failure.as_herror()
        return Outcome((known.name, known.others, known.addresses), ttl_s=known.ttl_s)

    def getnameinfo(self, begin: Begin, sockaddr: tuple[Any, ...], flags: int) -> Outcome:
        """(host, service) of a socket's address."""
        # Numbers in place of the host's name, the service from a file: this also refuses what is no address.
        local = super().getnameinfo(begin, sockaddr, (flags & ~socket.NI_NAMEREQD) | socket.NI_NUMERICHOST)
        numeric = _numeric(local.value[0])
        if flags & socket.NI_NUMERICHOST or numeric is None or flags & ~_KNOWN_NAME_FLAGS:
            return super().getnameinfo(begin, sockaddr, flags)
        try:
            known = self._find_names(begin, numeric)
        except _Failed as failure:
            if flags & socket.NI_NAMEREQD or failure.problem == _AGAIN:
                return failure.as_gaierror()
            return Outcome(local.value, ttl_s=failure.ttl_s)
        return Outcome((known.name, local.value[1]), ttl_s=known.ttl_s)

    # -- asking

    def _find_host(self, begin: Begin, name: str, family: int) -> _Host:
        """What the file or the servers know of a host; raises _Failed."""
        local = None if self.hosts is None else self.hosts.find_name(name, family)
        if local is not None:
            return _Host(*local, ttl_s=None)
        begin()
        records = list(_RECORDS.values()) if family == 0 else [_RECORDS[family]]
        answers = in_parallel([(self._ask, (name, record)) for record in records])
        failures = [answer for answer in answers if isinstance(answer, _Failed)]
        found = [
            answer for answer in answers if isinstance(answer, dns.resolver.Answer) and answer.rrset is not None
        ]
        if found:
            addresses = [record.address for answer in found for record in answer]
            # With one of two answers missing, this is 0, and it is asked again next time.
            ttl_s = min(map(_ttl_s, answers))
            canonical = _text(found[0].canonical_name)
            others = [alias for alias in _aliases(found[0]) if alias != canonical]
            return _Host(canonical, others, addresses, ttl_s)
        if failures:
            # One that may be over soon says least about the name.
            raise next((failure for failure in failures if failure.problem == _AGAIN), failures[0])
        raise _Failed(_NO_ADDRESS, min(map(_ttl_s, answers)))

    def _find_names(self, begin: Begin, address: str) -> _Host:
        """What the file or the servers call an address; raises _Failed."""
        local = None if self.hosts is None else self.hosts.find_address(address)
        if local is not None:
            return _Host(*local, [address], ttl_s=None)
        begin()
        answer = self._ask(dns.reversename.from_address(address), "PTR")
        if isinstance(answer, _Failed):
            raise answer
        if answer.rrset is None:
            raise _Failed(_NO_NAME, _ttl_s(answer))
        names = [_text(record.target) for record in answer]
        return _Host(names[0], names[1:], [address], _ttl_s(answer))

    def _ask(self, name: str | dns.name.Name, record: str) -> dns.resolver.Answer | _Failed:
        try:
            with self._places:
                return complete(
                    self.resolver.resolve(
                        name,
                        record,
                        raise_on_no_answer=False,
                        search=not isinstance(name, dns.name.Name),
                        backend=self._transport,
                    )
                )
        except dns.resolver.NXDOMAIN as error:
            return _Failed(_NO_NAME, min(map(_ttl_s, _responses(error)), default=0))
        except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
            return _Failed(_NO_NAME, 0)
        except dns.exception.DNSException:
            # No server answered in time, or none that did could help.
            return _Failed(_AGAIN)


# What a name server may be asked for; anything odder is the system's to judge.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


def _name_to_ask(host: object) -> str | None:
    """The host as a name server knows it; None for what is none of its business."""
    try:
        if isinstance(host, str):
            host = host.encode("idna")
        # Also "127.1" and "1", which are addresses to the system.
        if not isinstance(host, bytes) or _is_old_numeric(host):
            return None
        name = host.decode("ascii")
    except UnicodeError:
        return None
    return name if _PLAIN_NAME.fullmatch(name) else None


def _is_old_numeric(host: bytes) -> bool:
    try:
        return bool(_socket.inet_aton(host.decode("ascii")))
    except (OSError, ValueError):
        return False


def _numeric(address: str) -> str | None:
    """A complete numeric address, written as inet_ntop() does; None for anything else."""
    for family in _RECORDS:
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, address))
        except (OSError, ValueError):
            continue
    return None


def _ttl_s(answer: dns.resolver.Answer | dns.message.QueryMessage | _Failed) -> float:
    """For how many seconds an answer holds, or the lack of one."""
    if isinstance(answer, _Failed):
        return answer.ttl_s or 0
    response = answer.response if isinstance(answer, dns.resolver.Answer) else answer
    chain = response.resolve_chaining()
    if chain.answer is None and not any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority):
        # RFC 2308, section 5: a "no" without a SOA record is not to be kept.
        return 0
    return chain.minimum_ttl


def _responses(error: dns.resolver.NXDOMAIN) -> list[dns.message.QueryMessage]:
    """What the servers answered, for each of the names that were tried."""
    return list(error.responses().values())  # type: ignore[no-untyped-call]


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


def _aliases(answer: dns.resolver.Answer) -> list[str]:
    """The names that led to the canonical one, in order."""
    return [_text(name) for name in dict.fromkeys([answer.qname, *(c.name for c in answer.chaining_result.cnames)])]


def _best_first(addresses: list[str], *, only_usable: bool) -> list[str]:
    """IPv6 first, unless this machine has no route there (RFC 6724, rules 1 and 6)."""
    new = [address for address in addresses if ":" in address]
    old = [address for address in addresses if ":" not in address]
    if new and not _has_route(socket.AF_INET6, new[0]):
        return old if only_usable and old else old + new
    if old and only_usable and new and not _has_route(socket.AF_INET, old[0]):
        return new
    return new + old


def _has_route(family: int, address: str) -> bool:
    try:
        probe = _socket.socket(family, socket.SOCK_DGRAM)
    except OSError:
        return False
    try:
        probe.connect((address, _ANY_PORT))
    except OSError:
        return False
    finally:
        probe.close()
    return True
