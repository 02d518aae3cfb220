"""Datagram sockets: UDP over both IP versions, and Unix."""

import errno
import select
import socket
import sys

import pytest

import coro
from coro import testing
from coro.loop import loop
from tests.io.pairs import DATAGRAMS, Own, datagram_pair, let_run, refused_port

# Of Linux; the socket module does not name it.
SO_SNDBUFFORCE = 32

every_datagram = pytest.mark.parametrize("kind", DATAGRAMS)


@every_datagram
def test_datagrams_arrive_one_by_one_with_their_sender(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = datagram_pair(kind, own)
        receiver = coro.spawn(left.recvfrom, 100)
        let_run()
        assert right.sendto(b"one", left.getsockname()) == 3
        assert receiver.result() == (b"one", right.getsockname())
        right.sendto(b"two", 0, left.getsockname())
        right.sendto(b"", left.getsockname())
        right.sendmsg([b"th", b"ree"], [], 0, left.getsockname())
        # Short reads: but a datagram socket is not drained by one.
        assert left.recv(100) == b"two"
        assert left.recv(100) == b""
        assert left.recvmsg(100)[::3] == (b"three", right.getsockname())

    testing.run(main)


@every_datagram
def test_every_way_to_receive_a_datagram(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = datagram_pair(kind, own)
        target = left.getsockname()
        buffer = bytearray(100)
        for call, expected in (
            (lambda: left.recv(100), b"hello"),
            (lambda: left.read(100), b"hello"),
            (lambda: left.recv(2), b"he"),
            (lambda: left.recv_into(buffer), 5),
            (lambda: left.recvfrom_into(buffer), (5, right.getsockname())),
            (lambda: left.recvmsg(100)[0], b"hello"),
            (lambda: left.recvmsg_into([buffer])[0], 5),
            (lambda: left.readv([2, 100]), [b"he", b"llo"]),
            (lambda: left.recv(100, socket.MSG_WAITALL), b"hello"),
        ):
            thread = coro.spawn(call)
            let_run()
            assert not thread.dead
            right.sendto(b"hello", target)
            assert thread.result() == expected
        right.sendto(b"a", target)
        right.sendto(b"b", target)
        assert left.recv(100, socket.MSG_PEEK) == b"a"
        assert [left.recv(100), left.recv(100)] == [b"a", b"b"]

    testing.run(main)


@every_datagram
def test_connected_datagram_sockets_send_whole_datagrams(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = datagram_pair(kind, own)
        right.connect(left.getsockname())
        left.connect(right.getsockname())
        largest = 60_000
        for payload in (b"", b"x", bytes(largest), bytearray(), bytearray(b"y")):
            assert right.send(payload) == len(payload)
            assert left.recv(1 << 16) == payload
        right.writev([b"one ", b"datagram"])
        assert left.recv(100) == b"one datagram"
        assert left.getpeername() == right.getsockname()
        with pytest.raises(OSError) as caught:
            right.send(bytes(10_000_000))
        assert caught.value.errno == errno.EMSGSIZE

    testing.run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="a buffer of this size is Linux's to give")
def test_datagram_larger_than_a_chunk_of_a_stream_goes_in_one_piece(own: Own) -> None:
    size = 3 << 20

    def main() -> None:
        left, right = map(own, coro.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        try:
            left.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * size)
        except OSError:
            pytest.skip("only the superuser may have a send buffer of this size")
        filled = 0
        try:
            while True:
                filled += left.send(bytes(100_000), socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        sender = coro.spawn(left.send, bytes(size))
        let_run()
        assert not sender.dead
        while filled:
            filled -= len(right.recv(100_000))
        assert len(right.recv(2 * size)) == size
        assert sender.result() == size

    testing.run(main)


def test_refusal_of_a_datagram_is_told_at_the_next_operation(own: Own) -> None:
    def main() -> None:
        sender = own(coro.udp_sock())
        sender.connect(("127.0.0.1", refused_port()))
        sender.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            sender.recv(10)
        # And it may go on.
        receiver = own(coro.udp_sock())
        receiver.bind(("127.0.0.1", 0))
        sender.connect(receiver.getsockname())
        sender.send(b"y")
        assert receiver.recv(10) == b"y"

    testing.run(main)


@pytest.mark.parametrize("connected", [False, True])
def test_sender_waits_for_room_in_the_queue_of_a_unix_socket(connected: bool, own: Own) -> None:
    def main() -> None:
        left, right = datagram_pair("unix datagram", own)
        other = own(coro.make_socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        other.settimeout(0)
        queued = 0
        try:
            while True:
                other.sendto(b"other", left.getsockname())
                queued += 1
        except BlockingIOError:
            pass
        if connected:
            right.connect(left.getsockname())
            sender = coro.spawn(right.send, b"mine")
        else:
            sender = coro.spawn(right.sendto, b"mine", left.getsockname())
        before = loop.iterations
        let_run(1)
        assert not sender.dead
        # It sleeps, it does not ask again and again.
        assert loop.iterations - before < 100
        for _ in range(queued):
            assert left.recv(100) == b"other"
        assert sender.result() == 4
        assert left.recv(100) == b"mine"

    testing.run(main)


def test_sender_to_a_full_unix_socket_times_out_or_is_interrupted(own: Own) -> None:
    def main() -> None:
        left, right = datagram_pair("unix datagram", own)
        right.settimeout(0)
        with pytest.raises(BlockingIOError):
            for _ in range(10_000):
                right.sendto(b"x", left.getsockname())
        right.settimeout(0.2)
        began = coro.get_now()
        with pytest.raises(TimeoutError):
            right.sendto(b"x", left.getsockname())
        assert coro.get_now() - began == 200_000_000
        right.settimeout(None)
        sender = coro.spawn(right.sendmsg, [b"x"], [], 0, left.getsockname())
        let_run()
        sender.shutdown()
        sender.join()

    testing.run(main)


@every_datagram
def test_interrupted_receiver_leaves_the_datagram(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = datagram_pair(kind, own)
        receiver = coro.spawn(left.recvfrom, 100)
        let_run()
        right.sendto(b"hello", left.getsockname())
        select.select([left], [], [], 5)
        receiver.shutdown()
        receiver.join()
        assert left.recvfrom(100) == (b"hello", right.getsockname())

    testing.run(main)


def test_sequenced_packets_keep_their_bounds(own: Own) -> None:
    def main() -> None:
        left, right = map(own, coro.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        left.send(b"one")
        left.send(b"two")
        assert [right.recv(100), right.recv(100)] == [b"one", b"two"]
        left.close()
        assert right.recv(100) == b""

    testing.run(main)
