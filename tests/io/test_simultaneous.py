"""One reads while another writes; a second reader or writer is refused."""

import pytest

import coro
from coro import testing
from tests.io.pairs import STREAMS, Own, let_run, report_readiness, stream_pair

BIG = 16 << 20

every_stream = pytest.mark.parametrize("kind", STREAMS)


@every_stream
def test_one_thread_reads_while_another_writes(kind: str, own: Own) -> None:
    data = bytes(BIG // 4)

    def main() -> None:
        left, right = stream_pair(kind, own)

        def echo() -> None:
            while part := right.recv(100_000):
                right.send(part)

        server = coro.spawn(echo)
        reader = coro.spawn(left.recv_exact, len(data))
        assert left.send(data) == len(data)
        assert reader.result() == data
        left.close()
        server.result()

    testing.run(main)


def test_second_reader_gets_simultaneous_error_and_the_first_is_unharmed(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        first = coro.spawn(left.recv, 10)
        let_run()
        for operation, arguments in (
            ("recv", (1,)),
            ("recv_into", (bytearray(1),)),
            ("recv_exact", (1,)),
            ("recvmsg", (1,)),
            ("readv", ([1],)),
            ("recvfrom", (1,)),
            ("wait_for_read", ()),
        ):
            second = coro.spawn(getattr(left, operation), *arguments)
            with pytest.raises(coro.SimultaneousError) as caught:
                second.result()
            error = caught.value
            assert (error.co, error.other, error.event) == (second, first, ("read", left.fileno()))
        right.send(b"hello")
        assert first.result() == b"hello"

    testing.run(main)


def test_second_writer_gets_simultaneous_error_and_the_first_is_unharmed(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        first = coro.spawn(left.send, bytes(BIG))
        let_run()
        for operation, argument in (("send", b"x"), ("sendall", b"x"), ("writev", [b"x"]), ("sendmsg", [b"x"])):
            second = coro.spawn(getattr(left, operation), argument)
            with pytest.raises(coro.SimultaneousError) as caught:
                second.result()
            error = caught.value
            assert (error.co, error.other, error.event) == (second, first, ("write", left.fileno()))
        second = coro.spawn(left.wait_for_write)
        with pytest.raises(coro.SimultaneousError):
            second.result()
        assert len(right.recv_exact(BIG)) == BIG
        assert first.result() == BIG

    testing.run(main)


def test_woken_reader_keeps_its_turn_when_another_takes_the_bytes(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        first = coro.spawn(left.recv, 1)
        let_run()
        right.send(b"x")
        report_readiness()
        # Woken, but not running yet.
        assert first.scheduled
        assert left.recv(1) == b"x"
        second = coro.spawn(left.recv, 1)
        with pytest.raises(coro.SimultaneousError):
            second.result()
        right.send(b"y")
        assert first.result() == b"y"

    testing.run(main)
