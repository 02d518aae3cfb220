"""Host names in addresses are looked up without blocking the loop."""

import socket
import threading
from typing import Any

import pytest

import coro
from coro import resolve
from tests.io.pairs import Own, listener_of, needs_ipv6


class SlowLookUp:
    """A getaddrinfo() that takes as long as the test likes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.may_answer = threading.Event()
        self.real = socket.getaddrinfo
        monkeypatch.setattr(resolve, "_getaddrinfo", self.look_up)

    def look_up(self, host: Any, *arguments: Any) -> Any:
        if arguments[-1] & socket.AI_NUMERICHOST:
            return self.real(host, *arguments)
        self.asked.append(host)
        assert self.may_answer.wait(10)
        if host in ("unknown.example", b"unknown.example"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.real("127.0.0.1", *arguments)


@pytest.fixture
def look_up(monkeypatch: pytest.MonkeyPatch) -> SlowLookUp:
    return SlowLookUp(monkeypatch)


@pytest.mark.parametrize("host", ["somewhere.example", b"somewhere.example", bytearray(b"somewhere.example")])
@pytest.mark.parametrize("operation", ["connect", "connect_ex", "bind", "sendto"])
def test_name_is_looked_up_while_others_run(operation: str, host: Any, own: Own, look_up: SlowLookUp) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        port = listener.getsockname()[1]
        sock = own(coro.udp_sock() if operation == "sendto" else coro.tcp_sock())
        if operation == "sendto":
            thread = coro.spawn(sock.sendto, b"x", (host, port))
        else:
            thread = coro.spawn(getattr(sock, operation), (host, 0 if operation == "bind" else port))
        for _ in range(10):
            # The loop is free.
            coro.sleep_relative(0.001)
        assert not thread.dead
        look_up.may_answer.set()
        thread.result()
        assert look_up.asked == [bytes(host) if isinstance(host, bytearray) else host]
        if operation == "bind":
            assert sock.getsockname()[0] == "127.0.0.1"
        elif operation != "sendto":
            assert sock.getpeername() == listener.getsockname()

    coro.run(main)


def test_unknown_name_raises(own: Own, look_up: SlowLookUp) -> None:
    look_up.may_answer.set()

    def main() -> None:
        for call in ("connect", "connect_ex", "bind"):
            with pytest.raises(socket.gaierror):
                getattr(own(coro.tcp_sock()), call)(("unknown.example", 80))

    coro.run(main)


def test_interrupted_look_up_returns_at_once(own: Own, look_up: SlowLookUp) -> None:
    def main() -> None:
        thread = coro.spawn(own(coro.tcp_sock()).connect, ("somewhere.example", 80))
        coro.sleep_relative(0.005)
        thread.shutdown()
        thread.join(1)
        look_up.may_answer.set()

    coro.run(main)


@pytest.mark.parametrize("host", ["127.0.0.1", b"127.0.0.1", "", "127.1", "0"])
def test_numeric_address_asks_nobody(host: Any, own: Own, look_up: SlowLookUp) -> None:
    def main() -> None:
        own(coro.tcp_sock()).bind((host, 0))

    coro.run(main)
    assert look_up.asked == []


@needs_ipv6
def test_numeric_ipv6_address_asks_nobody(own: Own, look_up: SlowLookUp) -> None:
    def main() -> None:
        for address in (("::1", 0), ("::1", 0, 0), ("::1", 0, 0, 0), ("", 0)):
            own(coro.tcp6_sock()).bind(address)

    coro.run(main)
    assert look_up.asked == []


def test_port_that_is_none_is_refused_with_a_name_too(own: Own, look_up: SlowLookUp) -> None:
    look_up.may_answer.set()

    def main() -> None:
        for host in ("127.0.0.1", "somewhere.example"):
            with pytest.raises(OverflowError):
                own(coro.tcp_sock()).connect((host, 65536 + 80))
            with pytest.raises(TypeError):
                own(coro.tcp_sock()).connect((host, "http"))

    coro.run(main)


def test_outside_the_loop_a_name_is_looked_up_by_the_caller(own: Own) -> None:
    sock = own(coro.tcp_sock())
    sock.bind(("localhost", 0))
    assert sock.getsockname()[0] == "127.0.0.1"
