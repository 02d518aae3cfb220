"""Files made of sockets."""

import socket

import pytest

import coro
from coro import testing
from tests.io.pairs import STREAMS, Own, stream_pair

BIG = 16 << 20

every_stream = pytest.mark.parametrize("kind", STREAMS)


@every_stream
def test_makefile_reads_and_writes_binary_and_text(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)

        def server() -> None:
            with right.makefile("rb") as reader, right.makefile("wb") as writer:
                for line in reader:
                    writer.write(line.upper())
                    writer.flush()

        thread = coro.spawn(server)
        with left.makefile("rw", encoding="utf-8", newline="\n") as text:
            for line in ("hello\n", "größe\n"):
                text.write(line)
                text.flush()
            assert text.readline() == "HELLO\n"
            # bytes.upper() leaves what is not ASCII.
            assert text.readline() == "GRößE\n"
        left.shutdown(socket.SHUT_WR)
        thread.result()

    testing.run(main)


def test_makefile_holds_the_socket_open_until_it_is_closed(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        stream = left.makefile("rwb", buffering=0)
        left.close()
        assert left.fileno() >= 0
        stream.write(b"still here")
        assert right.recv(100) == b"still here"
        stream.close()
        assert left.fileno() == -1
        assert right.recv(100) == b""

    testing.run(main)


def test_unbuffered_file_of_a_socket_that_does_not_wait_returns_none(own: Own) -> None:
    def main() -> None:
        left, _ = stream_pair("unix", own)
        left.settimeout(0)
        with left.makefile("rb", buffering=0) as stream:
            assert stream.read(10) is None

    testing.run(main)
