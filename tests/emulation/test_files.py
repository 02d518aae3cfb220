"""The emulated open(): files on pipes, terminals and sockets."""

import io
import os
import pty
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

import coro
from coro import testing
from coro.emulation import files
from coro.emulation.raw_file import WaitingFileIO
from tests.emulation.sockets_of_ours import (
    connected,
    let_others_wait,
    outcome_of,
    piped,
    run_script,
    running_script,
)


def test_lines_of_a_pipe_are_waited_for() -> None:
    def main() -> None:
        with piped() as (reading, writing), files.open(reading, closefd=False) as file:
            reader = coro.spawn(list, file)
            let_others_wait()
            os.write(writing, b"one\ntw")
            let_others_wait()
            os.write(writing, b"o\n")
            os.close(writing)
            assert reader.result() == ["one\n", "two\n"]

    testing.run(main)


@pytest.mark.parametrize("buffering", [-1, 100])
def test_two_writers_of_one_file_take_turns(buffering: int) -> None:
    def main() -> None:
        with piped() as (reading, writing), files.open(writing, "wb", buffering, closefd=False) as file:

            def write(letter: bytes) -> None:
                for _ in range(20):
                    file.write(letter * 10_000)
                file.flush()

            writers = [coro.spawn(write, letter) for letter in (b"a", b"b")]
            received = b""
            with files.open(reading, "rb", closefd=False) as other:
                while len(received) < 400_000:
                    received += other.read1(1 << 16)
            for writer in writers:
                writer.result()
            assert received.count(b"a" * 10_000) == received.count(b"b" * 10_000) == 20

    testing.run(main)


def test_two_readers_of_one_file_get_whole_lines() -> None:
    def main() -> None:
        with piped() as (reading, writing), files.open(reading, "rb", closefd=False) as file:
            readers = [coro.spawn(file.readline) for _ in range(2)]
            let_others_wait()
            for part in (b"o", b"ne\n", b"tw", b"o\n"):
                os.write(writing, part)
                let_others_wait()
            assert sorted(reader.result() for reader in readers) == [b"one\n", b"two\n"]

    testing.run(main)


@pytest.mark.parametrize(
    "mode", ["r", "rb", "rt", "w", "wb", "bw", "a", "r+", "rb+", "x", "rw", "", "z", "rbt", "rr"]
)
@pytest.mark.parametrize(
    "options",
    [{}, {"buffering": 0}, {"buffering": 50}, {"encoding": "latin-1"}, {"newline": ""}, {"errors": "ignore"}],
)
def test_open_makes_and_refuses_what_the_original_does(mode: str, options: dict[str, Any]) -> None:
    def describe(opener: Any) -> Any:
        with piped() as (reading, writing):
            fd = reading if "r" in mode else writing
            with opener(fd, mode, closefd=False, **options) as file:
                layers = [file]
                while hasattr(layers[-1], "buffer") or hasattr(layers[-1], "raw"):
                    layers.append(getattr(layers[-1], "buffer", None) or layers[-1].raw)
                return [
                    (type(layer).__name__, type(layer).__module__, layer.mode if hasattr(layer, "mode") else None)
                    for layer in layers
                ], [
                    getattr(file, name, None)
                    for name in ("encoding", "errors", "newlines", "line_buffering", "name")
                ]

    assert outcome_of(describe, files.open) == outcome_of(describe, open)


def test_line_buffering_in_binary_mode_warns_as_the_original() -> None:
    with piped() as (reading, _):
        for opener in (open, files.open):
            with pytest.warns(RuntimeWarning, match="isn't supported in binary mode") as caught:
                opener(reading, "rb", 1, closefd=False).close()  # type: ignore[operator]
            assert caught[0].filename == __file__


def test_regular_files_are_the_originals() -> None:
    with tempfile.NamedTemporaryFile() as file, files.open(file.name, "rb") as same:
        assert type(same) is io.BufferedReader
        assert type(same.raw) is io.FileIO
    with files.open(os.devnull, "w") as null:
        assert type(null.buffer) is io.BufferedWriter


def test_fifo_is_opened_without_blocking_the_loop(tmp_path: Path) -> None:
    def main() -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path)
        reader = coro.spawn(_read_text, path)
        let_others_wait()
        with files.open(path, "w") as file:
            file.write("hello")
        assert reader.result() == "hello"

    coro.run(main)


def _read_text(path: Path) -> str:
    with files.open(path) as file:
        return str(file.read())


def test_descriptor_of_an_interrupted_open_is_closed(tmp_path: Path) -> None:
    def main() -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path)
        reader = coro.spawn(_read_text, path)
        coro.sleep_relative(0.02)
        reader.shutdown()
        before = psutil.Process().num_fds()
        # The other side: now the opening in the OS thread comes to its end.
        writer = coro.in_os_thread(os.open, path, os.O_WRONLY)
        os.close(writer)
        for _ in range(200):
            if psutil.Process().num_fds() == before:
                return
            coro.sleep_relative(0.01)
        raise AssertionError("the descriptor is still open")

    coro.run(main)


def test_file_that_another_thread_closes_ends_a_raw_read() -> None:
    def main() -> None:
        with piped() as (reading, _):
            file = files.open(os.dup(reading), "rb", 0)
            reader = coro.spawn(file.read, 1)
            let_others_wait()
            file.close()
            with pytest.raises(OSError, match="Bad file descriptor"):
                reader.result()

    testing.run(main)


def test_raw_file_tells_what_the_original_tells() -> None:
    def main() -> None:
        with connected() as (left, right):
            left.setblocking(False)
            with files.open(left.fileno(), "rb", 0, closefd=False) as raw:
                assert type(raw) is WaitingFileIO
                assert (raw.read(1), raw.readall(), raw.readinto(bytearray(1))) == (None, None, None)
                with pytest.raises(io.UnsupportedOperation):
                    raw.write(b"x")
                right.send(b"abc")
                assert raw.readall() == b"abc"
                right.close()
                assert (raw.read(), raw.read(5), raw.readinto(bytearray(1))) == (b"", b"", 0)
            for call in (lambda: raw.read(1), lambda: raw.readall(), lambda: raw.readinto(bytearray(1))):
                with pytest.raises(ValueError, match="closed file"):
                    call()

    testing.run(main)


def test_standard_streams_on_pipes_are_replaced_and_print_from_many_threads() -> None:
    printed = run_script(
        """
        import sys, threading
        assert type(sys.stdout.buffer.raw).__module__ == "_io", type(sys.stdout.buffer.raw)
        assert "emulation" in type(sys.stdout.buffer.raw).read.__module__
        threads = [threading.Thread(target=print, args=("line",)) for _ in range(200)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    )
    assert printed == "line\n" * 200


def test_input_waits_for_a_line_without_blocking_the_loop() -> None:
    outer, inner = pty.openpty()
    script = """
        import threading, time
        ticks = []
        def tick():
            while True:
                time.sleep(0.001)
                ticks.append(1)
                if len(ticks) == 10:
                    print("ready", flush=True)
        threading.Thread(target=tick, daemon=True).start()
        line = input("> ")
        print(repr(line), len(ticks) >= 10)
        try:
            input()
        except EOFError:
            print("end")
        """
    try:
        with running_script(script, stdin=inner) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "> ready\n"
            os.write(outer, b"hello\n")
            assert child.stdout.readline() == "'hello' True\n"
            # Control-D.
            os.write(outer, b"\x04")
            assert child.stdout.readline() == "end\n"
    finally:
        os.close(outer)
        os.close(inner)


def test_full_stdout_at_exit_is_flushed() -> None:
    printed = run_script("print('x' * 300_000, end='')")
    assert printed == "x" * 300_000


def test_line_that_is_printed_unbuffered_in_pieces_stays_whole() -> None:
    def main() -> None:
        with piped() as (reading, writing):
            raw = files.open(writing, "wb", 0, closefd=False)
            with io.TextIOWrapper(raw, write_through=True) as text:
                threads = [coro.spawn(print, "one", "two", number, file=text) for number in range(50)]
                for thread in threads:
                    thread.join()
            lines = os.read(reading, 1 << 16).decode().splitlines()
            assert sorted(lines) == sorted(f"one two {number}" for number in range(50))

    testing.run(main)


def test_input_says_which_stream_is_lost() -> None:
    reading, writing = os.pipe()
    script = """
        import sys
        out, sys.stdout = sys.stdout, None
        try:
            input("> ")
        except RuntimeError as error:
            print(error, file=out, flush=True)
        """
    try:
        with running_script(script, stdin=reading) as child:
            assert child.stdout is not None
            assert child.stdout.read() == "input(): lost sys.stdout\n"
    finally:
        os.close(reading)
        os.close(writing)
