"""Sending on streams: everything is sent, and who is stopped early is told how far it got."""

import array
import random
import socket
from pathlib import Path
from typing import Any

import pytest

import coro
from coro import testing
from tests.io.pairs import STREAMS, Own, fill, let_run, stream_pair

BIG = 16 << 20

every_stream = pytest.mark.parametrize("kind", STREAMS)


def received(sock: coro.sock) -> bytes:
    """Everything up to the end."""
    parts = []
    while part := sock.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


@every_stream
@pytest.mark.parametrize("method", ["send", "write", "sendall", "writev", "sendfile", "file"])
def test_sixteen_mebibytes_arrive_intact_at_a_slow_reader(kind: str, method: str, own: Own, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(BIG)

    def send(sock: coro.sock) -> None:
        if method == "writev":
            assert sock.writev([data[:1], data[1:5_000_000], b"", data[5_000_000:]]) == BIG
        elif method == "sendfile":
            path = tmp_path / "data"
            path.write_bytes(data)
            with path.open("rb") as file:
                assert sock.sendfile(file) == BIG
                assert file.tell() == BIG
        elif method == "file":
            with sock.makefile("wb") as stream:
                assert stream.write(data) == BIG
        elif method == "sendall":
            assert sock.sendall(data) is None  # type: ignore[func-returns-value]
        else:
            assert getattr(sock, method)(data) == BIG
        sock.shutdown(socket.SHUT_WR)

    def main() -> None:
        left, right = stream_pair(kind, own)
        sender = coro.spawn(send, left)
        parts = []
        while part := right.recv(1 << 17):
            parts.append(part)
            if len(parts) % 16 == 0:
                coro.sleep_relative(0.001)
        sender.result()
        assert b"".join(parts) == data

    testing.run(main)


@every_stream
def test_send_takes_every_kind_of_buffer(kind: str, own: Own) -> None:
    numbers = array.array("I", range(1000))

    def main() -> None:
        left, right = stream_pair(kind, own)
        for buffer in (
            b"",
            bytearray(),
            memoryview(b""),
            b"bytes",
            bytearray(b"more"),
            memoryview(b"view"),
            numbers,
        ):
            size = memoryview(buffer).nbytes
            assert left.send(buffer) == size
            assert right.recv_exact(size) == bytes(buffer)
            assert left.writev([buffer, buffer]) == 2 * size
            assert right.recv_exact(2 * size) == bytes(buffer) * 2
            assert left.sendmsg([buffer]) == size
            assert right.recv_exact(size) == bytes(buffer)
        for wrong in ("text", 5, None):
            with pytest.raises(TypeError):
                left.send(wrong)  # type: ignore[arg-type]
        with pytest.raises((BufferError, TypeError, ValueError)):
            left.send(memoryview(b"abcdef")[::2])

    testing.run(main)


def test_partial_send_of_large_items_is_not_taken_for_all(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = array.array("I", range(8))
    real_send = socket.socket.send
    calls: list[int] = []

    def partial(sock: socket.socket, data: Any, flags: int = 0) -> int:
        calls.append(1)
        # As many bytes as there are items: a quarter.
        return real_send(sock, memoryview(data).cast("B")[:8] if len(calls) == 1 else data, flags)

    monkeypatch.setattr("coro.socket.sending._send", partial)

    def main() -> None:
        left, right = stream_pair("unix", own)
        assert left.send(numbers) == 32  # type: ignore[arg-type]
        assert right.recv(100) == numbers.tobytes()

    testing.run(main)


@every_stream
def test_writev_of_more_buffers_than_one_call_takes(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        parts = [bytes([number % 256]) * (number % 5) for number in range(5000)]
        sender = coro.spawn(left.writev, iter(parts))
        whole = b"".join(parts)
        assert right.recv_exact(len(whole)) == whole
        assert sender.result() == len(whole)
        assert left.writev([]) == 0
        assert left.writev([b"", b""]) == 0

    testing.run(main)


@every_stream
def test_sendmsg_sends_once_and_waits_for_room(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        assert left.sendmsg([b"ab", b"cd"]) == 4
        assert right.recv(10) == b"abcd"
        filled = fill(left)
        sender = coro.spawn(left.sendmsg, [b"end"])
        let_run()
        assert not sender.dead
        assert right.recv_exact(filled) == bytes(filled)
        assert sender.result() == 3
        assert right.recv_exact(3) == b"end"

    testing.run(main)


@every_stream
def test_sendfile_sends_a_part_and_leaves_the_file_there(kind: str, own: Own, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    def main() -> None:
        left, right = stream_pair(kind, own)
        with path.open("rb") as file:
            assert left.sendfile(file, 2, 5) == 5
            assert right.recv(10) == b"23456"
            assert file.tell() == 7
            assert left.sendfile(file, 8) == 2
            assert right.recv(10) == b"89"
            assert left.sendfile(file, 100) == 0
            with pytest.raises(ValueError, match="count"):
                left.sendfile(file, 0, 0)
        with path.open() as text, pytest.raises(ValueError, match="binary"):
            left.sendfile(text)

    testing.run(main)


def test_send_that_is_interrupted_says_how_much_was_sent(own: Own, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8_000_000))

    def main() -> None:
        for operation in ("send", "sendall", "writev", "sendfile"):
            left, right = stream_pair("unix", own)
            with path.open("rb") as file:
                argument = {"writev": [bytes(8_000_000)], "sendfile": file}.get(operation, bytes(8_000_000))
                sender = coro.spawn(getattr(left, operation), argument)
                let_run()
                sender.raise_exception(coro.WakeUp())
                with pytest.raises(coro.WakeUp) as caught:
                    sender.result()
            left.close()
            assert len(received(right)) == caught.value.sent_bytes > 0  # type: ignore[attr-defined]

    testing.run(main)


@every_stream
def test_send_to_a_peer_that_has_gone_raises(kind: str, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair(kind, own)
        blocked = coro.spawn(left.send, bytes(BIG))
        let_run()
        right.close()
        with pytest.raises(ConnectionError) as caught:
            blocked.result()
        assert 0 < caught.value.sent_bytes < BIG  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            for _ in range(3):
                left.send(b"x")

    testing.run(main)


def test_large_send_to_a_reader_that_keeps_up_lets_others_run(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []

    def take_some(sock: socket.socket, data: Any, flags: int = 0) -> int:
        # A peer that empties the buffer at once: never EAGAIN.
        pieces.append(len(data))
        return min(len(data), 100_000)

    monkeypatch.setattr("coro.socket.sending._send", take_some)

    def main() -> None:
        left, _ = stream_pair("unix", own)
        turns = 0

        def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                coro.yield_slice()

        thread = coro.spawn(other)
        left.send(bytes(10_000_000))
        thread.shutdown()
        assert turns >= 100 // 4 - 1
        # After the first, each piece is small enough not to keep the others waiting for long.
        assert max(pieces[1:]) <= 1 << 20

    testing.run(main)
