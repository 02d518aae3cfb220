"""Whose process listens, and to whom nothing secret is sent."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coro.console.failures import Untrusted
from coro.console.peer import Peer, peer_of, refuse_stranger


def test_unix_listener_is_known_by_uid_and_pid(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "x"))
        server.listen()
        client.connect(str(tmp_path / "x"))

        assert peer_of(client) == Peer(os.geteuid(), os.getpid())


Listen = Callable[[int, str, str, int], int]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """A function that makes a TCP listener, in a process with another uid; returns its port."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    ends = []

    def start(family: int, address: str, _: str, uid: int) -> int:
        port_in, port_out = os.pipe()
        end_in, end_out = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setuid(uid)
            server = socket.socket(family)
            server.bind((address, 0))
            server.listen()
            os.write(port_out, str(server.getsockname()[1]).encode())
            os.close(end_out)
            os.read(end_in, 1)
            os._exit(0)
        ends.append((pid, end_out))
        port = int(os.read(port_in, 10))
        for fd in (port_in, port_out, end_in):
            os.close(fd)
        return port

    yield start
    for pid, end_out in ends:
        os.close(end_out)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("uid", [0, 12345])
@pytest.mark.parametrize(
    ("family", "bound", "dialled"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "127.0.0.2", "127.0.0.2"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
    ],
)
def test_tcp_listener_on_this_machine_is_known_by_uid(
    listen: Listen, uid: int, family: int, bound: str, dialled: str
) -> None:
    port = listen(family, bound, dialled, uid)

    with socket.create_connection((dialled, port)) as client:
        assert peer_of(client) == Peer(uid, None)


@pytest.mark.parametrize(("uid", "named"), [(os.geteuid(), None), (0, None), (None, None), (777, 777)])
def test_own_root_unknown_and_named_listeners_are_trusted(uid: int | None, named: int | None) -> None:
    refuse_stranger(Peer(uid, 1), "x.sock", named)


@pytest.mark.parametrize(("uid", "named"), [(777, None), (777, 778), (65534, None)])
def test_any_other_listener_is_refused(uid: int, named: int | None) -> None:
    with pytest.raises(Untrusted, match=rf"x\.sock is served by uid {uid}, .* say --uid {uid}"):
        refuse_stranger(Peer(uid, 1), "x.sock", named)
