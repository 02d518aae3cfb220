"""Socket operations outside the loop, and in handlers of the loop."""

import select
import socket
from collections.abc import Callable

import pytest

import coro
from coro import testing
from tests.io.pairs import STREAMS, Own, let_run, listener_of, stream_pair

BIG = 16 << 20

every_stream = pytest.mark.parametrize("kind", STREAMS)


def test_outside_the_loop_what_can_be_done_at_once_is_done(own: Own) -> None:
    left, right = map(own, coro.socketpair())
    assert left.send(b"hello") == 5
    assert right.recv(10) == b"hello"
    assert left.writev([b"a", b"b"]) == 2
    assert right.readv([1, 1]) == [b"a", b"b"]
    left.sendall(b"xyz")
    assert right.recv_exact(3) == b"xyz"
    assert left.sendmsg([b"msg"]) == 3
    assert right.recvmsg(10)[0] == b"msg"
    with own(listener_of("tcp")) as listener:
        client = own(coro.tcp_sock())
        with socket.create_connection(listener.getsockname()):
            own(listener.accept()[0])
        with pytest.raises(coro.YieldFromMain):
            client.connect(listener.getsockname())


@pytest.mark.parametrize(
    "call",
    [
        lambda sock: sock.recv(1),
        lambda sock: sock.recv(1, socket.MSG_PEEK),
        lambda sock: sock.recv_into(bytearray(1)),
        lambda sock: sock.recv_exact(1),
        lambda sock: sock.recvmsg(1),
        lambda sock: sock.readv([1]),
        lambda sock: sock.wait_for_read(),
        lambda sock: sock.wait_for_write(),
        lambda sock: coro.wait_for_read(sock),
        lambda sock: coro.set_handler(sock, coro.READ, print),
        lambda sock: sock.send(bytes(BIG)),
        lambda sock: sock.sendall(bytes(BIG)),
        lambda sock: sock.writev([bytes(BIG)]),
    ],
)
def test_outside_the_loop_what_would_block_says_what_to_do(call: Callable[[coro.sock], object], own: Own) -> None:
    left, right = map(own, coro.socketpair())
    for _ in range(2):
        with pytest.raises(coro.YieldFromMain, match="event_loop"):
            call(left)
    assert left.gettimeout() is None
    right.send(b"x")
    assert left.recv(1) == b"x"


def test_outside_the_loop_a_flag_from_inside_is_not_believed(own: Own) -> None:
    pair: list[coro.sock] = []

    def main() -> None:
        left, right = stream_pair("tcp", own)
        pair.extend((left, right))
        left.send(b"x")
        # A short read: drained, as far as is known.
        assert right.recv(10) == b"x"

    testing.run(main)
    left, right = pair
    with pytest.raises(coro.YieldFromMain):
        right.recv(10)
    left.send(b"y")
    select.select([right], [], [], 5)
    assert right.recv(10) == b"y"


def test_in_a_handler_of_the_loop_what_blocks_is_refused(own: Own) -> None:
    def main() -> list[BaseException]:
        left, right = stream_pair("unix", own)
        found: list[BaseException] = []

        def handler(fd: int, events: int) -> None:
            assert right.recv(10) == b"x"
            try:
                right.recv(10)
            except coro.YieldFromMain as error:
                found.append(error)

        coro.set_handler(right, coro.READ, handler)
        left.send(b"x")
        let_run()
        coro.set_handler(right, coro.READ, None)
        return found

    [error] = testing.run(main)
    assert "spawn()" in str(error)
