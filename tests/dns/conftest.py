"""What the tests of look-ups share: settings as in a new process, a slow system, name servers."""

import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import coro
import coro.dns
from coro.dns import functions, system
from coro.resolve import lookup_pool
from tests.dns.name_server import NameServer
from tests.os_thread.waiting import LIMIT_S, bring_to_rest

ANSWER = "192.0.2.1"


@pytest.fixture(autouse=True)
def settings_of_a_new_process() -> Iterator[None]:
    """Set source and cache back to their defaults, after a test; leave no OS thread."""
    coro.set_print_exit_string(False)
    yield
    coro.dns.set_source(coro.dns.System())
    coro.dns.set_cache()
    functions.lookups.max_under_way = 1000
    bring_to_rest(lookup_pool)


class SlowSystem:
    """Stands in for the functions of C: knows "known.example", and answers when `gate` is open.

    asked: every question, as (function, arguments).
    errors: host -> what to raise.
    address: of every host.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.os_threads: list[int] = []
        self.errors: dict[Any, BaseException] = {}
        self.address = ANSWER

    def ask(self, function: str, *arguments: Any) -> None:
        """Note the question, wait for the gate, and fail if that is wanted."""
        self.asked.append((function, arguments))
        self.os_threads.append(threading.get_ident())
        assert self.gate.wait(LIMIT_S)
        host = arguments[0][0] if isinstance(arguments[0], tuple) else arguments[0]
        if host in self.errors:
            raise self.errors[host]

    def getaddrinfo(self, *question: Any) -> Any:
        """One address, with the port that was asked for."""
        self.ask("getaddrinfo", *question)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, question[1] or 0))]

    def gethostbyname(self, host: str) -> str:
        """The address."""
        self.ask("gethostbyname", host)
        return self.address

    def gethostbyname_ex(self, host: str) -> tuple[str, list[str], list[str]]:
        """The host itself, one more name, the address."""
        self.ask("gethostbyname_ex", host)
        return host, ["alias.example"], [self.address]

    def gethostbyaddr(self, address: str) -> tuple[str, list[str], list[str]]:
        """Two names, the second one with a domain."""
        self.ask("gethostbyaddr", address)
        return "known", ["known.example"], [address]

    def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        """Two names."""
        self.ask("getnameinfo", sockaddr, flags)
        return "known.example", "http"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowSystem]:
    """A system whose answers wait for the test."""
    slow = SlowSystem()
    names = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
    monkeypatch.setattr(system, "_socket", SimpleNamespace(**{name: getattr(slow, name) for name in names}))
    yield slow
    slow.gate.set()


@pytest.fixture
def name_server() -> Iterator[Callable[..., NameServer]]:
    """Give a function that starts a name server on loopback, in threads of the loop that runs."""
    servers: list[NameServer] = []

    def start(records: dict[tuple[str, str], list[Any]] | None = None) -> NameServer:
        server = NameServer(records)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()
