"""Servers: accept loops that survive, with a cap, idle timeouts and a graceful end."""

from __future__ import annotations

from coro.server.inherited import inherited_sockets
from coro.server.listening import listen_tcp, listen_unix
from coro.server.server import Server, tcp_server, unix_server

__all__ = ["Server", "inherited_sockets", "listen_tcp", "listen_unix", "tcp_server", "unix_server"]
