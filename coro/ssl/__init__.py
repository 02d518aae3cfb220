"""TLS on sockets of coro: `import coro.ssl`.

The standard library's contexts, certificates and errors, with sockets whose waiting parks the thread.  OpenSSL does
the cryptography, in the loop's OS thread.
"""

from __future__ import annotations

from coro.ssl.context import SSLContext, create_default_context, wrap_socket
from coro.ssl.server import tls_server
from coro.ssl.tls_socket import SSLSocket

__all__ = ["SSLContext", "SSLSocket", "create_default_context", "tls_server", "wrap_socket"]
