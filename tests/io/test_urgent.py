"""Urgent data and passed descriptors stop a read short, but hide nothing."""

import os
import random
import socket

import pytest

import coro
from coro import testing
from tests.io.pairs import STREAMS, Own, let_run, stream_pair

BIG = 16 << 20

every_stream = pytest.mark.parametrize("kind", STREAMS)


# -- urgent data


def test_urgent_data_does_not_hide_the_bytes_behind_the_mark(own: Own) -> None:
    def main() -> None:
        for waits in (False, True):
            left, right = stream_pair("tcp", own)
            left.send(b"go")
            assert right.recv(10) == b"go"
            reader = None
            if waits:
                reader = coro.spawn(right.recv, 100)
                let_run()
            left.send(b"before")
            if reader is not None:
                assert reader.result() == b"before"
            left.send(b"!", socket.MSG_OOB)
            left.send(b"after")
            found = b"before" if waits else b""
            # A read stops at the mark, short, though there is more.
            while len(found) < len(b"before"):
                found += right.recv(100)
            assert right.recv(1, socket.MSG_OOB) == b"!"
            while not found.endswith(b"after"):
                found += right.recv(100)
            assert found == b"beforeafter"

    testing.run(main)


def test_asking_for_urgent_data_that_is_not_there_hides_nothing(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        reader = coro.spawn(right.recv, 1)
        let_run()
        left.send(b"ab")
        assert reader.result() == b"a"
        for flag in (socket.MSG_OOB, getattr(socket, "MSG_ERRQUEUE", socket.MSG_DONTWAIT | socket.MSG_OOB)):
            with pytest.raises(OSError):
                right.recv(1, flag)
        assert right.recv(1) == b"b"

    testing.run(main)


def test_urgent_data_inline(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        right.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        left.send(b"before")
        left.send(b"!", socket.MSG_OOB)
        left.send(b"after")
        assert right.recv_exact(12) == b"before!after"

    testing.run(main)


def test_many_rounds_with_urgent_data_lose_nothing(own: Own) -> None:
    rounds = 200

    def main() -> None:
        left, right = stream_pair("tcp", own)
        rng = random.Random(2)
        expected = bytearray()
        found = bytearray()

        def read() -> None:
            while part := right.recv(1000):
                found.extend(part)

        reader = coro.spawn(read)
        for number in range(rounds):
            piece = bytes([100 + number % 150]) * rng.randint(1, 50)
            expected.extend(piece)
            left.send(piece)
            if rng.random() < 0.5:
                left.send(b"!", socket.MSG_OOB)
            if rng.random() < 0.5:
                coro.yield_slice()
        left.shutdown(socket.SHUT_WR)
        reader.result()
        # An urgent byte that a later one overtook is an ordinary one.
        assert found.replace(b"!", b"") == expected

    coro.run(main)


# -- passed descriptors


def test_descriptors_are_passed_over_unix_sockets(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        read_end, write_end = os.pipe()
        try:
            receiver = coro.spawn(socket.recv_fds, right, 100, 4)
            let_run()
            socket.send_fds(left, [b"take it"], [write_end])
            data, [passed], _, _ = receiver.result()
            assert data == b"take it"
            os.write(passed, b"through")
            os.close(passed)
            assert os.read(read_end, 100) == b"through"
        finally:
            os.close(read_end)
            os.close(write_end)

    testing.run(main)


def test_passed_descriptors_stop_a_read_but_lose_no_bytes(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        left.send(b"before")
        socket.send_fds(left, [b"with"], [0])
        left.send(b"after")
        found = b""
        while len(found) < 15:
            # The kernel stops short where a descriptor is attached.
            data, fds, _, _ = socket.recv_fds(right, 100, 4)
            for fd in fds:
                os.close(fd)
            found += data
        assert found == b"beforewithafter"

    testing.run(main)
