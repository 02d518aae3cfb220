"""dnspython's questions over coro sockets.

dnspython can ask "asynchronously", over sockets that it is handed.  Ours park the thread instead of suspending the
coroutine, so a coroutine that uses nothing else never suspends: complete() runs it to its end in one go.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import dns.asyncbackend
import dns.exception
import dns.inet

from coro.exceptions import Interrupted
from coro.runtime import sleep_relative
from coro.socket.sock import sock

__all__ = ["Transport", "complete"]

T = TypeVar("T")


def complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits nothing but what never suspends; returns its value.  Yields as its calls do."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        coroutine.close()
    raise RuntimeError(f"{coroutine!r} suspended itself: it waits for something that is not coro's")


class Transport(dns.asyncbackend.Backend):  # type: ignore[name-defined,misc]
    """What dnspython takes for the library that its sockets come from."""

    def name(self) -> str:
        """What this is called."""
        return "coro"

    def datagram_connection_required(self) -> bool:
        """Yes: a connected socket hears at once that nobody listens, and nothing from strangers."""
        return True

    async def make_socket(
        self,
        af: int,
        socktype: int,
        proto: int = 0,
        source: Any = None,
        destination: Any = None,
        timeout: float | None = None,
        ssl_context: Any = None,
        server_hostname: str | None = None,
    ) -> _Datagrams | _Stream:
        """A socket, connected to `destination` if there is one.  Raises OSError, dns.exception.Timeout."""
        if ssl_context is not None:
            raise NotImplementedError(f"DNS over TLS is not supported (asked for with {server_hostname!r})")
        made = sock(af, socktype, proto)
        try:
            if source is not None:
                made.bind(dns.inet.low_level_address_tuple(source, af))
            if destination is not None:
                _limited(made, timeout, made.connect, dns.inet.low_level_address_tuple(destination, af))
        except BaseException:
            made.close()
            raise
        return _Datagrams(made) if socktype == socket.SOCK_DGRAM else _Stream(made)

    async def sleep(self, interval: float) -> None:
        """Sleep, in seconds."""
        sleep_relative(interval)


class _Datagrams(dns.asyncbackend.DatagramSocket):  # type: ignore[name-defined,misc]
    def __init__(self, wrapped: sock) -> None:
        super().__init__(wrapped.family, wrapped.type)
        self._sock = wrapped

    async def sendto(self, what: bytes, destination: Any, timeout: float | None) -> int:
        return _limited(self._sock, timeout, self._sock.send, what)

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:
        return _limited(self._sock, timeout, self._sock.recvfrom, size)

    async def close(self) -> None:
        self._sock.close()


class _Stream(dns.asyncbackend.StreamSocket):  # type: ignore[name-defined,misc]
    def __init__(self, wrapped: sock) -> None:
        super().__init__(wrapped.family, wrapped.type)
        self._sock = wrapped

    async def sendall(self, what: bytes, timeout: float | None) -> None:
        _limited(self._sock, timeout, self._sock.sendall, what)

    async def recv(self, size: int, timeout: float | None) -> bytes:
        return _limited(self._sock, timeout, self._sock.recv, size)

    async def close(self) -> None:
        self._sock.close()


def _limited(wrapped: sock, timeout: float | None, operation: Callable[..., T], *arguments: Any) -> T:
    """Do an operation of a socket within so many seconds; raises dns.exception.Timeout beyond them."""
    wrapped.settimeout(timeout)
    try:
        return operation(*arguments)
    except BlockingIOError:
        # What is left of the time is nothing at all.
        pass
    except TimeoutError as error:
        if isinstance(error, Interrupted):
            raise
    raise dns.exception.Timeout(timeout=timeout)  # type: ignore[no-untyped-call]
