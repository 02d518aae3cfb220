"""Who the kernel says is there, asked about real sockets of real processes."""

import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from coro.backdoor import peers
from coro.backdoor.binding import bind_tcp
from coro.backdoor.peers import Peer, overflow_gid, overflow_uid, parse_xucred, tcp_peer, unix_peer

OTHER_UID = 54_321
OTHER_GID = 54_322

linux = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag and SO_PEERCRED are Linux's")


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connected(stack: ExitStack, ip: str, dial: str | None = None) -> tuple[socket.socket, socket.socket]:
    """(our side, the peer's side) of a TCP connection."""
    listener = stack.enter_context(bind_tcp(ip, 0))
    listener.settimeout(5)
    client = stack.enter_context(socket.create_connection((dial or ip, listener.getsockname()[1]), timeout=5))
    accepted, _ = listener.accept()
    return stack.enter_context(accepted), client


def dial_to(address: Any) -> socket.socket:
    """Connect by number: create_connection() imports a codec, which another user may not be able to read."""
    client = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    client.settimeout(5)
    client.connect(address[:2])
    return client


def as_other_user(
    stack: ExitStack,
    connect: Callable[[], socket.socket],
    groups: list[int] | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Have a child of another uid call connect(); its connection lives until the stack is closed.

    meanwhile: called here, while the child connects.
    """
    needs_root()
    up, end = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(end[1])
            os.setgroups(groups or [])
            os.setgid(OTHER_GID)
            os.setuid(OTHER_UID)
            client = connect()
            os.write(up[1], b"x")
            os.read(end[0], 1)
            client.close()
            code = 0
        finally:
            os._exit(code)
    os.close(end[0])
    stack.callback(os.close, up[0])
    # In reverse: the end of the pipe ends the child.
    stack.callback(os.waitpid, pid, 0)
    stack.callback(os.close, end[1])
    os.close(up[1])
    meanwhile()
    assert os.read(up[0], 1) == b"x"


# -- Unix


def test_unix_peer_is_the_process_that_connected() -> None:
    left, right = socket.socketpair()
    with left, right:
        peer = unix_peer(left)
    assert peer == Peer("unix", os.getpid(), os.geteuid(), os.getegid(), tuple(os.getgroups()), "unix")


@linux
def test_unix_peer_of_another_uid_is_known_with_its_groups(stack: ExitStack, tmp_path: Any) -> None:
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    # The abstract namespace has no directory that could keep the other user out.
    name = f"\0coro-test-{os.getpid()}"
    listener.bind(name)
    listener.listen()

    def connect() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(name)
        return client

    as_other_user(stack, connect, [1234, 1235])
    accepted = stack.enter_context(listener.accept()[0])

    peer = unix_peer(accepted)
    assert (peer.uid, peer.gid, peer.groups) == (OTHER_UID, OTHER_GID, (1234, 1235))
    assert peer.pid not in (None, os.getpid())


@linux
def test_unix_peer_with_too_many_groups_has_none(stack: ExitStack) -> None:
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    name = f"\0coro-test-{os.getpid()}"
    listener.bind(name)
    listener.listen()

    def connect() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(name)
        return client

    as_other_user(stack, connect, list(range(2000, 2400)))
    peer = unix_peer(stack.enter_context(listener.accept()[0]))
    assert (peer.uid, peer.groups) == (OTHER_UID, ())


def test_unix_peer_of_a_closed_or_unconnected_socket_is_nobody() -> None:
    with socket.socket(socket.AF_UNIX) as alone:
        assert unix_peer(alone).uid is None
    assert unix_peer(alone) == Peer("unix", None, None, None, (), "unix")


@pytest.mark.parametrize(
    ("count", "gid", "rest"), [(0, None, ()), (1, 20, ()), (3, 20, (12, 61)), (16, 20, (12, 61, *range(13)))]
)
def test_xucred_is_read_as_documented(count: int, gid: int | None, rest: tuple[int, ...]) -> None:
    groups = [20, 12, 61, *range(13)]
    # sys/ucred.h, with the compiler's own alignment: unsigned int, uid_t, short, gid_t[16].
    data = struct.pack("@IIh16I", 0, 501, count, *groups)

    assert parse_xucred(data) == (501, gid, rest)
    # FreeBSD has the pid after it.
    assert parse_xucred(data + bytes(8)) == (501, gid, rest)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("@IIh16I", 1, 501, 1, *range(16)),
        struct.pack("@IIh16I", 0, 501, 17, *range(16)),
        struct.pack("@IIh16I", 0, 501, -1, *range(16)),
    ],
)
def test_strange_xucred_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a struct xucred"):
        parse_xucred(data)
    with pytest.raises(struct.error):
        parse_xucred(data[:20])


# -- TCP


@linux
@pytest.mark.parametrize("ip", ["127.0.0.1", "127.0.0.2", "::1"])
def test_loopback_peer_is_known_by_uid(stack: ExitStack, ip: str) -> None:
    ours, client = connected(stack, ip)

    peer = tcp_peer(ours)

    port = client.getsockname()[1]
    assert (peer.kind, peer.uid, peer.pid, peer.gid, peer.groups) == ("tcp", os.geteuid(), None, None, ())
    assert peer.address == (f"[::1]:{port}" if ip == "::1" else f"{client.getsockname()[0]}:{port}")


@linux
@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_loopback_peer_of_another_uid_is_known(stack: ExitStack, ip: str) -> None:
    listener = stack.enter_context(bind_tcp(ip, 0))
    listener.settimeout(5)
    as_other_user(stack, lambda: dial_to(listener.getsockname()))

    assert tcp_peer(stack.enter_context(listener.accept()[0])).uid == OTHER_UID


@linux
def test_our_own_side_is_not_taken_for_the_peers(stack: ExitStack) -> None:
    """Both sides of a connection between two users are asked: each sees the other's owner."""
    listener = stack.enter_context(bind_tcp("127.0.0.1", 0))
    listener.settimeout(5)
    read_end, write_end = os.pipe()
    stack.callback(os.close, read_end)
    stack.callback(os.close, write_end)

    def greet() -> None:
        # A socket has an owner only once it is accepted.
        accepted = stack.enter_context(listener.accept()[0])
        accepted.send(b"x")

    def connect() -> socket.socket:
        client = dial_to(listener.getsockname())
        client.recv(1)
        os.write(write_end, str(tcp_peer(client).uid).encode())
        return client

    as_other_user(stack, connect, meanwhile=greet)
    assert os.read(read_end, 16) == str(os.geteuid()).encode()


@linux
@pytest.mark.parametrize("dial", ["127.0.0.1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("listen", ["127.0.0.1", "::"])
def test_v4_mapped_addresses_are_understood_on_either_side(stack: ExitStack, listen: str, dial: str) -> None:
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    listener = stack.enter_context(socket.socket(family))
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((listen, 0))
    listener.listen()
    client = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in dial else socket.AF_INET))
    client.connect((dial, listener.getsockname()[1]))
    ours = stack.enter_context(listener.accept()[0])

    peer = tcp_peer(ours)

    assert peer.uid == os.geteuid()
    assert peer.address == f"127.0.0.1:{client.getsockname()[1]}"


@linux
@pytest.mark.parametrize("end", ["close", "reset", "half-close"])
def test_peer_that_has_closed_is_unknown(stack: ExitStack, end: str) -> None:
    """Its socket belongs to nobody any more, and /proc/net/tcp shows it as root's."""
    ours, client = connected(stack, "127.0.0.1")
    client.send(b"print(1)\n")
    if end == "half-close":
        client.shutdown(socket.SHUT_WR)
    else:
        if end == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    peer = tcp_peer(ours)

    assert peer.uid is None
    assert peer.kind == "tcp"


@linux
def test_peer_that_closed_is_not_confused_with_a_listener_at_its_address(stack: ExitStack) -> None:
    """The kernel answers with a listener on that port where it finds no connection."""
    with bind_tcp("127.0.0.1", 0) as server:
        ours, ip, port = bereaved(stack, server)
        assert peers._socket_owner(*pair((ip, port), ("127.0.0.1", 1))) is None
        listener = stack.enter_context(bind_tcp(ip, port))
        assert listener.getsockname() == (ip, port)

        assert peers._socket_owner(*pair((ip, port), ours.getsockname())) is None


def bereaved(stack: ExitStack, server: socket.socket) -> tuple[socket.socket, str, int]:
    """(our side of a connection, the peer's ip, its port): the peer is gone, and its port is free.

    A port that the kernel chooses at connect() may be shared with connections to elsewhere, some of which linger:
    a port that bind() got is the peer's alone.
    """
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.1", 0))
    client.connect(server.getsockname())
    server.settimeout(5)
    ours = stack.enter_context(server.accept()[0])
    ip, port = client.getsockname()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return ours, ip, port


def pair(local: tuple[str, int], remote: tuple[str, int]) -> tuple[Any, Any]:
    return (peers._plain(local[0]), local[1]), (peers._plain(remote[0]), remote[1])


def test_unconnected_socket_has_no_peer() -> None:
    with socket.socket() as alone:
        assert tcp_peer(alone) == Peer("tcp", None, None, None, (), "unknown")


def test_remote_peer_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Remote:
        def getpeername(self) -> tuple[str, int]:
            return ("192.0.2.7", 5000)

        def getsockname(self) -> tuple[str, int]:
            return ("192.0.2.1", 23)

    monkeypatch.setattr(peers, "_socket_owner", lambda *_: pytest.fail("the kernel was asked"))
    sock: Any = Remote()
    assert tcp_peer(sock) == Peer("tcp", None, None, None, (), "192.0.2.7:5000")


@linux
@pytest.mark.parametrize("state", [2, 5, 7, 8, 10])
def test_only_an_established_socket_counts(state: int) -> None:
    local, remote = pair(("127.0.0.1", 1111), ("127.0.0.1", 2222))
    assert peers._owner_in(reply(local, remote, state=1), local, remote) == 1000
    assert peers._owner_in(reply(local, remote, state=state), local, remote) is None


@linux
def test_answer_about_another_socket_does_not_count() -> None:
    local, remote = pair(("127.0.0.1", 1111), ("127.0.0.1", 2222))
    assert peers._owner_in(reply(local, remote, inode=0), local, remote) is None
    assert peers._owner_in(reply(remote, local), local, remote) is None
    assert peers._owner_in(reply(local, remote, kind=2), local, remote) is None
    assert peers._owner_in(reply(local, remote)[:40], local, remote) is None


def reply(local: Any, remote: Any, *, state: int = 1, inode: int = 77, kind: int = 20) -> bytes:
    """An inet_diag_msg, linux/inet_diag.h."""
    addresses = local[0].packed.ljust(16, b"\0") + remote[0].packed.ljust(16, b"\0")
    body = struct.pack("=BBBB", socket.AF_INET, state, 0, 0)
    body += struct.pack("!HH", local[1], remote[1]) + addresses + struct.pack("=III", 0, 1, 2)
    body += struct.pack("=IIIII", 0, 0, 0, 1000, inode)
    return struct.pack("=IHHII", min(16 + len(body), 88), kind, 0, 1, 0) + body


@linux
def test_kernel_that_does_not_answer_costs_a_few_milliseconds(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = connected(stack, "127.0.0.1")
    # A message that the kernel ignores: not a request.
    request = peers._request

    def unanswered(*args: Any) -> bytes:
        data = request(*args)
        return data[:6] + struct.pack("=H", 0) + data[8:]

    monkeypatch.setattr(peers, "_request", unanswered)
    began = time.monotonic()
    assert tcp_peer(ours).uid is None
    assert time.monotonic() - began < 0.5


@linux
def test_sandbox_without_netlink_makes_the_peer_unknown(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = connected(stack, "127.0.0.1")

    def refuse(*_: Any) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(peers, "_socket_owner", refuse)
    assert tcp_peer(ours).uid is None


@linux
def test_question_is_quick_and_leaves_no_descriptor(stack: ExitStack) -> None:
    ours, _ = connected(stack, "127.0.0.1")
    before = len(os.listdir("/dev/fd"))
    times = []
    for _ in range(200):
        began = time.thread_time()
        tcp_peer(ours)
        times.append(time.thread_time() - began)
    assert sorted(times)[100] < 0.002
    assert len(os.listdir("/dev/fd")) == before


def test_overflow_ids_are_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert overflow_uid() == overflow_gid() == 65_534
    assert peers._read_number("/nowhere") == 65_534
