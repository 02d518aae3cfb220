"""Pairs of connected TLS sockets; the functions are called in a thread."""

import ssl
from typing import Any

import coro
import coro.ssl
from tests.io.pairs import Own, stream_pair
from tests.ssl.certificates import HOST, Certificates

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def tls_pair(
    certificates: Certificates,
    own: Own,
    *,
    kind: str = "unix",
    version: ssl.TLSVersion = TLS_1_3,
    server: ssl.SSLContext | None = None,
    client: ssl.SSLContext | None = None,
    client_options: dict[str, Any] | None = None,
    server_options: dict[str, Any] | None = None,
) -> tuple[coro.ssl.SSLSocket, coro.ssl.SSLSocket]:
    """Client and server, their handshake done."""
    server = server or certificates.server_context()
    client = client or certificates.client_context()
    client.maximum_version = version
    left, right = stream_pair(kind, own)
    accepting = coro.spawn(wrap_server, right, server, own, **server_options or {})
    connected = own(coro.ssl.wrap_socket(left, client, server_hostname=HOST, **client_options or {}))
    accepted = accepting.result()
    # The tickets that a TLS 1.3 server sends after its handshake come with the first data.
    accepted.send(b"!")
    assert connected.recv(1) == b"!"
    return connected, accepted


def wrap_server(plain: coro.sock, context: ssl.SSLContext, own: Own, **options: Any) -> coro.ssl.SSLSocket:
    """The server's end."""
    wrapped: coro.ssl.SSLSocket = own(coro.ssl.wrap_socket(plain, context, server_side=True, **options))
    return wrapped


def fill_tls(sock: coro.ssl.SSLSocket) -> int:
    """Send until there is no room, and leave no record half out; returns how many bytes that took."""
    sent = 0
    piece = bytes(16384)
    sock.settimeout(0.001)
    try:
        while True:
            sent += sock.send(piece)
    except TimeoutError as error:
        return sent + error.sent_bytes  # type: ignore[attr-defined,no-any-return]
    finally:
        sock.settimeout(None)
