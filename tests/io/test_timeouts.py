"""settimeout(): the builtin TimeoutError after exactly that long; other timeouts pass through."""

import builtins
import math
import select
import socket
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from tests.io.pairs import Own, fill, let_run, listener_of, report_readiness, stream_pair


def read_file_of(sock: coro.sock) -> bytes | None:
    with sock.makefile("rb", buffering=0) as file:
        return file.read(1)


RECEIVING: list[Callable[[coro.sock], Any]] = [
    lambda sock: sock.recv(1),
    lambda sock: sock.read(1),
    lambda sock: sock.recv(1, socket.MSG_PEEK),
    lambda sock: sock.recv(2, socket.MSG_WAITALL),
    lambda sock: sock.recv_exact(1),
    lambda sock: sock.recv_into(bytearray(1)),
    lambda sock: sock.recvfrom(1),
    lambda sock: sock.recvfrom_into(bytearray(1)),
    lambda sock: sock.recvmsg(1),
    lambda sock: sock.recvmsg_into([bytearray(1)]),
    lambda sock: sock.readv([1]),
    read_file_of,
]
SENDING: list[Callable[[coro.sock], Any]] = [
    lambda sock: sock.send(bytes(100_000)),
    lambda sock: sock.write(bytes(100_000)),
    lambda sock: sock.sendall(bytes(100_000)),
    lambda sock: sock.writev([b"x", bytes(100_000)]),
    lambda sock: sock.sendmsg([b"x"]),
]


@pytest.mark.parametrize("operation", RECEIVING + SENDING)
@pytest.mark.parametrize("seconds", [2.5, 0.001, 3])
def test_operation_times_out_after_exactly_that_long(
    operation: Callable[[coro.sock], Any], seconds: float, own: Own
) -> None:
    def main() -> None:
        left, _ = stream_pair("unix", own)
        fill(left)
        left.settimeout(seconds)
        began = coro.get_now()
        with pytest.raises(builtins.TimeoutError, match=f"after {seconds} s") as caught:
            operation(left)
        assert type(caught.value) is builtins.TimeoutError
        assert coro.get_now() - began == int(seconds * coro.ticks_per_sec)
        # And the socket is as good as before.
        left.settimeout(None)
        reader = coro.spawn(left.recv, 1)
        let_run()
        assert not reader.dead
        reader.shutdown()
        reader.join()

    testing.run(main)


def test_accept_times_out(own: Own) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        listener.settimeout(0.5)
        for operation in (listener.accept, listener.accept_many):
            with pytest.raises(builtins.TimeoutError):
                operation()
        with socket.create_connection(listener.getsockname()):
            own(listener.accept()[0])

    testing.run(main)


def test_timeout_of_send_is_over_all_of_the_data(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        left.settimeout(1)

        def drips() -> None:
            while right.recv(50_000):
                coro.sleep_relative(0.1)

        reader = coro.spawn(drips)
        for operation, data in (("send", bytes(5_000_000)), ("writev", [bytes(2_500_000)] * 2)):
            began = coro.get_now()
            with pytest.raises(builtins.TimeoutError) as caught:
                getattr(left, operation)(data)
            assert coro.get_now() - began == coro.ticks_per_sec
            assert 0 < caught.value.sent_bytes < 5_000_000  # type: ignore[attr-defined]
        reader.shutdown()
        reader.join()

    testing.run(main)


def test_timeout_is_read_back_and_checked(own: Own) -> None:
    sock = own(coro.tcp_sock())
    assert sock.gettimeout() is None
    assert sock.timeout is None
    assert sock.getblocking()
    for value in (5, 0.25, 0, None, math.inf):
        sock.settimeout(value)
        assert sock.gettimeout() == value == sock.timeout
        assert sock.getblocking() == (value != 0)
    sock.setblocking(False)
    assert sock.gettimeout() == 0
    sock.setblocking(True)
    assert sock.gettimeout() is None
    for wrong in (-1, -0.5, math.nan):
        with pytest.raises(ValueError, match="timeout"):
            sock.settimeout(wrong)
    for wrong_type in ("1", b"", [], 1j):
        with pytest.raises(TypeError, match="timeout"):
            sock.settimeout(wrong_type)  # type: ignore[arg-type]
    assert sock.gettimeout() is None


def test_set_nonblocking_is_no_more_than_it_was(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        left.set_nonblocking()
        assert left.gettimeout() is None
        reader = coro.spawn(left.recv, 10)
        let_run()
        right.send(b"x")
        assert reader.result() == b"x"

    testing.run(main)


def test_infinite_timeout_waits_for_ever(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        left.settimeout(math.inf)
        threads = [coro.spawn(left.recv, 1), coro.spawn(left.send, bytes(3_000_000))]
        coro.sleep_relative(1_000_000)
        assert not any(thread.dead for thread in threads)
        right.send(b"x")
        right.recv_exact(3_000_000)
        assert [thread.result() for thread in threads] == [b"x", 3_000_000]

    testing.run(main)


# -- with timeouts of others


@pytest.mark.parametrize(("of_socket", "of_owner"), [(1, 2), (2, 1), (1, 1)])
def test_the_timeout_that_is_over_first_is_the_one_that_is_raised(
    of_socket: float, of_owner: float, own: Own
) -> None:
    def main() -> None:
        left, _ = stream_pair("unix", own)
        left.settimeout(of_socket)
        inner: list[BaseException] = []

        def reads() -> None:
            try:
                left.recv(1)
            except builtins.TimeoutError as error:
                inner.append(error)
                raise

        with pytest.raises(builtins.TimeoutError) as caught:
            coro.with_timeout(of_owner, reads)
        if of_socket < of_owner:
            assert type(caught.value) is builtins.TimeoutError
            assert inner == [caught.value]
        else:
            # The owner's; the socket's timeout never saw it (with equal deadlines, the first that was armed).
            assert type(caught.value) is coro.TimeoutError
            assert inner == []

    testing.run(main)


def test_data_wins_over_the_timeout_of_the_same_moment(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        left.settimeout(1)

        def sends() -> None:
            coro.sleep_relative(1)
            right.send(b"x")
            report_readiness()

        coro.spawn(sends)
        coro.yield_slice()
        assert left.recv(1) == b"x"

    testing.run(main)


@pytest.mark.parametrize("moment", ["before", "at"])
def test_interrupted_reader_loses_no_bytes(moment: str, own: Own) -> None:
    def main() -> None:
        for operation in RECEIVING[:3] + RECEIVING[4:-1]:
            left, right = stream_pair("unix", own)
            reader = coro.spawn(operation, left)
            let_run()
            if moment == "before":
                reader.shutdown()
            # Not ours, which might yield.
            socket.socket.send(right, b"x")
            report_readiness()
            assert reader.scheduled
            reader.shutdown()
            reader.join()
            assert left.recv(10) == b"x"

    testing.run(main)


def test_writer_that_is_interrupted_when_there_is_room_leaves_it(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        filled = fill(left)
        writer = coro.spawn(left.send, b"never")
        let_run()
        assert right.recv_exact(filled) == bytes(filled)
        select.select([], [left], [], 5)
        report_readiness()
        assert writer.dead or writer.scheduled
        if not writer.dead:
            writer.shutdown()
            writer.join()
            left.send(b"x")
            assert right.recv(10) == b"x"

    testing.run(main)
