"""Sockets, pipes and terminals whose waiting parks the thread, not the process."""

from __future__ import annotations

from coro.socket.base import get_live_sockets
from coro.socket.files import fd_sock, file_sock
from coro.socket.make import (
    AF,
    PF,
    SHUT,
    SO,
    SOCK,
    SOL,
    has_ipv6,
    make_socket,
    socketpair,
    tcp6_sock,
    tcp_sock,
    udp6_sock,
    udp_sock,
    unix_sock,
)
from coro.socket.sock import sock

__all__ = [
    "AF",
    "PF",
    "SHUT",
    "SO",
    "SOCK",
    "SOL",
    "fd_sock",
    "file_sock",
    "get_live_sockets",
    "has_ipv6",
    "make_socket",
    "sock",
    "socketpair",
    "tcp6_sock",
    "tcp_sock",
    "udp6_sock",
    "udp_sock",
    "unix_sock",
]
