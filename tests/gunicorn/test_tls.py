"""CoroWorker over TLS."""

import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gunicorn.daemon import LIMIT_S, Gunicorn, exchange
from tests.ssl.certificates import HOST, Certificates

Start = Callable[..., Gunicorn]

# Each starts a gunicorn of its own.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(start: Start, certificates: Certificates) -> Gunicorn:
    return start("--certfile", str(certificates.server), "--keyfile", str(certificates.server))


def secure(server: Gunicorn, certificates: Certificates) -> http.client.HTTPConnection:
    client = http.client.HTTPConnection(HOST, timeout=LIMIT_S)
    client.sock = certificates.client_context().wrap_socket(server.connect(), server_hostname=HOST)
    return client


def test_requests_over_tls(server: Gunicorn, certificates: Certificates, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"file " * 100_000)
    client = secure(server, certificates)
    answers = []
    for path in ("/", "/show?name=wsgi.url_scheme", "/big", f"/file?{tmp_path}/file", "/chunks"):
        client.request("GET", path)
        answers.append(client.getresponse().read())
    client.request("POST", "/echo", body=b"x" * 1_000_000)
    answers.append(client.getresponse().read())
    client.close()

    assert answers[:2] == [b"Hello, world!\n", b"https"]
    assert [len(body) for body in answers[2:]] == [10_000_000, 500_000, 100_008, 1_000_000]


def test_clients_that_cannot_agree_hurt_nobody(server: Gunicorn, certificates: Certificates) -> None:
    with server.connect() as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        plain.settimeout(LIMIT_S)
        try:
            assert b"Hello" not in plain.recv(1000)
        except ConnectionResetError:
            pass
    with server.connect() as gone:
        gone.sendall(b"\x16\x03\x01")
    stranger = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError), server.connect() as connection:
        stranger.wrap_socket(connection, server_hostname=HOST)
    silent = server.connect()
    client = secure(server, certificates)
    client.request("GET", "/")
    assert client.getresponse().read() == b"Hello, world!\n"
    client.close()
    silent.close()

    assert "Traceback" not in server.log()


def test_bad_request_over_tls_is_told_so(server: Gunicorn, certificates: Certificates) -> None:
    client = secure(server, certificates)
    assert exchange(client.sock, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert isinstance(client.sock, socket.socket)
    client.close()
