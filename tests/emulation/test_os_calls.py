"""The emulated os.read() and its kin."""

import os
import pty
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from coro.emulation import os_calls
from tests.emulation.sockets_of_ours import connected, let_others_wait, outcome_of, piped

BIG = 1 << 20


@pytest.fixture(params=["as it is", "of an old kernel"], autouse=True)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without RWF_NOWAIT."""
    if request.param != "as it is":
        monkeypatch.setattr(os_calls, "_can_try", set())


def read_all(fd: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os_calls.read(fd, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def test_read_waits_for_data_and_tells_the_end() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            reader = coro.spawn(os_calls.read, reading, 100)
            let_others_wait()
            os.write(writing, b"hello")
            assert reader.result() == b"hello"
            reader = coro.spawn(os_calls.read, reading, 100)
            let_others_wait()
            os.close(writing)
            assert reader.result() == b""

    testing.run(main)


def test_several_threads_read_one_pipe() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            readers = [coro.spawn(os_calls.read, reading, 1) for _ in range(5)]
            let_others_wait()
            for _ in readers:
                os.write(writing, b"x")
                let_others_wait()
            assert [reader.result() for reader in readers] == [b"x"] * 5

    testing.run(main)


def test_write_waits_for_room_until_all_is_written() -> None:
    def main() -> None:
        data = os.urandom(BIG)
        with piped() as (reading, writing):
            writer = coro.spawn(os_calls.write, writing, data)
            let_others_wait()
            assert not writer.dead
            assert read_all(reading, BIG) == data
            assert writer.result() == BIG

    testing.run(main)


def test_vectors_are_read_and_written() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            buffers = [bytearray(2), bytearray(10)]
            reader = coro.spawn(os_calls.readv, reading, buffers)
            let_others_wait()
            assert os_calls.writev(writing, [b"he", bytearray(b"llo")]) == 5
            assert reader.result() == 5
            assert buffers[0] + buffers[1][:3] == b"hello"

    testing.run(main)


def test_mode_of_a_shared_open_file_is_left_alone() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            reader = coro.spawn(read_all, reading, BIG)
            writer = coro.spawn(os_calls.write, writing, bytes(BIG))
            while not writer.dead:
                assert os.get_blocking(reading)
                assert os.get_blocking(writing)
                coro.yield_slice()
            assert len(reader.result()) == BIG

    testing.run(main)


def test_descriptor_that_its_user_made_nonblocking_does_not_wait() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            for end in (reading, writing):
                os.set_blocking(end, False)
            with pytest.raises(BlockingIOError):
                os_calls.read(reading, 1)
            assert 0 < os_calls.write(writing, bytes(BIG)) < BIG
            with pytest.raises(BlockingIOError):
                os_calls.write(writing, bytes(BIG))

    testing.run(main)


def test_socket_by_its_number_waits_as_its_user_set_it() -> None:
    def main() -> None:
        with connected() as (left, right):
            reader = coro.spawn(os_calls.read, left.fileno(), 1)
            beside = coro.spawn(left.recv, 1)
            let_others_wait()
            for _ in range(2):
                assert os_calls.write(right.fileno(), b"x") == 1
                let_others_wait()
            assert (reader.result(), beside.result()) == (b"x", b"x")
            left.setblocking(False)
            with pytest.raises(BlockingIOError):
                os_calls.read(left.fileno(), 10)

    testing.run(main)


def test_write_to_a_socket_by_its_number_waits_for_room() -> None:
    def main() -> None:
        with connected() as (left, right):
            writer = coro.spawn(os_calls.write, left.fileno(), bytes(8 * BIG))
            assert len(read_all(right.fileno(), 8 * BIG)) == 8 * BIG
            assert writer.result() == 8 * BIG

    testing.run(main)


def test_writer_that_never_has_to_wait_lets_the_others_run() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            others = [coro.spawn(int)]
            while not others[0].dead:
                os_calls.write(writing, b"x")
                os.read(reading, 1)

    coro.run(main)


def test_regular_file_is_read_and_written_as_ever() -> None:
    def main() -> None:
        with tempfile.TemporaryFile() as file:
            assert os_calls.write(file.fileno(), bytes(BIG)) == BIG
            file.seek(0)
            assert len(os_calls.read(file.fileno(), BIG)) == BIG
            assert os_calls.read(file.fileno(), BIG) == b""

    testing.run(main)


def test_terminal_is_waited_for() -> None:
    def main() -> None:
        outer, inner = pty.openpty()
        try:
            reader = coro.spawn(os_calls.read, inner, 100)
            let_others_wait()
            assert not reader.dead
            os.write(outer, b"typed\n")
            assert reader.result() == b"typed\n"
            text = b"x" * 20_000
            writer = coro.spawn(os_calls.write, inner, text)
            assert read_all(outer, len(b"typed\r\n") + len(text)) == b"typed\r\n" + text
            assert writer.result() == len(text)
        finally:
            os.close(outer)
            os.close(inner)

    testing.run(main)


def test_reader_that_is_gone_is_told_to_the_writer() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            writer = coro.spawn(os_calls.write, writing, bytes(BIG))
            let_others_wait()
            os.close(reading)
            # So much the pipe had taken.
            assert 0 < writer.result() < BIG
            with pytest.raises(BrokenPipeError):
                os_calls.write(writing, b"x")

    testing.run(main)


def test_interrupted_writer_tells_how_far_it_got() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            caught: list[BaseException] = []

            def write() -> None:
                try:
                    os_calls.write(writing, bytes(BIG))
                except coro.Shutdown as error:
                    caught.append(error)

            writer = coro.spawn(write)
            let_others_wait()
            writer.shutdown()
            let_others_wait()
            assert len(read_all(reading, caught[0].sent_bytes)) == caught[0].sent_bytes > 0  # type: ignore[attr-defined]
            with pytest.raises(TimeoutError), coro.timeout(1):
                os_calls.read(reading, 1)

    testing.run(main)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read", (1 << 20, 1)),
        ("read", ("x", 1)),
        ("read", (-1, 1)),
        ("readv", (1 << 20, [])),
        ("write", (1 << 20, b"x")),
        ("write", (1 << 40, b"x")),
        ("writev", (1 << 20, [b"x"])),
    ],
)
def test_what_is_no_descriptor_is_refused_as_by_the_original(name: str, arguments: tuple[Any, ...]) -> None:
    def main() -> None:
        assert outcome_of(getattr(os_calls, name), *arguments) == outcome_of(getattr(os, name), *arguments)

    testing.run(main)


@pytest.mark.parametrize("call", [lambda fd: os_calls.read(fd, -1), lambda fd: os_calls.write(fd, "text")])
def test_odd_arguments_are_refused(call: Callable[[int], Any]) -> None:
    def main() -> None:
        with piped() as ends:
            for end in ends:
                with pytest.raises((TypeError, OSError)):
                    call(end)

    testing.run(main)


def test_sendfile_waits_for_the_receiver() -> None:
    def main() -> None:
        with tempfile.TemporaryFile() as file, connected() as (left, right):
            file.write(bytes(BIG))
            file.flush()

            def send() -> int:
                sent = 0
                while sent < BIG:
                    sent += os_calls.sendfile(left.fileno(), file.fileno(), sent, BIG - sent)
                return sent

            sender = coro.spawn(send)
            assert read_all(right.fileno(), BIG) == bytes(BIG)
            assert sender.result() == BIG

    testing.run(main)


@pytest.mark.skipif(not hasattr(os, "splice"), reason="this system has no splice(2)")
def test_splice_waits_for_both_sides() -> None:
    def main() -> None:
        with piped() as (source, filling), piped() as (emptying, destination):
            mover = coro.spawn(os_calls.splice, source, destination, 100)
            let_others_wait()
            os.write(filling, b"hello")
            assert mover.result() == 5
            assert os.read(emptying, 100) == b"hello"

    testing.run(main)
