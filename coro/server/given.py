"""What a server is given: its settings, and sockets that listen already."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from coro.clock import seconds_to_ticks
from coro.socket.sock import sock

__all__ = ["Handler", "check_settings", "close_all", "listeners_of"]

Handler = Callable[..., object]


def check_settings(handler: Handler, max_connections: int | None, idle_timeout: float | None) -> None:
    """Raise TypeError or ValueError for settings that make no sense."""
    if not callable(handler):
        raise TypeError(f"a server needs a function that handles connections, got {handler!r}")
    if max_connections is not None:
        if not isinstance(max_connections, int) or isinstance(max_connections, bool):
            raise TypeError(f"max_connections must be an int or None, got {max_connections!r}")
        if max_connections < 1:
            raise ValueError(f"max_connections must be 1 or more, or None, got {max_connections}")
    if idle_timeout is not None:
        seconds_to_ticks(idle_timeout, what="idle_timeout")
        if idle_timeout <= 0:
            raise ValueError(f"idle_timeout must be more than 0 seconds, or None, got {idle_timeout!r}")


def listeners_of(given: socket.socket | Iterable[socket.socket]) -> list[sock]:
    """The sockets that a caller has made to listen, as ours.

    Raises TypeError, ValueError, OSError: the sockets are still the caller's then.
    """
    if isinstance(given, socket.socket):
        given = [given]
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"a server needs an address or sockets that listen, got {given!r}")
    listeners: list[socket.socket] = []
    for listener in given:
        if not isinstance(listener, socket.socket):
            raise TypeError(f"a server needs an address or sockets that listen, got {listener!r}")
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ValueError(f"a server needs sockets that listen; this one does not: {listener!r}")
        listeners.append(listener)
    if not listeners:
        raise ValueError("a server needs an address or one socket that listens at least, got none")
    ours: list[sock] = []
    made: list[sock] = []
    try:
        for listener in listeners:
            if not isinstance(listener, sock):
                listener = sock(listener.family, listener.type, listener.proto, listener.fileno())
                made.append(listener)
            ours.append(listener)
    except BaseException:
        # The descriptors are still the caller's.
        for listener in made:
            listener.detach()
        raise
    for listener in listeners:
        if not isinstance(listener, sock):
            listener.detach()
    return ours


def close_all(listeners: Iterable[sock]) -> None:
    """Close sockets for which there is no use any more."""
    for listener in listeners:
        listener.close()
