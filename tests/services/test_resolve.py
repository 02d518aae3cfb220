"""resolve: names of hosts, with a look-up of the test's own in place of the system's where it matters."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import coro
from coro import resolve
from coro.loop import loop
from coro.os_thread import default_pool, in_os_thread
from tests.os_thread.waiting import LIMIT_S, bring_to_rest, wait_until

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]


@pytest.fixture(autouse=True)
def no_idle_os_threads() -> Iterator[None]:
    yield
    bring_to_rest(resolve.lookup_pool)
    bring_to_rest(default_pool)


class NameServer:
    """Stands in for the system's look-up: knows "known.example", and answers when `gate` is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[tuple[Any, ...]] = []
        self.os_threads: list[int] = []

    def getaddrinfo(self, *question: Any) -> Any:
        if question[5] & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        self.asked.append(question)
        self.os_threads.append(threading.get_ident())
        self.gate.wait(LIMIT_S)
        if question[0] == "known.example":
            return FOUND
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(resolve, "_getaddrinfo", server.getaddrinfo)
    yield server
    server.gate.set()


@pytest.fixture
def no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have any look-up in an OS thread fail the test."""

    def refuse(*args: Any) -> None:
        raise AssertionError(f"an OS thread was asked for {args}")

    monkeypatch.setattr(type(resolve.lookup_pool), "call", refuse)


@pytest.mark.parametrize("function", [resolve.resolve, resolve.getaddrinfo])
def test_name_is_looked_up_in_an_os_thread_while_others_run(
    server: NameServer, function: Callable[..., Any]
) -> None:
    server.gate.clear()

    def main() -> Any:
        coro.spawn(server.gate.set)
        return function("known.example", 80, socket.AF_INET, socket.SOCK_STREAM)

    assert coro.run(main) == FOUND
    assert server.asked == [("known.example", 80, socket.AF_INET, socket.SOCK_STREAM, 0, 0)]
    assert server.os_threads != [threading.get_ident()]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", ("127.0.0.1", 80)),
        (b"127.0.0.1", ("127.0.0.1", 80)),
        ("127.1", ("127.0.0.1", 80)),
        ("::1", ("::1", 80, 0, 0)),
    ],
)
@pytest.mark.usefixtures("no_pool")
def test_numeric_host_is_answered_at_once(host: str, address: tuple[Any, ...]) -> None:
    def main() -> tuple[Any, int]:
        before = coro.current().switches
        [found] = resolve.resolve(host, 80, type=socket.SOCK_STREAM)
        return found[4], coro.current().switches - before

    assert coro.run(main) == (address, 0)


@pytest.mark.usefixtures("no_pool")
def test_no_host_means_the_loopback_or_any_address_and_asks_nobody() -> None:
    def addresses(flags: int) -> set[str]:
        return {found[4][0] for found in resolve.resolve(None, 80, type=socket.SOCK_STREAM, flags=flags)}

    assert "127.0.0.1" in coro.run(addresses, 0)
    assert "0.0.0.0" in coro.run(addresses, socket.AI_PASSIVE)


def test_localhost_is_found_by_the_systems_own_look_up() -> None:
    found = coro.run(resolve.resolve, "localhost", 80, socket.AF_INET, socket.SOCK_STREAM)

    assert [info[4] for info in found] == [("127.0.0.1", 80)]


def test_name_that_is_not_known_is_an_error_of_the_caller(server: NameServer) -> None:
    def main() -> None:
        with pytest.raises(socket.gaierror) as caught:
            resolve.resolve("unknown.example", 80)
        assert caught.value.errno == socket.EAI_NONAME
        # The traceback tells of one failure, not of the numeric attempt before it.
        assert caught.value.__context__ is None

    coro.run(main)


def test_what_can_be_no_host_name_is_an_error_of_the_caller() -> None:
    def main() -> None:
        with pytest.raises(UnicodeError):
            resolve.resolve("a" * 70 + ".example", 80)
        with pytest.raises(TypeError):
            resolve.resolve(5, 80)  # type: ignore[arg-type]

    coro.run(main)


def test_interrupted_caller_returns_at_once_and_hears_nothing_more(server: NameServer) -> None:
    server.gate.clear()
    notified: list[BaseException] = []
    former = coro.set_exception_notifier(lambda thread, error: notified.append(error))

    def main() -> None:
        thread = coro.spawn(resolve.resolve, "unknown.example", 80)
        thread.observers += 1
        wait_until(lambda: server.asked)
        thread.raise_exception(coro.WakeUp)
        with pytest.raises(coro.WakeUp):
            thread.result()
        server.gate.set()
        wait_until(lambda: not [w for w in resolve.lookup_pool._workers if w not in resolve.lookup_pool._idle])
        coro.sleep_relative(0.002)

    try:
        coro.run(main)
    finally:
        coro.set_exception_notifier(former)

    assert notified == []


def test_slow_look_ups_do_not_keep_other_calls_waiting(server: NameServer) -> None:
    server.gate.clear()

    def main() -> list[Any]:
        lookups = [coro.spawn(resolve.resolve, "known.example", 80) for _ in range(resolve.lookup_pool.size + 5)]
        wait_until(lambda: "5 calls queued" in repr(resolve.lookup_pool))
        assert in_os_thread(int, "5") == 5
        server.gate.set()
        return [lookup.result() for lookup in lookups]

    assert coro.run(main) == [FOUND] * 25


def test_outside_the_loop_and_in_other_os_threads_it_is_the_plain_function(server: NameServer) -> None:
    assert resolve.resolve("known.example", 80) == FOUND
    assert server.os_threads == [threading.get_ident()]

    assert coro.run(in_os_thread, resolve.resolve, "known.example", 80) == FOUND
    assert "0 of" in repr(resolve.lookup_pool)


def test_name_cannot_be_looked_up_by_the_loop_itself(server: NameServer) -> None:
    got: list[Any] = []

    def posted() -> None:
        try:
            got.append(resolve.resolve("known.example", 80))
        except coro.YieldFromMain as error:
            got.append(str(error))

    def main() -> None:
        loop.post(posted)
        coro.sleep_relative(0.001)

    coro.run(main)

    assert len(got) == 1
    assert "would block the loop itself" in got[0]


@pytest.mark.usefixtures("no_pool")
def test_gethostbyname_answers_a_numeric_address_at_once() -> None:
    assert coro.run(resolve.gethostbyname, "127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "address"),
    [("localhost", "127.0.0.1"), ("", "0.0.0.0"), ("127.1", "127.0.0.1"), ("<broadcast>", "255.255.255.255")],
)
def test_gethostbyname_leaves_the_rest_to_the_socket_module(name: str, address: str) -> None:
    assert coro.run(resolve.gethostbyname, name) == address


@pytest.mark.usefixtures("no_pool")
def test_getnameinfo_answers_at_once_if_numbers_are_asked_for() -> None:
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV

    assert coro.run(resolve.getnameinfo, ("127.0.0.1", 80), flags) == ("127.0.0.1", "80")


def test_getnameinfo_looks_up_names_in_an_os_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, int]] = []

    def lookup(sockaddr: tuple[Any, ...], flags: int) -> tuple[str, str]:
        asked.append((sockaddr, threading.get_ident()))
        return "known.example", "http"

    monkeypatch.setattr(resolve, "_getnameinfo", lookup)

    assert coro.run(resolve.getnameinfo, ("192.0.2.1", 80), socket.NI_NUMERICHOST) == ("known.example", "http")
    assert [sockaddr for sockaddr, _ in asked] == [("192.0.2.1", 80)]
    assert asked[0][1] != threading.get_ident()
