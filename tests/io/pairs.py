"""Pairs of connected sockets, of every kind; the functions are called in a thread."""

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import coro
from coro.descriptors import descriptors

Own = Callable[[Any], Any]

needs_ipv6 = pytest.mark.skipif(not coro.has_ipv6(), reason="this host has no IPv6")

STREAMS = ["tcp", pytest.param("tcp6", marks=needs_ipv6), "unix"]
DATAGRAMS = ["udp", pytest.param("udp6", marks=needs_ipv6), "unix datagram"]

# Long enough for what another thread, or the kernel, has to do; only waited for where nothing can be awaited.
A_MOMENT_S = 0.01


def listener_of(kind: str) -> coro.sock:
    """A socket that listens at a free port of loopback."""
    listener = coro.tcp6_sock() if kind == "tcp6" else coro.tcp_sock()
    listener.bind(("::1" if kind == "tcp6" else "127.0.0.1", 0))
    listener.listen(128)
    return listener


def stream_pair(kind: str, own: Own) -> tuple[coro.sock, coro.sock]:
    """Two ends of a connection."""
    if kind == "unix":
        left, right = coro.socketpair()
    else:
        with listener_of(kind) as listener:
            left = own(coro.tcp6_sock() if kind == "tcp6" else coro.tcp_sock())
            left.connect(listener.getsockname())
            right, _ = listener.accept()
    return own(left), own(right)


def datagram_pair(kind: str, own: Own) -> tuple[coro.sock, coro.sock]:
    """Two datagram sockets, each bound, neither connected."""
    if kind == "unix datagram":
        folder = tempfile.mkdtemp()
        pair = [own(coro.make_socket(socket.AF_UNIX, socket.SOCK_DGRAM)) for _ in range(2)]
        for number, one in enumerate(pair):
            one.bind(f"{folder}/{number}")
            own(_Removed(Path(folder), str(number)))
        return pair[0], pair[1]
    pair = [own(coro.udp6_sock() if kind == "udp6" else coro.udp_sock()) for _ in range(2)]
    for one in pair:
        one.bind(("::1" if kind == "udp6" else "127.0.0.1", 0))
    return pair[0], pair[1]


class _Removed:
    """A file that is removed with its folder, once it is empty."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name

    def close(self) -> None:
        (self.folder / self.name).unlink()
        if not os.listdir(self.folder):
            self.folder.rmdir()


def refused_port() -> int:
    """A port of loopback at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def let_run(seconds: float = A_MOMENT_S) -> None:
    """Let the others run until they wait."""
    coro.sleep_relative(seconds)


def report_readiness() -> None:
    """Do what the loop does with a poll, now: waiters are runnable then, but have not run."""
    descriptors.dispatch(descriptors.poller.poll(0))  # type: ignore[union-attr]


def fill(sock: coro.sock, piece: bytes = bytes(65536)) -> int:
    """Send until there is no room; returns how many bytes that took."""
    sent = 0
    try:
        while True:
            sent += sock.send(piece, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return sent
