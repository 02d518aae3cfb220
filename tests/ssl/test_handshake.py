"""The beginning of TLS: who the peer is, what was agreed, and what becomes of handshakes that do not succeed."""

import os
import socket
import ssl
from typing import Any

import pytest

import coro
import coro.ssl
from coro import testing
from tests.io.pairs import Own, let_run, listener_of, stream_pair
from tests.ssl.certificates import HOST, OTHER_HOST, Certificates
from tests.ssl.pairs import TLS_1_2, TLS_1_3, tls_pair, wrap_server


def test_tls_socket_counts_as_what_it_is_made_of(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        for end in (client, server):
            assert isinstance(end, coro.sock)
            assert isinstance(end, ssl.SSLSocket)
            assert isinstance(end, coro.ssl.SSLSocket)
        assert client.server_hostname == HOST
        assert (client.server_side, server.server_side) == (False, True)
        certificate = client.getpeercert()
        assert certificate is not None
        assert certificate["subjectAltName"] == (("DNS", HOST),)
        assert server.getpeercert() is None
        assert client.cipher() == server.cipher()
        with pytest.raises(TypeError, match="wrap_socket"):
            coro.ssl.SSLSocket()

    testing.run(main)


def test_wrapping_takes_the_descriptor_and_the_timeout(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        coro.spawn(wrap_server, right, certificates.server_context(), own)
        fd = left.fileno()
        left.settimeout(7)
        client = own(coro.ssl.wrap_socket(left, certificates.client_context(), server_hostname=HOST))
        assert (client.fileno(), left.fileno()) == (fd, -1)
        assert client.gettimeout() == 7

    testing.run(main)


def test_socket_of_the_standard_library_can_be_wrapped(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        left, right = map(own, socket.socketpair())
        accepting = coro.spawn(wrap_server, right, certificates.server_context(), own)
        client = own(coro.ssl.wrap_socket(left, certificates.client_context(), server_hostname=HOST))
        client.send(b"x")
        assert accepting.result().recv(1) == b"x"

    testing.run(main)


@pytest.mark.parametrize("made_by", ["class", "function", "attribute"])
def test_contexts_make_sockets_that_park(made_by: str, certificates: Certificates, own: Own) -> None:
    def main() -> None:
        if made_by == "function":
            context = coro.ssl.create_default_context(cafile=certificates.authority)
        else:
            context = coro.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if made_by == "attribute":
                context = certificates.client_context()
                context.sslsocket_class = coro.ssl.SSLSocket
            context.load_verify_locations(certificates.authority)
        left, right = stream_pair("unix", own)
        coro.spawn(wrap_server, right, certificates.server_context(), own)
        client = own(context.wrap_socket(left, server_hostname=HOST))
        assert type(client) is coro.ssl.SSLSocket
        assert client.context is context

    testing.run(main)


def test_importing_leaves_the_standard_library_as_it_is() -> None:
    assert ssl.SSLContext.sslsocket_class is ssl.SSLSocket
    assert ssl.SSLSocket.__module__ == "ssl"


def test_certificate_of_another_host_is_refused(certificates: Certificates, own: Own) -> None:
    failed(certificates, own, certificates.server_context(certificates.other), "Hostname mismatch")


def test_certificate_of_a_stranger_is_refused(certificates: Certificates, own: Own) -> None:
    failed(certificates, own, certificates.server_context(certificates.stranger), "unable to get local issuer")


def failed(certificates: Certificates, own: Own, context: ssl.SSLContext, reason: str) -> None:
    """The client refuses the server's certificate; the server is told; both sockets are closed."""

    def main() -> None:
        before = coro.get_live_sockets()
        left, right = stream_pair("unix", own)
        accepting = coro.spawn(wrap_server, right, context, own)
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            coro.ssl.wrap_socket(left, certificates.client_context(), server_hostname=HOST)
        with pytest.raises(ssl.SSLError, match="ALERT"):
            accepting.result()
        assert coro.get_live_sockets() == before

    testing.run(main)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_client_certificate_is_asked_for_and_seen(
    version: ssl.TLSVersion, certificates: Certificates, own: Own
) -> None:
    def main() -> None:
        context = certificates.server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        shown = certificates.client_context()
        shown.load_cert_chain(certificates.client)
        _, server = tls_pair(certificates, own, server=context, client=shown, version=version)
        certificate = server.getpeercert()
        assert certificate is not None
        assert certificate["subject"] == ((("commonName", "client"),),)

    testing.run(main)


def test_client_without_the_certificate_is_refused(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        context = certificates.server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        left, right = stream_pair("unix", own)
        accepting = coro.spawn(wrap_server, right, context, own)
        # A TLS 1.3 client has done its part before the server looks.
        client = own(coro.ssl.wrap_socket(left, certificates.client_context(), server_hostname=HOST))
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            accepting.result()
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            client.recv(1)

    testing.run(main)


def test_server_name_chooses_the_certificate_in_a_callback_that_may_wait(
    certificates: Certificates, own: Own
) -> None:
    def main() -> None:
        other = certificates.server_context(certificates.other)
        context = certificates.server_context()
        asked: list[tuple[Any, str | None]] = []

        def choose(connection: Any, name: str | None, _context: ssl.SSLContext) -> None:
            asked.append((connection, name))
            # As one that asks a database would.
            coro.sleep_relative(1)
            connection.context = other

        context.sni_callback = choose  # type: ignore[assignment]
        left, right = stream_pair("unix", own)
        accepting = coro.spawn(wrap_server, right, context, own)
        client = own(coro.ssl.wrap_socket(left, certificates.client_context(), server_hostname=OTHER_HOST))
        assert asked == [(accepting.result(), OTHER_HOST)]
        assert client.getpeercert()["subjectAltName"] == (("DNS", OTHER_HOST),)

    testing.run(main)


def test_application_protocol_is_agreed(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        server, client = certificates.server_context(), certificates.client_context()
        server.set_alpn_protocols(["h2", "http/1.1"])
        client.set_alpn_protocols(["http/1.1"])
        for end in tls_pair(certificates, own, server=server, client=client):
            assert end.selected_alpn_protocol() == "http/1.1"

    testing.run(main)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_session_is_resumed(version: ssl.TLSVersion, certificates: Certificates, own: Own) -> None:
    def main() -> None:
        server, client = certificates.server_context(), certificates.client_context()
        first, _ = tls_pair(certificates, own, server=server, client=client, version=version)
        assert not first.session_reused
        again, accepted = tls_pair(
            certificates,
            own,
            server=server,
            client=client,
            version=version,
            client_options={"session": first.session},
        )
        assert again.session_reused
        assert accepted.session_reused

    testing.run(main)


@pytest.mark.parametrize("first", ["reader", "writer"])
def test_handshake_can_be_left_to_the_first_operations_of_two_threads(
    first: str, certificates: Certificates, own: Own
) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        client = own(
            coro.ssl.wrap_socket(
                left, certificates.client_context(), server_hostname=HOST, do_handshake_on_connect=False
            )
        )
        # Both drive the handshake, and both wait for the same answers.
        began = coro.get_now()
        if first == "reader":
            reader = coro.spawn(client.recv, 100)
            writer = coro.spawn(client.send, b"question")
        else:
            writer = coro.spawn(client.send, b"question")
            reader = coro.spawn(client.recv, 100)
        let_run()
        server = wrap_server(right, certificates.server_context(), own)
        assert server.recv(100) == b"question"
        assert writer.result() == 8
        server.send(b"answer")
        assert reader.result() == b"answer"
        at_once(began)

    testing.run(main)


def test_reader_goes_on_when_another_thread_has_done_the_handshake(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        client = own(
            coro.ssl.wrap_socket(
                left, certificates.client_context(), server_hostname=HOST, do_handshake_on_connect=False
            )
        )
        began = coro.get_now()
        shaking = coro.spawn(client.do_handshake)
        reader = coro.spawn(client.recv, 100)
        let_run()
        server = wrap_server(right, certificates.server_context(), own)
        shaking.result()
        server.send(b"news")
        assert reader.result() == b"news"
        at_once(began)

    testing.run(main)


def at_once(began: int) -> None:
    """Nobody had to look again after a second: everybody was woken."""
    assert coro.get_now() - began < coro.ticks_per_sec / 2


@pytest.mark.parametrize("victim", ["reader", "writer"])
@pytest.mark.parametrize("second", ["reader", "writer"])
def test_interrupt_of_one_does_not_cost_the_other_its_wake_up(
    victim: str, second: str, certificates: Certificates, own: Own
) -> None:
    def main() -> None:
        began = coro.get_now()
        left, right = stream_pair("unix", own)
        client = own(
            coro.ssl.wrap_socket(
                left, certificates.client_context(), server_hostname=HOST, do_handshake_on_connect=False
            )
        )
        operations = {"reader": (client.recv, 100), "writer": (client.send, b"question")}
        threads = {who: coro.spawn(*operations[who]) for who in sorted(operations, key=second.__eq__)}
        let_run()
        threads[victim].raise_exception(ValueError("stop"))
        with pytest.raises(ValueError, match="stop"):
            threads[victim].result()
        server = wrap_server(right, certificates.server_context(), own)
        if victim == "reader":
            assert server.recv(100) == b"question"
        else:
            server.send(b"answer")
            assert threads["reader"].result() == b"answer"
        at_once(began)

    testing.run(main)


def test_handshake_has_the_socket_s_timeout_for_all_of_it(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        left.settimeout(3)
        # A client that goes on sending byte after byte of a hello that never ends.
        dribble = coro.spawn(dribble_record, right)
        began = coro.get_now()
        with pytest.raises(TimeoutError, match="after 3 s"):
            coro.ssl.wrap_socket(left, certificates.server_context(), server_side=True)
        assert coro.get_now() - began == 3 * coro.ticks_per_sec
        dribble.shutdown()

    testing.run(main)


def dribble_record(plain: coro.sock) -> None:
    plain.send(b"\x16\x03\x01\x40\x00")
    while True:
        coro.sleep_relative(0.9)
        plain.send(b"\x01")


def test_interrupted_handshake_closes_the_socket(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        before = coro.get_live_sockets()
        left, right = stream_pair("unix", own)
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(1, coro.ssl.wrap_socket, left, certificates.server_context(), server_side=True)
        assert right.recv(1) == b""
        right.close()
        assert coro.get_live_sockets() == before

    testing.run(main)


def test_interrupted_do_handshake_can_go_on(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        client = own(
            coro.ssl.wrap_socket(
                left, certificates.client_context(), server_hostname=HOST, do_handshake_on_connect=False
            )
        )
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(1, client.do_handshake)
        accepting = coro.spawn(wrap_server, right, certificates.server_context(), own)
        client.do_handshake()
        client.send(b"x")
        assert accepting.result().recv(1) == b"x"

    testing.run(main)


def test_nonblocking_handshake_asks_for_what_it_waits_for(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        left.settimeout(0)
        with pytest.raises(ValueError, match="do_handshake_on_connect"):
            coro.ssl.wrap_socket(left, certificates.client_context(), server_hostname=HOST)
        assert left.fileno() == -1
        right.settimeout(0)
        server = own(
            coro.ssl.wrap_socket(
                right, certificates.server_context(), server_side=True, do_handshake_on_connect=False
            )
        )
        # The peer is gone.
        with pytest.raises((ssl.SSLError, ConnectionError)):
            server.do_handshake()

    testing.run(main)


def test_do_handshake_with_block_waits_whatever_the_timeout(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        left.settimeout(0)
        client = own(
            coro.ssl.wrap_socket(
                left, certificates.client_context(), server_hostname=HOST, do_handshake_on_connect=False
            )
        )
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        coro.spawn(wrap_server, right, certificates.server_context(), own)
        client.do_handshake(block=True)
        assert client.gettimeout() == 0
        assert client.version() == "TLSv1.3"

    testing.run(main)


@pytest.mark.parametrize("words", [b"GET / HTTP/1.0\r\n\r\n", b"\x00" * 100, os.urandom(5)])
def test_peer_that_does_not_speak_tls_is_told_apart(words: bytes, certificates: Certificates, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        right.send(words)
        right.shutdown(socket.SHUT_WR)
        with pytest.raises(ssl.SSLError):
            coro.ssl.wrap_socket(left, certificates.server_context(), server_side=True)

    testing.run(main)


@pytest.mark.parametrize("side", ["server", "client"])
def test_peer_that_goes_in_the_middle_of_the_handshake(side: str, certificates: Certificates, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)

        def go() -> None:
            if side == "client":
                # The beginning of a record.
                right.send(b"\x16\x03\x01")
            coro.sleep_relative(1)
            right.close()

        coro.spawn(go)
        with pytest.raises((ssl.SSLEOFError, ConnectionError)):
            if side == "client":
                coro.ssl.wrap_socket(left, certificates.server_context(), server_side=True)
            else:
                coro.ssl.wrap_socket(left, certificates.client_context(), server_hostname=HOST)

    testing.run(main)


def test_socket_that_is_not_connected_is_wrapped_for_connect(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        accepting = coro.spawn(lambda: wrap_server(listener.accept()[0], certificates.server_context(), own))
        client = own(coro.ssl.wrap_socket(coro.tcp_sock(), certificates.client_context(), server_hostname=HOST))
        assert client.version() is None
        with pytest.raises(OSError, match="not connected"):
            client.do_handshake()
        client.connect(listener.getsockname())
        client.send(b"x")
        assert accepting.result().recv(1) == b"x"
        with pytest.raises(ValueError, match="already-connected"):
            client.connect(listener.getsockname())

    coro.run(main)


def test_connect_that_failed_can_be_tried_again(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        listener = own(coro.tcp_sock())
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
        client = own(coro.ssl.wrap_socket(coro.tcp_sock(), certificates.client_context(), server_hostname=HOST))
        with pytest.raises(ConnectionRefusedError):
            client.connect(address)
        assert client.connect_ex(address) != 0
        listener.listen()
        accepting = coro.spawn(lambda: wrap_server(listener.accept()[0], certificates.server_context(), own))
        assert client.connect_ex(address) == 0
        client.send(b"x")
        assert accepting.result().recv(1) == b"x"

    coro.run(main)


def test_listening_socket_accepts_with_tls(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        plain = listener_of("tcp")
        listener = own(coro.ssl.wrap_socket(plain, certificates.server_context(), server_side=True))

        def connect() -> None:
            for _ in range(2):
                client = own(coro.tcp_sock())
                client.connect(listener.getsockname())
                own(coro.ssl.wrap_socket(client, certificates.client_context(), server_hostname=HOST)).send(b"x")

        coro.spawn(connect)
        first, _ = listener.accept()
        ((second, _),) = listener.accept_many()
        for connection in (first, second):
            assert type(own(connection)) is coro.ssl.SSLSocket
            assert connection.recv(1) == b"x"

    coro.run(main)


def test_failed_accept_closes_the_connection_and_can_be_repeated(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        listener = own(coro.ssl.wrap_socket(listener_of("tcp"), certificates.server_context(), server_side=True))
        before = coro.get_live_sockets()
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"no TLS at all")
            with pytest.raises(ssl.SSLError):
                listener.accept()
        assert coro.get_live_sockets() == before
        # A context that became one for clients.
        listener.context.verify_mode = ssl.CERT_REQUIRED
        listener.context.check_hostname = True
        with socket.create_connection(listener.getsockname()), pytest.raises(ValueError, match="check_hostname"):
            listener.accept()
        assert coro.get_live_sockets() == before

    coro.run(main)


def test_bytes_that_came_before_tls_do_not_count_as_tls(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        client = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
        client.sendall(b"early")
        coro.wait_for_read(connection)
        # Gone with a reset, so the socket is not connected any more, but its bytes are there.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        let_run()
        with pytest.raises(OSError):
            coro.ssl.wrap_socket(connection, certificates.server_context(), server_side=True)
        assert connection.fileno() == -1

    coro.run(main)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"server_side": True, "server_hostname": HOST}, ValueError, "client mode"),
        ({}, ValueError, "check_hostname"),
        ({"server_hostname": ""}, ValueError, "check_hostname"),
        ({"server_hostname": "\udcff.test"}, UnicodeError, "idna"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_the_socket(
    options: dict[str, Any], error: type[Exception], words: str, certificates: Certificates, own: Own
) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        with pytest.raises(error, match=words):
            coro.ssl.wrap_socket(left, certificates.client_context(), **options)
        left.send(b"plain still")
        assert right.recv(100) == b"plain still"

    testing.run(main)


def test_what_is_no_stream_socket_or_no_context_is_refused(certificates: Certificates, own: Own) -> None:
    context = certificates.server_context()
    with pytest.raises(NotImplementedError, match="stream"):
        coro.ssl.wrap_socket(own(coro.udp_sock()), context, server_side=True)
    with pytest.raises(TypeError, match=r"needs a socket .* 'text'"):
        coro.ssl.wrap_socket("text", context, server_side=True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="SSLContext, got None"):
        coro.ssl.wrap_socket(own(coro.tcp_sock()), None)  # type: ignore[arg-type]
