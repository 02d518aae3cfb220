"""The readiness flags: what they save, and where they are not believed."""

import select
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

import coro
from coro import testing
from coro.descriptors import descriptors
from tests.io.pairs import Own, datagram_pair, let_run, stream_pair

REAL_RECV = socket.socket.recv
REAL_SEND = socket.socket.send


class Calls:
    """Counts what is asked of the kernel, and how often it refuses."""

    def __init__(self) -> None:
        self.recv = self.send = self.refused = 0

    def do_recv(self, sock: socket.socket, *arguments: Any) -> bytes:
        self.recv += 1
        return self._counted(REAL_RECV, sock, *arguments)  # type: ignore[no-any-return]

    def do_send(self, sock: socket.socket, *arguments: Any) -> int:
        self.send += 1
        return self._counted(REAL_SEND, sock, *arguments)  # type: ignore[no-any-return]

    def _counted(self, operation: Any, sock: socket.socket, *arguments: Any) -> Any:
        try:
            return operation(sock, *arguments)
        except BlockingIOError:
            self.refused += 1
            raise


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    counted = Calls()
    monkeypatch.setattr("coro.socket.receiving._recv", counted.do_recv)
    monkeypatch.setattr("coro.socket.sending._send", counted.do_send)
    return counted


def test_turn_of_a_tcp_echo_costs_one_recv_and_one_send(own: Own, calls: Calls) -> None:
    rounds = 50

    def main() -> None:
        left, right = stream_pair("tcp", own)

        def echo() -> None:
            while data := right.recv(1024):
                right.send(data)

        server = coro.spawn(echo)
        for _ in range(rounds):
            left.send(b"x" * 100)
            assert left.recv(1024) == b"x" * 100
        assert calls.send == 2 * rounds
        # The first recv of each end finds nothing; then none is refused.
        assert calls.refused <= 2
        assert calls.recv == 2 * rounds + calls.refused
        left.shutdown(socket.SHUT_WR)
        server.result()

    testing.run(main)


def test_timed_socket_saves_the_refusals_too(own: Own, calls: Calls) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        right.settimeout(60)
        for _ in range(20):
            reader = coro.spawn(right.recv, 1024)
            let_run()
            left.send(b"x")
            assert reader.result() == b"x"
        assert calls.refused <= 1

    coro.run(main)


@pytest.mark.parametrize("kind", ["unix", "udp", "unix datagram"])
def test_only_plain_tcp_is_believed_to_be_drained_by_a_short_read(kind: str, own: Own, calls: Calls) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own) if kind == "unix" else datagram_pair(kind, own)
        if kind != "unix":
            left.connect(right.getsockname())
        left.send(b"a")
        assert right.recv(100) == b"a"
        before = calls.refused
        reader = coro.spawn(right.recv, 100)
        let_run()
        assert calls.refused == before + 1
        left.send(b"b")
        assert reader.result() == b"b"

    testing.run(main)


def test_read_that_fills_its_buffer_is_tried_again_at_once(own: Own, calls: Calls) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        left.send(b"x" * 100)
        right.wait_for_read()
        polls = right._descriptor.readable
        assert [len(right.recv(50)) for _ in range(2)] == [50, 50]
        assert polls
        assert calls.refused == 0

    testing.run(main)


@pytest.mark.parametrize("reset", [False, True])
def test_hang_up_that_was_seen_disables_the_shortcut(reset: bool, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        reader = coro.spawn(right.recv, 1)
        let_run()
        left.send(b"abc")
        if reset:
            left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left.close()
        try:
            assert reader.result() == b"a"
            assert right.recv(100) == b"bc"
            # Not parked: nothing would wake it.
            assert right.recv(100) == b""
            assert right.recv(100) == b""
        except ConnectionResetError:
            assert reset

    testing.run(main)


def test_socket_that_does_not_wait_asks_the_kernel_whatever_the_flag_says(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        left.send(b"x")
        assert right.recv(10) == b"x"
        # Drained, as far as the flag knows, and not registered: nobody will set it.
        left.send(b"y")
        select.select([right], [], [], 5)
        right.settimeout(0)
        assert right.recv(10) == b"y"
        for operation in (
            lambda: right.recv(10),
            lambda: right.recv_into(bytearray(1)),
            lambda: right.recv_exact(1),
            lambda: right.readv([1]),
            lambda: right.recvmsg(1),
            lambda: right.recv(10, socket.MSG_WAITALL),
        ):
            with pytest.raises(BlockingIOError):
                operation()
        left.send(b"z")
        select.select([right], [], [], 5)
        assert right.recv_into(bytearray(1)) == 1

    testing.run(main)


def test_socket_that_does_not_wait_sends_what_there_is_room_for(own: Own) -> None:
    size = 8_000_000

    def main() -> None:
        left, right = stream_pair("unix", own)
        left.settimeout(0)
        sent = left.send(bytes(size))
        assert 0 < sent < size
        with pytest.raises(BlockingIOError):
            left.send(b"x")
        with pytest.raises(BlockingIOError) as caught:
            left.sendall(b"x" * size)
        assert getattr(caught.value, "sent_bytes", 0) == 0
        assert len(right.recv_exact(sent)) == sent
        with pytest.raises(BlockingIOError) as caught:
            left.sendall(b"x" * size)
        more = caught.value.sent_bytes  # type: ignore[attr-defined]
        assert 0 < more < size
        assert right.recv_exact(more) == b"x" * more
        with pytest.raises(BlockingIOError) as caught:
            left.writev([b"x" * size] * 2)
        assert len(right.recv_exact(caught.value.sent_bytes)) > 0  # type: ignore[attr-defined]

    testing.run(main)


def test_flags_survive_the_end_of_the_loop(own: Own) -> None:
    pair: list[coro.sock] = []

    def first() -> None:
        left, right = stream_pair("tcp", own)
        pair.extend((left, right))
        reader = coro.spawn(right.recv, 10)
        let_run()
        left.send(b"x")
        assert reader.result() == b"x"

    testing.run(first)
    assert descriptors.table == {}
    left, right = pair
    left.send(b"between")
    assert testing.run(right.recv, 10) == b"between"

    def last() -> None:
        reader = coro.spawn(right.recv, 10)
        let_run()
        left.send(b"again")
        assert reader.result() == b"again"

    testing.run(last)


def test_sock_made_of_a_descriptor_asks_what_it_is(own: Own) -> None:
    for family, kind in ((socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)):
        with socket.socket(family, kind) as plain:
            wrapped = own(coro.sock(fileno=plain.detach()))
            assert (wrapped.family, wrapped.type) == (family, kind)
            assert not wrapped._drains
    assert own(coro.sock())._drains
    assert own(coro.sock(fd=socket.socket().detach()))._drains
    with socket.socket() as plain:
        explicit = own(coro.sock(socket.AF_INET, socket.SOCK_STREAM, 0, plain.detach()))
    assert explicit._drains


def test_passed_descriptors_are_not_overlooked_by_a_plain_read(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        reader = coro.spawn(right.recv, 100)
        let_run()
        left.send(b"one")
        socket.send_fds(left, [b"two"], [0])
        left.send(b"three")
        found = reader.result()
        while len(found) < 11:
            # Short each time, and each time there is more.
            found += right.recv(100)
        assert found == b"onetwothree"

    testing.run(main)
