"""Receiving from streams: what is returned, and that it waits."""

import os
import socket
import struct

import pytest

import coro
from coro import testing
from tests.io.pairs import STREAMS, Own, fill, let_run, stream_pair

BIG = 16 << 20

every_stream = pytest.mark.parametrize("kind", STREAMS)


# -- receiving


@every_stream
def test_recv_waits_and_returns_what_is_there(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        reader = coro.spawn(left.recv, 100)
        let_run()
        assert not reader.dead
        right.send(b"hello")
        assert reader.result() == b"hello"
        right.send(b"x" * 10)
        assert left.recv(4) == b"xxxx"
        assert left.recv(100) == b"x" * 6
        right.close()
        assert left.recv(100) == b""
        assert left.recv(100) == b""

    testing.run(main)


@every_stream
def test_end_of_stream_after_a_short_read_is_seen(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        for early in (False, True):
            right.send(b"short")
            if early:
                right.shutdown(socket.SHUT_WR)
            assert left.recv(100) == b"short"
        assert left.recv(100) == b""

    testing.run(main)


@every_stream
def test_end_of_stream_wakes_a_reader_who_waits_after_a_short_read(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        right.send(b"short")
        assert left.recv(100) == b"short"
        reader = coro.spawn(left.recv, 100)
        let_run()
        right.close()
        assert reader.result() == b""

    testing.run(main)


@pytest.mark.parametrize("waiting", [False, True])
def test_reset_after_a_short_read_raises(own: Own, waiting: bool) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        right.send(b"short")
        assert left.recv(100) == b"short"
        right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if not waiting:
            right.close()
        reader = coro.spawn(left.recv, 100)
        let_run()
        if waiting:
            right.close()
        with pytest.raises(ConnectionResetError):
            reader.result()

    testing.run(main)


@every_stream
def test_read_is_recv(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        right.write(b"hello")
        assert left.read(3) == b"hel"
        assert left.read(3) == b"lo"

    testing.run(main)


@every_stream
def test_recv_exact_waits_for_all_of_it(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        reader = coro.spawn(left.recv_exact, 10)
        for piece in (b"abc", b"defg", b"hijkl"):
            let_run()
            assert not reader.dead
            right.send(piece)
        assert reader.result() == b"abcdefghij"
        assert left.recv_exact(0) == b""
        assert left.recv(10) == b"kl"

    testing.run(main)


@every_stream
def test_recv_exact_raises_eof_error_with_the_partial_bytes(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        right.send(b"abc")
        right.close()
        with pytest.raises(EOFError) as caught:
            left.recv_exact(10)
        assert caught.value.args == (b"abc",)

    testing.run(main)


def test_recv_exact_that_is_interrupted_says_what_it_had(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        right.send(b"abc")
        reader = coro.spawn(left.recv_exact, 10)
        let_run()
        reader.raise_exception(coro.WakeUp())
        with pytest.raises(coro.WakeUp) as caught:
            reader.result()
        assert caught.value.partial_bytes == b"abc"  # type: ignore[attr-defined]
        right.send(b"def")
        assert left.recv(10) == b"def"

    testing.run(main)


@every_stream
def test_recv_into_fills_a_buffer(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        buffer = bytearray(b"-" * 8)
        reader = coro.spawn(left.recv_into, buffer)
        let_run()
        right.send(b"abc")
        assert reader.result() == 3
        assert buffer == b"abc-----"
        right.send(b"defg")
        assert left.recv_into(memoryview(buffer)[6:], 1) == 1
        assert buffer == b"abc---d-"
        with pytest.raises(TypeError):
            left.recv_into(b"read only")

    testing.run(main)


@every_stream
def test_recvfrom_recvfrom_into_and_recvmsg_work_on_streams(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        reader = coro.spawn(left.recvfrom, 3)
        let_run()
        right.send(b"abcdefghijkl")
        assert reader.result()[0] == b"abc"
        buffer = bytearray(3)
        assert left.recvfrom_into(buffer)[0] == 3
        assert buffer == b"def"
        data, ancillary, flags, _ = left.recvmsg(3)
        assert (data, ancillary, flags) == (b"ghi", [], 0)
        first, second = bytearray(2), bytearray(2)
        assert left.recvmsg_into([first, second])[0] == 3
        assert (first, second) == (b"jk", b"l\0")
        waiting = coro.spawn(left.recvmsg, 3)
        let_run()
        right.send(b"z")
        assert waiting.result()[0] == b"z"

    testing.run(main)


@every_stream
def test_readv_fills_buffers_in_order(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        reader = coro.spawn(left.readv, [2, 3, 4])
        let_run()
        right.send(b"abcdef")
        assert reader.result() == [b"ab", b"cde", b"f"]
        right.send(b"xy")
        assert left.readv([4, 4]) == [b"xy", b""]
        right.send(b"x" * 3000)
        assert b"".join(left.readv([2] * 2000)) == b"x" * 2 * min(1500, os.sysconf("SC_IOV_MAX"))
        right.close()
        while any(left.readv([4000])):
            pass
        assert left.readv([1, 2]) == [b"", b""]

    testing.run(main)


# -- flags


@every_stream
def test_peek_leaves_the_bytes(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        reader = coro.spawn(left.recv, 10, socket.MSG_PEEK)
        let_run()
        right.send(b"hello")
        assert reader.result() == b"hello"
        assert left.recv(10, socket.MSG_PEEK) == b"hello"
        assert left.recv(10) == b"hello"

    testing.run(main)


@every_stream
def test_dontwait_asks_the_kernel_whatever_the_flag_says(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        with pytest.raises(BlockingIOError):
            left.recv(10, socket.MSG_DONTWAIT)
        right.send(b"x")
        assert left.recv(10) == b"x"
        right.send(b"y")
        left.wait_for_read()
        assert left.recv(10, socket.MSG_DONTWAIT) == b"y"
        with pytest.raises(BlockingIOError):
            left.recv_into(bytearray(1), 0, socket.MSG_DONTWAIT)
        fill(left)
        with pytest.raises(BlockingIOError):
            left.send(b"x", socket.MSG_DONTWAIT)
        with pytest.raises(BlockingIOError):
            left.sendmsg([b"x"], [], socket.MSG_DONTWAIT)

    testing.run(main)


@every_stream
def test_waitall_waits_for_all_or_the_end(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        reader = coro.spawn(left.recv, 6, socket.MSG_WAITALL)
        for piece in (b"ab", b"cd", b"efgh"):
            let_run()
            assert not reader.dead
            right.send(piece)
        assert reader.result() == b"abcdef"
        buffer = bytearray(6)
        filler = coro.spawn(left.recv_into, buffer, 4, socket.MSG_WAITALL)
        let_run()
        assert not filler.dead
        right.send(b"ijk")
        assert filler.result() == 4
        assert buffer == b"ghij\0\0"
        right.close()
        assert left.recv(6, socket.MSG_WAITALL) == b"k"
        assert left.recv(6, socket.MSG_WAITALL) == b""

    testing.run(main)


@every_stream
def test_waitall_with_peek_waits_and_repeats_nothing(kind: str, own: Own) -> None:
    flags = socket.MSG_WAITALL | socket.MSG_PEEK

    def main() -> None:
        left, right = stream_pair(kind, own)
        right.send(b"ab")
        reader = coro.spawn(left.recv, 4, flags)
        let_run()
        assert not reader.dead
        right.send(b"cde")
        assert reader.result() == b"abcd"
        assert left.recv(10) == b"abcde"
        right.send(b"xy")
        reader = coro.spawn(left.recv, 4, flags)
        let_run()
        right.close()
        assert reader.result() == b"xy"
        assert left.recv(4, flags) == b"xy"

    testing.run(main)


def test_waitall_that_is_interrupted_says_what_it_had(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        right.send(b"abc")
        reader = coro.spawn(left.recv, 10, socket.MSG_WAITALL)
        let_run()
        reader.raise_exception(coro.WakeUp())
        with pytest.raises(coro.WakeUp) as caught:
            reader.result()
        assert caught.value.partial_bytes == b"abc"  # type: ignore[attr-defined]

    testing.run(main)
