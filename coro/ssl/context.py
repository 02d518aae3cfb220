"""Contexts that make TLS sockets of ours, and wrap_socket() for any context."""

from __future__ import annotations

import os
import socket
import ssl

from coro.ssl.tls_socket import SSLSocket

__all__ = ["SSLContext", "create_default_context", "wrap_socket"]


class SSLContext(ssl.SSLContext):
    """An `ssl.SSLContext` whose wrap_socket() makes sockets that park the thread; otherwise the same."""

    sslsocket_class = SSLSocket


def create_default_context(
    purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH,
    *,
    cafile: str | os.PathLike[str] | None = None,
    capath: str | os.PathLike[str] | None = None,
    cadata: str | bytes | None = None,
) -> ssl.SSLContext:
    """What ssl.create_default_context() makes; its wrap_socket() makes sockets that park the thread.

    purpose: ssl.Purpose.SERVER_AUTH for a client, CLIENT_AUTH for a server.
    Raises OSError, ssl.SSLError for certificates that cannot be loaded.  Does not yield, but reads files.
    """
    paths = {name: os.fspath(path) for name, path in (("cafile", cafile), ("capath", capath)) if path is not None}
    context = ssl.create_default_context(purpose, cadata=cadata, **paths)
    context.sslsocket_class = SSLSocket
    return context


def wrap_socket(
    sock: socket.socket,
    context: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    session: ssl.SSLSession | None = None,
) -> SSLSocket:
    """Put TLS on a socket, with any context, the standard library's own too.

    sock: a coro.sock or any other stream socket; it is as good as closed then: the TLS socket has its descriptor.
    server_hostname: whom a client expects; a context that checks names needs it.
    suppress_ragged_eofs: whether a peer that closes the connection without ending TLS counts as having ended it.
    session: of an earlier connection, to be resumed.
    Yields for the handshake if the socket is connected.  Raises TypeError, ValueError; ssl.SSLError, such as
    ssl.SSLCertVerificationError; OSError; the builtin TimeoutError after the socket's timeout, over all of the
    handshake.  What a failed or interrupted handshake leaves is closed.
    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"TLS needs an ssl.SSLContext, got {context!r}")
    return SSLSocket._create(
        sock,
        server_side,
        do_handshake_on_connect,
        suppress_ragged_eofs,
        server_hostname,
        context,
        session,
    )
