"""tls_server(): handshakes beside each other, and what becomes of those that fail."""

import socket
import ssl
from typing import Any

import pytest

import coro
import coro.ssl
from coro.server import Server
from tests.io.pairs import Own, let_run
from tests.io.serving import echo
from tests.ssl.certificates import HOST, Certificates


def connected(own: Own, server: Server, certificates: Certificates) -> coro.ssl.SSLSocket:
    plain = own(coro.tcp_sock())
    plain.connect(server.address)
    client: coro.ssl.SSLSocket = own(
        coro.ssl.wrap_socket(plain, certificates.client_context(), server_hostname=HOST)
    )
    return client


def serve(certificates: Certificates, handler: Any = echo, *args: Any, **options: Any) -> Server:
    options.setdefault("ssl_context", certificates.server_context())
    return coro.ssl.tls_server(("127.0.0.1", 0), handler, *args, **options)


def test_clients_are_served_over_tls(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        with serve(certificates) as server:
            clients = [connected(own, server, certificates) for _ in range(5)]
            for client in clients:
                client.send(b"hello")
            assert [client.recv(100) for client in clients] == [b"hello"] * 5
            for client in clients:
                client.close()

    coro.run(main)


def test_handler_gets_tls_socket_address_and_arguments(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        seen: list[Any] = []

        def handler(connection: coro.ssl.SSLSocket, address: Any, *args: Any) -> None:
            seen.extend([type(connection), address, args, connection.gettimeout()])

        with serve(certificates, handler, 1, 2, idle_timeout=7, handshake_timeout=3) as server:
            client = connected(own, server, certificates)
            # The handler has returned: TLS ends in good order.
            assert client.recv(1) == b""
            assert seen == [coro.ssl.SSLSocket, client.getsockname(), (1, 2), 7]
            assert server.lost == 0

    coro.run(main)


def test_end_is_told_only_if_the_handler_returned(
    certificates: Certificates, own: Own, failures: list[BaseException]
) -> None:
    def main() -> None:
        def fail(connection: coro.ssl.SSLSocket, address: Any) -> None:
            raise KeyError("handler")

        with serve(certificates, fail) as server:
            plain = own(coro.tcp_sock())
            plain.connect(server.address)
            client = own(
                coro.ssl.wrap_socket(
                    plain, certificates.client_context(), server_hostname=HOST, suppress_ragged_eofs=False
                )
            )
            with pytest.raises((ssl.SSLEOFError, ConnectionError)):
                client.recv(1)

    coro.run(main)
    assert [type(failure) for failure in failures] == [KeyError]
    failures.clear()


def test_peer_that_says_nothing_keeps_nobody_waiting(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        with serve(certificates, handshake_timeout=0.05) as server:
            silent = own(coro.tcp_sock())
            silent.connect(server.address)
            client = connected(own, server, certificates)
            client.send(b"hello")
            assert client.recv(100) == b"hello"
            assert silent.recv(1) == b""
            client.close()
            while server.connections:
                let_run()
            assert (server.accepted, server.lost) == (2, 1)

    coro.run(main)


def test_failed_handshake_is_counted_and_told_to_who_asks(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        told: list[tuple[OSError, Any]] = []
        with serve(certificates, handshake_failed=lambda *what: told.append(what)) as server:
            client = own(coro.tcp_sock())
            client.connect(server.address)
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            while not server.lost:
                let_run()
            ((error, address),) = told
            assert address == client.getsockname()
            assert isinstance(error, ssl.SSLError)
            assert error.reason == "HTTP_REQUEST"

    coro.run(main)


def test_peer_that_closes_without_a_word_is_no_failure(
    certificates: Certificates, own: Own, failures: list[BaseException]
) -> None:
    def main() -> None:
        def handler(connection: coro.ssl.SSLSocket, address: Any) -> None:
            connection.suppress_ragged_eofs = False
            connection.recv(1)

        with serve(certificates, handler) as server:
            connected(own, server, certificates).close()
            while not server.lost:
                let_run()

    coro.run(main)


def test_places_count_while_the_handshake_lasts(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        with serve(certificates, max_connections=1) as server:
            first = own(coro.tcp_sock())
            first.connect(server.address)
            second = own(coro.tcp_sock())
            second.connect(server.address)
            let_run()
            assert len(server.connections) == 1
            first.close()
            client = own(coro.ssl.wrap_socket(second, certificates.client_context(), server_hostname=HOST))
            client.send(b"hello")
            assert client.recv(100) == b"hello"
            client.close()

    coro.run(main)


def test_stopped_server_closes_connections_at_any_stage(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        before = coro.get_live_sockets()
        server = serve(certificates)
        shaking = own(coro.tcp_sock())
        shaking.connect(server.address)
        client = connected(own, server, certificates)
        while len(server.connections) < 2:
            let_run()
        assert server.stop(drain=0) == 2
        assert shaking.recv(1) == b""
        assert client.recv(1) == b""
        shaking.close()
        client.close()
        assert coro.get_live_sockets() == before

    coro.run(main)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"ssl_context": None}, TypeError, "ssl_context must be an ssl.SSLContext, got None"),
        ({"handshake_timeout": 0}, ValueError, "handshake_timeout must be more than 0 seconds, got 0"),
        ({"handshake_timeout": "soon"}, TypeError, "handshake_timeout"),
        ({"handshake_failed": 3}, TypeError, "handshake_failed must be a function or None, got 3"),
        ({"handler": None}, TypeError, "handles connections, got None"),
        ({"max_connections": 0}, ValueError, "max_connections"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], words: str, certificates: Certificates
) -> None:
    handler = options.pop("handler", echo)
    with pytest.raises(error, match=words):
        serve(certificates, handler, **options)


def test_client_of_the_standard_library_is_served(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        def ask(address: Any) -> bytes:
            context = certificates.client_context()
            with (
                socket.create_connection(address) as plain,
                context.wrap_socket(plain, server_hostname=HOST) as client,
            ):
                client.sendall(b"hello")
                answer = client.recv(100)
                client.unwrap().close()
                return answer

        with serve(certificates) as server:
            assert coro.in_os_thread(ask, server.address) == b"hello"

    coro.run(main)
