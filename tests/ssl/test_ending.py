"""The end of TLS: by unwrap(), by close(), by a peer that says nothing any more."""

import gc
import socket
import ssl
import weakref

import pytest

import coro
import coro.ssl
from coro import testing
from coro.exceptions import ClosedError, SimultaneousError
from tests.io.pairs import Own, let_run
from tests.ssl.certificates import Certificates
from tests.ssl.pairs import TLS_1_2, TLS_1_3, fill_tls, tls_pair

VERSIONS = pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])


@VERSIONS
def test_unwrap_of_both_leaves_plain_sockets(version: ssl.TLSVersion, certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own, version=version)
        ending = coro.spawn(client.unwrap)
        let_run()
        assert not ending.dead
        assert server.recv(100) == b""
        assert server.unwrap() is server
        assert ending.result() is client
        for end in (client, server):
            assert end.version() is None
            with pytest.raises(ValueError, match="closed or unwrapped"):
                end.read(1)
            with pytest.raises(ValueError, match="closed or unwrapped"):
                end.write(b"x")
            with pytest.raises(ValueError, match="No SSL wrapper"):
                end.unwrap()
            with pytest.raises(ValueError, match="No SSL wrapper"):
                end.do_handshake()
        client.send(b"in the clear")
        assert server.recv(100, socket.MSG_PEEK) == b"in the clear"
        assert server.recv_exact(3) == b"in "
        assert server.readv([9]) == [b"the clear"]
        server.writev([b"a", b"b"])
        buffer = bytearray(2)
        assert client.recv_into(buffer) == 2
        assert buffer == b"ab"
        server.sendall(b"c")
        assert client.recv(5) == b"c"

    testing.run(main)


def test_plain_bytes_behind_the_end_of_tls_are_not_lost(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        ending = coro.spawn(client.unwrap)
        let_run()
        assert server.recv(100) == b""
        server.unwrap()
        server.send(b"right behind")
        assert ending.result().recv(100) == b"right behind"

    testing.run(main)


def test_unwrap_gives_up_on_a_peer_that_never_answers(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        client.settimeout(3)
        began = coro.get_now()
        with pytest.raises(TimeoutError, match="after 3 s"):
            client.unwrap()
        assert coro.get_now() - began == 3 * coro.ticks_per_sec
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(1, client.unwrap)
        # The peer was told, and may answer yet.
        assert server.recv(1) == b""
        answering = coro.spawn(server.unwrap)
        assert client.unwrap() is client
        answering.join()

    testing.run(main)


def test_unwrap_does_not_wait_without_a_timeout_to_wait_for(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        client.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()
        assert server.recv(1) == b""
        server.settimeout(0)
        assert server.unwrap() is server
        assert client.unwrap() is client

    testing.run(main)


@pytest.mark.parametrize("timeout", [None, 60])
def test_unwrap_while_another_thread_reads(timeout: float | None, certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        client.settimeout(timeout)
        began = coro.get_now()
        reader = coro.spawn(client.recv, 100)
        let_run()
        ending = coro.spawn(client.unwrap)
        let_run()
        assert server.recv(1) == b""
        server.unwrap()
        # Both wait for the same bytes.
        assert reader.result() == b""
        assert ending.result() is client
        assert coro.get_now() - began < coro.ticks_per_sec / 2

    testing.run(main)


def test_unwrap_while_another_thread_writes_is_refused(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        data = bytes(1 << 20)
        writer = coro.spawn(client.send, data)
        let_run()
        with pytest.raises(SimultaneousError):
            client.unwrap()
        assert server.recv_exact(len(data)) == data
        assert writer.result() == len(data)

    testing.run(main)


def test_unwrap_first_finishes_the_record_of_an_interrupted_writer(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        sent = fill_tls(client)
        ending = coro.spawn(client.unwrap)
        let_run()
        assert server.recv_exact(sent) == bytes(sent)
        assert server.recv(1) == b""
        server.unwrap()
        assert ending.result() is client

    testing.run(main)


@VERSIONS
def test_peer_that_closes_without_a_word(version: ssl.TLSVersion, certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own, version=version)
        reader = coro.spawn(client.recv, 1)
        let_run()
        server.close()
        assert reader.result() == b""
        assert [client.recv(1), client.recv_into(bytearray(1))] == [b"", 0]
        client, server = tls_pair(
            certificates, own, version=version, client_options={"suppress_ragged_eofs": False}
        )
        server.close()
        with pytest.raises(ssl.SSLEOFError):
            client.recv(1)
        with pytest.raises(ssl.SSLEOFError):
            client.recv_into(bytearray(1))

    testing.run(main)


def test_end_stays_the_end(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own)
        server.notify_end()
        assert [client.recv(1) for _ in range(3)] == [b"", b"", b""]
        client.wait_for_read(0)
        with pytest.raises(EOFError):
            client.recv_exact(1)
        # The other direction is open still.
        client.send(b"x")
        assert server.recv(1) == b"x"
        # Told already, and after TLS nobody is.
        server.notify_end()
        server.shutdown(socket.SHUT_WR)
        server.notify_end()

    testing.run(main)


def test_peer_that_resets_the_connection(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = tls_pair(certificates, own, kind="tcp")
        reader = coro.spawn(client.recv, 1)
        let_run()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        # As on a socket of the standard library's: OpenSSL takes it for an end.
        assert reader.result() == b""
        with pytest.raises((ssl.SSLEOFError, BrokenPipeError, ConnectionResetError)):
            client.send(b"x")

    coro.run(main)


@pytest.mark.parametrize("operation", ["recv", "send", "unwrap"])
def test_close_by_another_thread_wakes_who_waits(operation: str, certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, _ = tls_pair(certificates, own)
        if operation == "recv":
            waiting = coro.spawn(client.recv, 1)
        elif operation == "send":
            waiting = coro.spawn(client.send, bytes(1 << 20))
        else:
            waiting = coro.spawn(client.unwrap)
        let_run()
        client.close()
        with pytest.raises(ClosedError):
            waiting.result()
        with pytest.raises(OSError, match="Bad file descriptor"):
            client.recv(1)

    testing.run(main)


def test_shutdown_by_another_thread_wakes_a_reader(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, _ = tls_pair(certificates, own)
        reader = coro.spawn(client.recv, 1)
        let_run()
        client.shutdown(socket.SHUT_RDWR)
        assert reader.result() == b""

    testing.run(main)


def test_detached_descriptor_stays_open(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, _ = tls_pair(certificates, own)
        reader = coro.spawn(client.recv, 1)
        let_run()
        fd = client.detach()
        with pytest.raises(ClosedError):
            reader.result()
        assert client.fileno() == -1
        own(socket.socket(fileno=fd)).getpeername()

    testing.run(main)


def test_forgotten_socket_is_freed_without_the_collector(certificates: Certificates, own: Own) -> None:
    class Kept:
        def close(self) -> None:
            pass

    def main() -> None:
        gc.disable()
        try:
            client, server = tls_pair(certificates, lambda thing: thing)
            server.send(b"x")
            assert client.recv(1) == b"x"
            client.close()
            server.close()
            gone = [weakref.ref(client), weakref.ref(server)]
            del client, server
            let_run()
            assert [one() for one in gone] == [None, None]
        finally:
            gc.enable()

    testing.run(main)
