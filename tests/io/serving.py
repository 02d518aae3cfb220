"""What the tests of servers share: a handler, and clients."""

import socket

import coro
from coro.server import Server
from tests.io.pairs import Own

Failures = list[BaseException]


def echo(connection: coro.sock, address: object) -> None:
    while data := connection.recv(1000):
        connection.send(data)


def connected(own: Own, server: Server, number: int = 0) -> coro.sock:
    """A client of the server's."""
    address = server.addresses[number]
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    client: coro.sock = own(coro.sock(family, socket.SOCK_STREAM))
    client.connect(address)
    return client


def ask(client: coro.sock, text: bytes = b"hello") -> bytes:
    client.send(text)
    return client.recv(1000)
