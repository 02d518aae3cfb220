"""A server whose connections speak TLS; each does its handshake in its own thread."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from coro.clock import seconds_to_ticks
from coro.server import Server, tcp_server
from coro.socket.sock import sock
from coro.ssl.context import wrap_socket

__all__ = ["tls_server"]

HANDSHAKE_TIMEOUT_S = 10.0

HandshakeFailed = Callable[[OSError, Any], object]


def tls_server(
    address: tuple[Any, ...] | socket.socket | Iterable[socket.socket],
    handler: Callable[..., object],
    *args: Any,
    ssl_context: ssl.SSLContext,
    handshake_timeout: float = HANDSHAKE_TIMEOUT_S,
    handshake_failed: HandshakeFailed | None = None,
    **settings: Any,
) -> Server:
    """As coro.tcp_server(), but `handler(connection, address, *args)` gets a TLS socket, its handshake done.

    ssl_context: with the server's certificate loaded, from any maker of contexts.
    handshake_timeout: seconds that a client has for all of its handshake.
    handshake_failed: called as handshake_failed(error, address) where the handshake fails.  None: such connections
        only count in the server's `lost`: whoever scans ports, or speaks plain HTTP, is nobody's mistake here.
    settings: of tcp_server().
    When the handler returns the peer is told that TLS ends; when it raises the connection is only closed.
    Returns the Server.  Yields only if the host is a name.  Raises TypeError, ValueError, and as tcp_server().
    """
    if not callable(handler):
        raise TypeError(f"a server needs a function that handles connections, got {handler!r}")
    if not isinstance(ssl_context, ssl.SSLContext):
        raise TypeError(f"ssl_context must be an ssl.SSLContext, got {ssl_context!r}")
    if handshake_failed is not None and not callable(handshake_failed):
        raise TypeError(f"handshake_failed must be a function or None, got {handshake_failed!r}")
    seconds_to_ticks(handshake_timeout, what="handshake_timeout")
    if handshake_timeout <= 0:
        raise ValueError(f"handshake_timeout must be more than 0 seconds, got {handshake_timeout!r}")
    settings.setdefault("name", "tls server")
    terms = _Terms(ssl_context, handshake_timeout, handshake_failed)
    return tcp_server(address, _serve, terms, handler, args, **settings)


class _Terms:
    """How the connections of one server begin."""

    __slots__ = ("context", "failed", "timeout")

    def __init__(self, context: ssl.SSLContext, timeout: float, failed: HandshakeFailed | None) -> None:
        self.context = context
        self.timeout = timeout
        self.failed = failed


def _serve(plain: sock, address: Any, terms: _Terms, handler: Callable[..., object], args: tuple[Any, ...]) -> None:
    idle_timeout = plain.gettimeout()
    plain.settimeout(terms.timeout)
    try:
        connection = wrap_socket(plain, terms.context, server_side=True)
    except OSError as error:
        if terms.failed is not None:
            terms.failed(error, address)
        # So the server counts it among those that were lost.
        raise ConnectionAbortedError(*error.args) from error
    with connection:
        connection.settimeout(idle_timeout)
        try:
            handler(connection, address, *args)
        except ssl.SSLEOFError as error:
            raise ConnectionResetError(*error.args) from error
        connection.notify_end()
