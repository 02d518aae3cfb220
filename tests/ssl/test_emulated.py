"""TLS sockets of the standard library over the emulation: as on plain Python, but for who waits."""

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import coro
from coro.emulation.sockets import EmulatedSocket
from coro.emulation.tls import EmulatedSSLSocket
from tests.io.pairs import Own
from tests.ssl.certificates import HOST, Certificates

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 50


def emulated_pair(certificates: Certificates, own: Own) -> tuple[EmulatedSSLSocket, EmulatedSSLSocket]:
    """Client and server, their handshake done; called in a thread."""
    left, right = socket.socketpair()
    plain = [own(EmulatedSocket(one.family, one.type, one.proto, one.detach())) for one in (left, right)]
    client, server = certificates.client_context(), certificates.server_context()
    client.sslsocket_class = server.sslsocket_class = EmulatedSSLSocket
    accepting = coro.spawn(lambda: own(server.wrap_socket(plain[1], server_side=True)))
    connected = own(client.wrap_socket(plain[0], server_hostname=HOST))
    return connected, accepting.result()


def test_emulated_socket_passes_for_the_standard_library_s(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = emulated_pair(certificates, own)
        assert isinstance(client, ssl.SSLSocket)
        assert isinstance(client, EmulatedSocket)
        assert not isinstance(client, coro.sock)
        assert repr(client).startswith("<ssl.SSLSocket fd=")
        client.sendall(b"x")
        assert server.recv(1) == b"x"

    coro.run(main)


def test_writers_that_meet_write_one_after_the_other(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = emulated_pair(certificates, own)
        size = 300_000
        writers = [coro.spawn(client.sendall, bytes([number]) * size) for number in range(4)]
        data = server.recv_exact(4 * size)
        for writer in writers:
            writer.result()
        assert sorted(data[start] for start in range(0, 4 * size, size)) == [0, 1, 2, 3]
        for start in range(0, 4 * size, size):
            assert data[start : start + size] == data[start : start + 1] * size

    coro.run(main)


def test_socket_works_in_another_os_thread(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        client, server = emulated_pair(certificates, own)
        data = os.urandom(1 << 20)

        def exchange() -> bytes:
            client.sendall(data)
            return client.recv(100)

        def answer() -> None:
            assert server.recv_exact(len(data)) == data
            server.sendall(b"thanks")

        answering = coro.spawn(answer)
        assert coro.in_os_thread(exchange) == b"thanks"
        answering.result()

    coro.run(main)


INSTALLED = """
import socket, ssl, sys, threading, time
plain_context, plain_object, plain_socket = ssl.SSLContext, ssl.SSLObject, ssl.SSLSocket
import coro.emulation
coro.emulation.install()
assert ssl.SSLContext is plain_context and ssl.SSLObject is plain_object
assert issubclass(ssl.SSLSocket, plain_socket) and issubclass(ssl.SSLSocket, socket.socket)
assert ssl.SSLContext.sslsocket_class is ssl.SSLSocket is not plain_socket

authority, certificate = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate)
listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)

def serve():
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            while data := connection.recv(1000):
                connection.sendall(data)

def tick():
    while True:
        time.sleep(0.01)
        ticks.append(1)

ticks = []
for function in (serve, tick):
    threading.Thread(target=function, daemon=True).start()
assert "BEGIN CERTIFICATE" in ssl.get_server_certificate(listener.getsockname(), ca_certs=authority)
class Mine(ssl.SSLSocket):
    pass
client_context = ssl.create_default_context(cafile=authority)
client_context.sslsocket_class = Mine
with socket.create_connection(listener.getsockname()) as plain:
    client = client_context.wrap_socket(plain, server_hostname="localhost")
    assert type(client) is Mine
    client.settimeout(0.2)
    try:
        client.recv(1)
    except TimeoutError:
        pass
    client.settimeout(None)
    client.sendall(b"hello")
    print(client.recv(100), len(ticks) > 3)
    client.close()
listener.close()
"""


def test_installed_emulation_serves_and_asks_in_one_process(certificates: Certificates) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INSTALLED, certificates.authority, certificates.server],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'hello' True\n", "")
