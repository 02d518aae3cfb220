"""Accepting connections."""

import select
import socket
from pathlib import Path

import pytest

import coro
from coro import testing
from tests.io.pairs import STREAMS, Own, let_run, listener_of, needs_ipv6, report_readiness

BIG = 16 << 20

every_stream = pytest.mark.parametrize("kind", STREAMS)


@pytest.mark.parametrize("kind", ["tcp", pytest.param("tcp6", marks=needs_ipv6)])
def test_accept_waits_and_returns_socket_and_address(kind: str, own: Own) -> None:
    def main() -> None:
        listener = own(listener_of(kind))
        waiting = coro.spawn(listener.accept)
        let_run()
        client = own(coro.tcp6_sock() if kind == "tcp6" else coro.tcp_sock())
        client.connect(listener.getsockname())
        accepted, address = waiting.result()
        own(accepted)
        assert isinstance(accepted, coro.sock)
        assert address == client.getsockname() == accepted.getpeername()
        assert accepted.gettimeout() is None
        assert accepted.family == client.family
        client.send(b"hello")
        assert accepted.recv(10) == b"hello"

    testing.run(main)


def test_accept_many_takes_all_or_as_many_as_asked(own: Own) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        waiting = coro.spawn(listener.accept_many)
        let_run()
        clients = []
        for _ in range(8):
            clients.append(own(coro.tcp_sock()))
            clients[-1].connect(listener.getsockname())
        found = waiting.result()
        while len(found) < 4:
            found += listener.accept_many(4 - len(found))
        assert len(found) >= 4
        while len(found) < 7:
            found += listener.accept_many(max=1)
        found += listener.accept_many()
        assert [address for _, address in found] == [client.getsockname() for client in clients]
        for connection, _ in found:
            own(connection)
        for wrong, error in (("1", TypeError), (-1, ValueError)):
            with pytest.raises(error, match="accept_many"):
                listener.accept_many(wrong)  # type: ignore[arg-type]

    testing.run(main)


def test_accepted_connection_of_an_interrupted_thread_is_the_next_ones(own: Own) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        first = coro.spawn(listener.accept)
        let_run()
        client = own(socket.create_connection(listener.getsockname()))
        select.select([listener], [], [], 5)
        report_readiness()
        assert first.scheduled
        first.shutdown()
        connection, address = listener.accept()
        own(connection)
        first.join()
        assert address == client.getsockname()

    testing.run(main)


def test_accept_on_a_unix_socket(own: Own, tmp_path: Path) -> None:
    def main() -> None:
        listener = own(coro.unix_sock())
        listener.bind(str(tmp_path / "socket"))
        listener.listen(5)
        waiting = coro.spawn(listener.accept)
        client = own(coro.unix_sock())
        client.connect(str(tmp_path / "socket"))
        connection, _ = waiting.result()
        own(connection)
        connection.send(b"hello")
        assert client.recv(10) == b"hello"

    testing.run(main)
