"""coro.dns: the look-up functions of the socket module, against the originals and against a slow system."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import coro
import coro.dns
from coro import resolve
from coro.connecting import create_connection
from coro.dns import functions
from coro.os_thread import in_os_thread
from coro.resolve import lookup_pool
from tests.dns.conftest import ANSWER, SlowSystem

LOOK_UPS: list[tuple[str, tuple[Any, ...]]] = [
    ("getaddrinfo", ("known.example", 80)),
    ("gethostbyname", ("known.example",)),
    ("gethostbyname_ex", ("known.example",)),
    ("gethostbyaddr", ("192.0.2.1",)),
    ("getnameinfo", (("192.0.2.1", 80), 0)),
    ("getfqdn", ("192.0.2.1",)),
]


def outcome_of(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, or what it raises as (type, arguments)."""
    try:
        return function(*arguments)
    except Exception as error:
        return type(error), error.args


def same_types(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    is_nested = isinstance(left, (list, tuple))
    return not is_nested or all(same_types(one, other) for one, other in zip(left, right, strict=True))


@pytest.fixture
def no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have any look-up in an OS thread fail the test."""

    def refuse(*args: Any) -> None:
        raise AssertionError(f"an OS thread was asked for {args}")

    monkeypatch.setattr(type(lookup_pool), "call", refuse)


# None of these asks a name server: the hosts file, or nobody, knows.
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("getaddrinfo", ("localhost", 80)),
        ("getaddrinfo", (b"localhost", b"80")),
        ("getaddrinfo", ("localhost", "80", socket.AF_INET, socket.SOCK_DGRAM)),
        ("getaddrinfo", ("localhost", "http")),
        ("getaddrinfo", ("localhost", None, 0, socket.SOCK_STREAM)),
        ("getaddrinfo", ("localhost", 70000)),
        ("getaddrinfo", ("localhost", -1)),
        ("getaddrinfo", ("localhost", " 80")),
        ("getaddrinfo", ("localhost", True)),
        ("getaddrinfo", ("localhost", 80, 0, socket.SOCK_STREAM, 0, socket.AI_CANONNAME)),
        ("getaddrinfo", ("localhost", 80, 0, 0, 0, socket.AI_NUMERICHOST)),
        ("getaddrinfo", ("127.0.0.1", "http")),
        ("getaddrinfo", ("127.0.0.1", "no-such-service")),
        ("getaddrinfo", ("127.0.0.1", 80)),
        ("getaddrinfo", ("127.1", 80, 0, socket.SOCK_STREAM)),
        ("getaddrinfo", ("::1", 80, socket.AF_INET)),
        ("getaddrinfo", ("::1", 80)),
        ("getaddrinfo", (None, 80)),
        ("getaddrinfo", (None, 80, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)),
        ("getaddrinfo", (None, None)),
        ("getaddrinfo", (None, "http")),
        ("getaddrinfo", ("", 80)),
        ("getaddrinfo", ("localhost", 80, 12345)),
        ("getaddrinfo", (5, 80)),
        ("getaddrinfo", (bytearray(b"localhost"), 80)),
        ("getaddrinfo", ("localhost", 1.5)),
        ("getaddrinfo", ("a" * 64 + ".example", 80)),
        ("getaddrinfo", (".example", 80)),
        ("getaddrinfo", ("\udcff", 80)),
        ("gethostbyname", ("localhost",)),
        ("gethostbyname", ("127.0.0.1",)),
        ("gethostbyname", ("",)),
        ("gethostbyname", ("127.1",)),
        ("gethostbyname", ("<broadcast>",)),
        ("gethostbyname", ("a\0b",)),
        ("gethostbyname", ("a" * 64,)),
        ("gethostbyname", (5,)),
        ("gethostbyname", (["list"],)),
        ("gethostbyname_ex", ("localhost",)),
        ("gethostbyname_ex", ("127.0.0.1",)),
        ("gethostbyname_ex", ("a\0b",)),
        ("gethostbyaddr", ("127.0.0.1",)),
        ("gethostbyaddr", ("localhost",)),
        ("gethostbyaddr", ("a" * 64,)),
        ("getnameinfo", (("127.0.0.1", 80), 0)),
        ("getnameinfo", (("127.0.0.1", 80), socket.NI_NUMERICHOST)),
        ("getnameinfo", (("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)),
        ("getnameinfo", (("::1", 80, 0, 0), socket.NI_NUMERICSERV)),
        ("getnameinfo", (("localhost", 80), 0)),
        ("getnameinfo", (("a\0b", 80), 0)),
        ("getnameinfo", (["127.0.0.1", 80], 0)),
        ("getnameinfo", ("127.0.0.1", 0)),
        ("getfqdn", ()),
        ("getfqdn", ("127.0.0.1",)),
        ("getfqdn", ("  localhost ",)),
    ],
    ids=str,
)
def test_each_call_is_as_the_original(function: str, arguments: tuple[Any, ...]) -> None:
    expected = outcome_of(getattr(socket, function), *arguments)
    ours = getattr(coro.dns, function)

    def main() -> Any:
        # The second one may come from the cache.
        return [outcome_of(ours, *arguments) for _ in range(2)]

    for found in (*coro.run(main), outcome_of(ours, *arguments)):
        assert found == expected
        assert same_types(found, expected)


@pytest.mark.parametrize(("function", "arguments"), LOOK_UPS, ids=str)
def test_name_is_looked_up_in_an_os_thread_while_others_run(
    function: str, arguments: tuple[Any, ...], slow: SlowSystem
) -> None:
    slow.gate.clear()

    def main() -> Any:
        coro.spawn(slow.gate.set)
        return getattr(coro.dns, function)(*arguments)

    found = coro.run(main)

    assert len(slow.asked) == 1
    assert slow.os_threads != [threading.get_ident()]
    if function == "getaddrinfo":
        assert found == [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ANSWER, 80))]
    if function == "getfqdn":
        assert found == "known.example"


@pytest.mark.usefixtures("no_pool")
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("getaddrinfo", ("127.0.0.1", 80)),
        ("getaddrinfo", ("::1", "80")),
        ("getaddrinfo", (None, 80)),
        ("gethostbyname", ("127.0.0.1",)),
        ("gethostbyname_ex", ("127.0.0.1",)),
        ("getnameinfo", (("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)),
    ],
    ids=str,
)
def test_what_is_numeric_is_answered_at_once(function: str, arguments: tuple[Any, ...]) -> None:
    def main() -> int:
        before = coro.current().switches
        getattr(coro.dns, function)(*arguments)
        return coro.current().switches - before

    assert coro.run(main) == 0


@pytest.mark.usefixtures("no_pool")
def test_numeric_host_of_another_family_is_refused_at_once() -> None:
    def main() -> None:
        with pytest.raises(socket.gaierror) as caught:
            coro.dns.getaddrinfo("::1", 80, socket.AF_INET)
        assert caught.value.errno != socket.EAI_NONAME

    coro.run(main)


def test_host_is_asked_for_once_whatever_the_port(slow: SlowSystem) -> None:
    def main() -> list[Any]:
        return [coro.dns.getaddrinfo("known.example", port)[0][4] for port in (80, "443", b"25", None, 0)]

    assert coro.run(main) == [(ANSWER, port) for port in (80, 443, 25, 0, 0)]
    assert [arguments[:2] for _, arguments in slow.asked] == [("known.example", None)]


def test_other_flags_are_another_question(slow: SlowSystem) -> None:
    def main() -> None:
        coro.dns.getaddrinfo("known.example", 80)
        coro.dns.getaddrinfo("known.example", 80, flags=socket.AI_CANONNAME)

    coro.run(main)
    assert len(slow.asked) == 2


def test_outside_the_loop_and_in_other_os_threads_it_is_the_plain_function(slow: SlowSystem) -> None:
    assert coro.dns.gethostbyname("localhost") == "127.0.0.1"
    assert coro.run(in_os_thread, coro.dns.gethostbyname, "localhost") == "127.0.0.1"
    assert slow.asked == []


def test_name_cannot_be_looked_up_by_the_loop_itself() -> None:
    got: list[str] = []

    def hook(thread: Any, error: BaseException) -> None:
        try:
            coro.dns.gethostbyname("localhost")
        except coro.YieldFromMain as refused:
            got.append(str(refused))

    def main() -> None:
        coro.set_handler(write_end.fileno(), coro.WRITE, lambda *_: hook(None, ValueError()))
        coro.sleep_relative(0.001)

    left, write_end = socket.socketpair()
    with left, write_end:
        coro.run(main)

    assert got
    assert "would block the loop itself" in got[0]


@pytest.mark.parametrize("connect", ["create_connection", "connect"])
def test_installed_it_looks_up_names_for_sockets_too(
    connect: str, slow: SlowSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "lookup_hook", None)
    slow.address = "127.0.0.1"

    def main() -> None:
        with coro.tcp_server(("127.0.0.1", 0), lambda peer, address: None) as server:
            for _ in range(3):
                place = ("known.example", server.address[1])
                if connect == "create_connection":
                    connection = create_connection(place)
                else:
                    connection = coro.tcp_sock()
                    connection.connect(place)
                with connection:
                    assert connection.getpeername() == server.address

    coro.dns.install()
    coro.dns.install()
    coro.run(main)
    assert len(slow.asked) == 1


def test_source_can_be_changed_and_what_was_known_is_forgotten(slow: SlowSystem) -> None:
    class Source(coro.dns.System):
        def gethostbyname(self, begin: Any, hostname: str) -> Any:
            return functions.Outcome("192.0.2.9")

    def main() -> list[str]:
        found = [coro.dns.gethostbyname("known.example")]
        former = coro.dns.set_source(Source())
        found.append(coro.dns.gethostbyname("known.example"))
        assert isinstance(coro.dns.set_source(former), Source)
        return [*found, coro.dns.gethostbyname("known.example")]

    assert coro.run(main) == [ANSWER, "192.0.2.9", ANSWER]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"size": -1}, ValueError),
        ({"size": 1.5}, TypeError),
        ({"size": True}, TypeError),
        ({"found": -1}, ValueError),
        ({"failed": "2"}, TypeError),
        ({"found": float("nan")}, ValueError),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        coro.dns.set_cache(**settings)
    assert functions.lookups.cache.size == 1000
