"""Names of hosts: the look-up functions of the socket module, blocking the calling thread only, with a small cache.

`coro.dns.servers` asks name servers itself, by dnspython, and keeps answers for as long as they say; it is imported
by name, and needs the extra coro[dns].

    import coro.dns
    from coro.dns.servers import Servers

    coro.dns.set_source(Servers())
    coro.dns.install()  # for connect() and its like, too
"""

from __future__ import annotations

from coro.dns.functions import (
    Source,
    clear_cache,
    getaddrinfo,
    getfqdn,
    gethostbyaddr,
    gethostbyname,
    gethostbyname_ex,
    getnameinfo,
    install,
    set_cache,
    set_source,
)
from coro.dns.system import System

__all__ = [
    # the functions of the socket module
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    # the cache
    "clear_cache",
    "set_cache",
    # who is asked, and by whom
    "Source",
    "System",
    "install",
    "set_source",
]
