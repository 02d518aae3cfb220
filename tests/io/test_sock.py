"""A sock is a socket.socket for everybody; its options, names and wrong arguments."""

import errno
import select
import selectors
import socket
import tempfile
from collections.abc import Callable

import pytest

import coro
from coro import testing
from tests.io.pairs import STREAMS, Own, let_run, stream_pair

BIG = 16 << 20

every_stream = pytest.mark.parametrize("kind", STREAMS)


# -- options and names of ends


@every_stream
def test_options_and_names_are_those_of_the_kernel(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        left.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert left.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        left.set_reuse_addr()
        assert left.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        assert left.getsockname() == right.getpeername()
        assert left.getpeername() == right.getsockname()
        assert left.fileno() >= 0
        assert f"fd={left.fileno()}" in repr(left)

    testing.run(main)


def test_getpeername_of_an_unconnected_socket_raises(own: Own) -> None:
    for make in (coro.tcp_sock, coro.udp_sock, coro.unix_sock):
        with pytest.raises(OSError) as caught:
            own(make()).getpeername()
        assert caught.value.errno == errno.ENOTCONN


def test_shutdown_of_the_reading_side_wakes_the_reader(own: Own) -> None:
    def main() -> None:
        for kind in ("tcp", "unix"):
            left, _ = stream_pair(kind, own)
            reader = coro.spawn(left.recv, 10)
            let_run()
            left.shutdown(socket.SHUT_RD)
            assert reader.result() == b""

    testing.run(main)


# -- everything that takes a socket takes ours


def test_a_sock_is_a_socket_for_everybody(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        assert isinstance(left, socket.socket)
        assert select.select([left], [left], [], 0) == ([], [left], [])
        right.send(b"x")
        left.wait_for_read()
        assert select.select([left], [], [], 0) == ([left], [], [])
        with selectors.DefaultSelector() as selector:
            selector.register(left, selectors.EVENT_READ)
            assert [key.fileobj for key, _ in selector.select(0)] == [left]
        assert socket.socket.recv(left, 10) == b"x"
        assert socket.socket.send(left, b"y") == 1
        assert right.recv(1) == b"y"
        assert left.get_inheritable() is False
        with left:
            pass
        assert left.fileno() == -1

    testing.run(main)


def test_code_in_the_manner_of_socketserver_works(own: Own) -> None:
    class Handler:
        """As socketserver.StreamRequestHandler."""

        def __init__(self, request: socket.socket) -> None:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            self.rfile = request.makefile("rb", -1)
            self.wfile = request.makefile("wb", 0)
            try:
                self.wfile.write(self.rfile.readline().strip()[::-1] + b"\n")
            finally:
                self.wfile.close()
                self.rfile.close()
            request.shutdown(socket.SHUT_WR)
            request.close()

    def main() -> None:
        left, right = stream_pair("tcp", own)
        thread = coro.spawn(Handler, right)
        with left.makefile("rwb") as stream:
            stream.write(b"hello\n")
            stream.flush()
            assert stream.read() == b"olleh\n"
        thread.result()

    testing.run(main)


# -- bad input


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda sock: sock.recv("10"), TypeError),
        (lambda sock: sock.recv(-1), ValueError),
        (lambda sock: sock.recv_exact("10"), TypeError),
        (lambda sock: sock.recv_exact(-1), ValueError),
        (lambda sock: sock.recv_into(bytearray(2), -1), ValueError),
        (lambda sock: sock.recv_into(bytearray(2), 3), ValueError),
        (lambda sock: sock.readv([-1]), ValueError),
        (lambda sock: sock.readv(["x"]), TypeError),
        (lambda sock: sock.writev(["text"]), TypeError),
        (lambda sock: sock.writev(5), TypeError),
        (lambda sock: sock.sendto(b"x"), TypeError),
        (lambda sock: sock.sendto(b"x", 0, ("127.0.0.1", 1), 5), TypeError),
        (lambda sock: sock.connect(5), TypeError),
        (lambda sock: sock.connect(("127.0.0.1", "http")), TypeError),
        (lambda sock: sock.connect(("127.0.0.1", 70000)), OverflowError),
        (lambda sock: sock.bind("path"), TypeError),
        (lambda sock: sock.settimeout("1"), TypeError),
        (lambda sock: sock.settimeout(-1), ValueError),
        (lambda sock: sock.settimeout(float("nan")), ValueError),
        (lambda sock: sock.wait_for_read("1"), TypeError),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    call: Callable[[coro.sock], object], error: type[Exception], own: Own
) -> None:
    def main() -> None:
        with pytest.raises(error):
            call(stream_pair("tcp", own)[0])

    testing.run(main)


def test_socket_that_cannot_be_made_leaves_nothing() -> None:
    before = coro.get_live_sockets()
    with pytest.raises(OSError):
        coro.make_socket(socket.AF_INET, 77)
    with pytest.raises(OSError), tempfile.TemporaryFile() as file:
        coro.sock(fd=file.fileno())
    assert coro.get_live_sockets() == before
