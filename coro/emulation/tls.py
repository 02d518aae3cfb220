"""The area ssl: `ssl.SSLSocket` on emulated sockets.

Contexts stay what they are: `ssl.SSLContext` asks its `sslsocket_class` for sockets, and that is replaced.  What
works on memory (ssl.SSLObject, ssl.MemoryBIO) never waits and is left alone.
"""

from __future__ import annotations

import ssl
from typing import Any

from greenlet import getcurrent

from coro.emulation.patching import Patcher, original
from coro.emulation.sockets import EmulatedSocket
from coro.poller.base import WRITE
from coro.ssl.tls_socket import TLSSocket

__all__ = ["EmulatedSSLSocket", "install"]

_RealSSLSocket: Any = original("ssl", "SSLSocket")


class EmulatedSSLSocket(TLSSocket, _RealSSLSocket, EmulatedSocket):  # type: ignore[misc]
    """A subclass of the standard library's TLS socket whose waiting parks the thread.

    Yields wherever the original blocks.  Raises as the original.  Of two threads that write at once the second
    waits until the first has written all.
    """

    def _begin_writing(self, deadline: int | None) -> None:
        me = getattr(getcurrent(), "thread", None)
        while self._writer is not None and me is not None:
            self._stand_by(me, WRITE, deadline)
        super()._begin_writing(deadline)


EmulatedSSLSocket.__name__ = EmulatedSSLSocket.__qualname__ = "SSLSocket"
EmulatedSSLSocket.__module__ = "ssl"
EmulatedSSLSocket.__doc__ = _RealSSLSocket.__doc__


def install(patcher: Patcher) -> None:
    """Have all contexts make emulated TLS sockets.  Does not yield."""
    patcher.replace(ssl, SSLSocket=EmulatedSSLSocket)
    patcher.replace(ssl.SSLContext, sslsocket_class=EmulatedSSLSocket)
