"""Peers that ask for more in the middle: new keys, by openssl s_client, and the client's certificate."""

import os
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import coro
import coro.ssl
from coro import testing
from tests.io.pairs import Own, listener_of
from tests.ssl.certificates import HOST, Certificates
from tests.ssl.pairs import tls_pair, wrap_server

# SSL_OP_ALLOW_CLIENT_RENEGOTIATION, which the module ssl has no name for.
ALLOW_CLIENT_RENEGOTIATION = 1 << 8
MIB = 1 << 20

# What s_client does for a line of input, and says of it.
COMMANDS = [
    pytest.param(b"K\n", b"KEYUPDATE\n", "-tls1_3", MIB, id="key update of both"),
    pytest.param(b"k\n", b"KEYUPDATE\n", "-tls1_3", MIB, id="key update"),
    # OpenSSL takes data in the middle of a renegotiation for an attack.
    pytest.param(b"R\n", b"RENEGOTIATING\n", "-tls1_2", 0, id="renegotiation"),
]


class Client:
    """A running s_client: its input, output and errors, as sockets of ours."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        files = (process.stdin, process.stdout, process.stderr)
        self.input, self.output, self.errors = map(coro.file_sock, files)
        for file in files:
            file.close()
        self.said = coro.sock_stream(self.errors)

    def command(self, line: bytes, answer: bytes) -> None:
        """Have it do something.  A command is one only at the beginning of what it reads at once."""
        self.input.write(line)
        while self.said.read_line(b"\n") != answer:
            pass

    def close(self) -> None:
        for end in (self.input, self.output, self.errors):
            end.close()


@contextmanager
def client_program(openssl: str, listener: coro.sock, certificates: Certificates, option: str) -> Iterator[Client]:
    host, port = listener.getsockname()
    command = [openssl, "s_client", "-connect", f"{host}:{port}", "-servername", HOST, "-brief", option]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*command, "-CAfile", certificates.authority], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
    )
    client = Client(process)
    try:
        yield client
    finally:
        client.close()
        # Not by Popen, which would wait for it.
        os.kill(process.pid, signal.SIGKILL)
        coro.waitpid(process.pid)
        process.returncode = 0


@pytest.mark.parametrize(("command", "answer", "option", "size"), COMMANDS)
def test_new_keys_are_agreed_while_both_directions_are_used(
    command: bytes,
    answer: bytes,
    option: str,
    size: int,
    certificates: Certificates,
    own: Own,
    require_tool: Callable[[str], str],
) -> None:
    openssl = require_tool("openssl")

    def main() -> None:
        context = certificates.server_context()
        context.options |= ALLOW_CLIENT_RENEGOTIATION
        listener = own(listener_of("tcp"))
        with client_program(openssl, listener, certificates, option) as client:
            server = wrap_server(listener.accept()[0], context, own)
            lines = coro.sock_stream(server)
            data = b"." * size
            for number in range(3):
                reader = coro.spawn(lines.read_line, b"\n")
                writer = coro.spawn(server.send, data)
                client.command(command, answer)
                client.input.write(b"line %d\n" % number)
                assert client.output.read_exact(size) == data
                assert writer.result() == size
                assert reader.result() == b"line %d\n" % number
                server.send(b"answer")
                assert client.output.read_exact(6) == b"answer"

    coro.run(main)


def test_certificate_that_is_asked_for_later_is_shown(certificates: Certificates, own: Own) -> None:
    def main() -> None:
        server_context, client_context = certificates.server_context(), certificates.client_context()
        server_context.verify_mode = ssl.CERT_OPTIONAL
        server_context.post_handshake_auth = client_context.post_handshake_auth = True
        client_context.load_cert_chain(certificates.client)
        context = certificates.client_context()
        context.post_handshake_auth = True
        client, server = tls_pair(certificates, own, server=server_context, client=context)
        # Without a certificate; only the first handshake asked for one.
        assert not server.getpeercert()
        context.load_cert_chain(certificates.client)
        client.context = context
        server.verify_client_post_handshake()
        server.send(b"who are you?")
        assert client.recv(100) == b"who are you?"
        client.send(b"see above")
        assert server.recv(100) == b"see above"

    testing.run(main)
