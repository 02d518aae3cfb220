"""Pipes, FIFOs, terminals and other descriptors by fd_sock and file_sock."""

import gc
import os
import pty
import struct
import subprocess
import sys
import tty
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import coro
from coro import testing
from tests.core.script import ROOT, output_of, run_script
from tests.io.pairs import Own, let_run

BIG = 3_000_000

Pipe = tuple[coro.fd_sock, coro.fd_sock]


@pytest.fixture
def pipe(own: Own) -> Pipe:
    """A pipe: the end to read from, the end to write to."""
    read_end, write_end = os.pipe()
    return own(coro.fd_sock(read_end)), own(coro.fd_sock(write_end))


@contextmanager
def plain_pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    try:
        yield read_end, write_end
    finally:
        os.close(read_end)
        os.close(write_end)


# -- pipes


def test_pipe_is_read_and_written(pipe: Pipe) -> None:
    def main() -> None:
        reading, writing = pipe
        for read in (reading.read, reading.recv):
            thread = coro.spawn(read, 100)
            let_run()
            assert not thread.dead
            assert writing.write(b"hello") == 5
            assert thread.result() == b"hello"
        assert writing.send(b"abcdef") == 6
        assert writing.sendall(b"ghi") is None  # type: ignore[func-returns-value]
        assert writing.writev([b"jk", b"", bytearray(b"l")]) == 3
        assert reading.readv([2, 3]) == [b"ab", b"cde"]
        assert reading.read_exact(5) == b"fghij"
        assert reading.readv([10, 10]) == [b"kl", b""]
        writing.close()
        assert reading.read(10) == b""
        assert reading.readv([10]) == [b""]

    testing.run(main)


def test_large_write_waits_for_the_reader(pipe: Pipe) -> None:
    data = os.urandom(BIG)

    def main() -> None:
        reading, writing = pipe
        writer = coro.spawn(writing.write, memoryview(data))
        second = coro.spawn(writing.write, b"x")
        with pytest.raises(coro.SimultaneousError):
            second.result()
        assert reading.recv_exact(BIG) == data
        assert writer.result() == BIG

    testing.run(main)


def test_two_readers_are_one_too_many(pipe: Pipe) -> None:
    def main() -> None:
        reading, writing = pipe
        first = coro.spawn(reading.read, 10)
        let_run()
        for operation, argument in (("read", 1), ("read_exact", 1), ("readv", [1])):
            with pytest.raises(coro.SimultaneousError):
                coro.spawn(getattr(reading, operation), argument).result()
        with pytest.raises(coro.SimultaneousError):
            coro.spawn(reading.wait_for_read).result()
        writing.write(b"hello")
        assert first.result() == b"hello"

    testing.run(main)


def test_end_and_interrupts_say_what_was_had(pipe: Pipe) -> None:
    def main() -> None:
        reading, writing = pipe
        writing.write(b"abc")
        reader = coro.spawn(reading.read_exact, 10)
        let_run()
        reader.raise_exception(coro.WakeUp())
        with pytest.raises(coro.WakeUp) as caught:
            reader.result()
        assert caught.value.partial_bytes == b"abc"  # type: ignore[attr-defined]
        writer = coro.spawn(writing.write, bytes(BIG))
        let_run()
        writer.raise_exception(coro.WakeUp())
        with pytest.raises(coro.WakeUp) as caught:
            writer.result()
        assert reading.read_exact(caught.value.sent_bytes) is not None  # type: ignore[attr-defined]
        writing.write(b"xyz")
        writing.close()
        with pytest.raises(EOFError) as ended:
            reading.read_exact(10)
        assert ended.value.args == (b"xyz",)

    testing.run(main)


def test_writing_to_a_pipe_that_nobody_reads_raises(pipe: Pipe) -> None:
    def main() -> None:
        reading, writing = pipe
        writer = coro.spawn(writing.write, bytes(BIG))
        let_run()
        reading.close()
        with pytest.raises(BrokenPipeError) as caught:
            writer.result()
        assert 0 < caught.value.sent_bytes < BIG  # type: ignore[attr-defined]

    testing.run(main)


def test_waiting_without_reading(pipe: Pipe) -> None:
    def main() -> None:
        reading, writing = pipe
        writing.wait_for_write()
        with pytest.raises(coro.TimeoutError):
            reading.wait_for_read(0)
        waiter = coro.spawn(reading.wait_for_read)
        writer = coro.spawn(writing.write, bytes(BIG))
        waiter.result()
        assert len(reading.read_exact(BIG)) == BIG
        writer.result()

    testing.run(main)


def test_reader_of_one_and_writer_of_the_other_direction(own: Own) -> None:
    def main() -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        near, far = own(coro.fd_sock(master)), own(coro.fd_sock(slave))
        waiter = coro.spawn(near.wait_for_read)
        writer = coro.spawn(near.write, bytes(BIG // 10))
        let_run()
        # The write has registered the descriptor; the wait before it goes on.
        assert not waiter.dead
        assert not writer.dead
        far.write(b"x")
        waiter.result()
        assert len(far.read_exact(BIG // 10)) == BIG // 10
        writer.result()

    testing.run(main)


def test_close_wakes_who_waits() -> None:
    def main() -> None:
        for operation, arguments in (("read", (1,)), ("wait_for_read", ()), ("readv", ([1],))):
            read_end, write_end = os.pipe()
            reading = coro.fd_sock(read_end)
            waiter = coro.spawn(getattr(reading, operation), *arguments)
            let_run()
            reading.close()
            reading.close()
            os.close(write_end)
            with pytest.raises(coro.ClosedError):
                waiter.result()

    testing.run(main)


def test_closed_one_is_refused(pipe: Pipe) -> None:
    def main() -> None:
        reading, writing = pipe
        with reading:
            number = reading.fileno()
            assert repr(reading) == f"<fd_sock fd={number}>"
        assert reading.fileno() == -1
        heir = os.dup(0)
        try:
            assert heir == number
            for operation in (
                lambda: reading.read(1),
                lambda: reading.read_exact(1),
                lambda: reading.write(b"x"),
                reading.dup,
            ):
                with pytest.raises(OSError, match="this fd_sock is closed"):
                    operation()
            with pytest.raises(coro.ClosedError):
                reading.wait_for_read()
        finally:
            os.close(heir)
        with pytest.raises(BrokenPipeError):
            writing.write(b"x")

    testing.run(main)


def test_outside_the_loop(pipe: Pipe) -> None:
    reading, writing = pipe
    assert writing.write(b"hello") == 5
    assert reading.read(10) == b"hello"
    for _ in range(2):
        with pytest.raises(coro.YieldFromMain, match="event_loop"):
            reading.read(10)
    writing.write(b"again")
    assert reading.read(10) == b"again"
    with pytest.raises(coro.YieldFromMain) as caught:
        writing.write(bytes(BIG))
    assert caught.value.sent_bytes > 0  # type: ignore[attr-defined]


def test_others_have_their_turn_by_the_rule_of_selfishness(pipe: Pipe) -> None:
    def main() -> list[int]:
        reading, writing = pipe
        turns = 0

        def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                coro.yield_slice()

        thread = coro.spawn(other)
        seen = []
        for _ in range(5):
            writing.write(b"x")
            seen.append(turns)
            reading.read(1)
            seen.append(turns)
        thread.shutdown()
        return seen

    assert testing.run(main) == [0] * 4 + [1] * 4 + [2] * 2


# -- FIFOs


def test_fifo_lives_on_with_the_next_writer(own: Own, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)

    def main() -> None:
        reading = own(coro.fd_sock(os.open(path, os.O_RDONLY | os.O_NONBLOCK)))
        # Nobody writes yet: the end.
        assert reading.read(10) == b""
        for text in (b"first", b"second"):
            with coro.fd_sock(os.open(path, os.O_WRONLY | os.O_NONBLOCK)) as writing:
                thread = coro.spawn(reading.read, 10)
                let_run()
                assert not thread.dead
                writing.write(text)
                assert thread.result() == text
            assert reading.read(10) == b""

    testing.run(main)


# -- terminals


def test_terminal_is_read_and_written_and_its_end_is_an_end(own: Own) -> None:
    def main() -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        near = own(coro.fd_sock(master))
        far = coro.fd_sock(slave)
        reader = coro.spawn(near.read, 100)
        let_run()
        far.write(b"prompt> ")
        assert reader.result() == b"prompt> "
        near.write(b"command\n")
        assert far.read_exact(8) == b"command\n"
        reader = coro.spawn(near.read, 100)
        let_run()
        far.close()
        # EIO, says the kernel.
        assert reader.result() == b""
        with pytest.raises(EOFError):
            near.read_exact(1)

    testing.run(main)


# -- other kinds


def test_eventfd(own: Own) -> None:
    if not hasattr(os, "eventfd"):
        pytest.skip("no eventfd here")

    def main() -> None:
        counter = own(coro.fd_sock(os.eventfd(0)))
        reader = coro.spawn(counter.read, 8)
        let_run()
        counter.write(struct.pack("Q", 5))
        assert struct.unpack("Q", reader.result()) == (5,)

    testing.run(main)


def test_regular_file_cannot_be_waited_for(own: Own, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello")

    def main() -> None:
        reading = own(coro.fd_sock(os.open(path, os.O_RDONLY)))
        assert reading.read(10) == b"hello"
        assert reading.read(10) == b""
        for wait in (reading.wait_for_read, lambda: coro.wait_for_read(reading)):
            with pytest.raises(PermissionError, match="in_os_thread"):
                wait()

    testing.run(main)


@pytest.mark.parametrize("fd", ["0", None, 1.0, True, b"0"])
def test_what_is_no_number_is_refused(fd: Any) -> None:
    with pytest.raises(TypeError, match="descriptor"):
        coro.fd_sock(fd)


def test_what_is_not_open_is_refused() -> None:
    for fd in (-1, 99_999):
        with pytest.raises(OSError):
            coro.fd_sock(fd)


def test_wrong_sizes_are_refused(pipe: Pipe) -> None:
    reading, writing = pipe
    for wrong, error in (("5", TypeError), (None, TypeError), (-1, ValueError)):
        with pytest.raises(error, match="read_exact"):
            reading.read_exact(wrong)  # type: ignore[arg-type]
    assert reading.read_exact(0) == b""
    for wrong_data in ("text", 5, None):
        with pytest.raises(TypeError):
            writing.write(wrong_data)  # type: ignore[arg-type]


def test_file_sock_works_on_a_duplicate_and_leaves_the_file(own: Own) -> None:
    def main() -> None:
        read_end, write_end = os.pipe()
        with os.fdopen(read_end, "rb") as file, os.fdopen(write_end, "wb") as other:
            reading = coro.file_sock(file)
            assert reading.fileno() != file.fileno()
            writing = own(coro.file_sock(other))
            reader = coro.spawn(reading.read, 10)
            let_run()
            writing.write(b"hello")
            assert reader.result() == b"hello"
            reading.close()
            os.fstat(file.fileno())
            assert os.get_blocking(file.fileno())

    testing.run(main)


# -- O_NONBLOCK is put back


def test_close_puts_the_blocking_mode_back() -> None:
    with plain_pipe() as (read_end, _):
        for already in (True, False):
            os.set_blocking(read_end, already)
            shared = coro.fd_sock(os.dup(read_end))
            assert not os.get_blocking(read_end)
            shared.close()
            assert os.get_blocking(read_end) is already


def test_collection_puts_the_blocking_mode_back_and_closes() -> None:
    with plain_pipe() as (read_end, _):
        shared = coro.fd_sock(os.dup(read_end))
        number = shared.fileno()
        with pytest.warns(ResourceWarning, match=f"unclosed <fd_sock fd={number}>"):
            del shared
            gc.collect()
        assert os.get_blocking(read_end)
        with pytest.raises(OSError):
            os.fstat(number)


def test_collection_in_a_cycle_does_so_too() -> None:
    class Holder:
        held: Any

    with plain_pipe() as (read_end, _):
        holder = Holder()
        holder.held = (coro.fd_sock(os.dup(read_end)), holder)
        number = holder.held[0].fileno()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del holder
            gc.collect()
        assert os.get_blocking(read_end)
        with pytest.raises(OSError):
            os.fstat(number)


def test_open_file_that_two_share_blocks_again_after_the_last_is_closed() -> None:
    with plain_pipe() as (read_end, _):
        for first_goes_first in (True, False):
            first = coro.fd_sock(os.dup(read_end))
            second = first.dup()
            third = coro.fd_sock(os.dup(read_end))
            order = [first, second, third] if first_goes_first else [third, second, first]
            for one in order[:2]:
                one.close()
                # The others must not block the process.
                assert not os.get_blocking(read_end)
            order[2].close()
            assert os.get_blocking(read_end)


def test_open_files_that_are_not_shared_are_put_back_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    # Two open files of one FIFO: the same inode, but not the same O_NONBLOCK.
    one = os.open(path, os.O_RDWR)
    two = os.open(path, os.O_RDWR)
    first, second = coro.fd_sock(os.dup(one)), coro.fd_sock(os.dup(two))
    first.close()
    assert os.get_blocking(one)
    assert not os.get_blocking(two)
    second.close()
    assert os.get_blocking(two)
    os.close(one)
    os.close(two)


def test_number_that_another_bears_by_now_is_left_alone() -> None:
    with plain_pipe() as (read_end, _), plain_pipe() as (other_end, _):
        shared = coro.fd_sock(os.dup(read_end))
        number = shared.fileno()
        os.dup2(other_end, number)
        os.set_blocking(other_end, False)
        shared.close()
        assert not os.get_blocking(other_end)


SCRIPT_THAT_LEAVES_IT_OPEN = """
import os, sys, coro
coro.set_print_exit_string(False)
kept = coro.fd_sock(0) if sys.argv[1] == "itself" else coro.file_sock(sys.stdin)
twin = kept.dup() if sys.argv[2] == "twice" else None
assert not os.get_blocking(0)

def main():
    if sys.argv[3] == "exit":
        coro.set_exit(0)
    elif sys.argv[3] == "raise":
        raise ZeroDivisionError
    elif sys.argv[3] == "fork" and os.fork() == 0:
        # The parent goes on with it.
        sys.exit(0)
    elif sys.argv[3] == "fork":
        os.wait()
        assert not os.get_blocking(0)

coro.run(main)
"""


@pytest.mark.parametrize("which", ["itself", "duplicate"])
@pytest.mark.parametrize("often", ["once", "twice"])
@pytest.mark.parametrize("end", ["return", "exit", "raise", "fork"])
def test_end_of_the_process_puts_the_blocking_mode_back(which: str, often: str, end: str) -> None:
    with plain_pipe() as (read_end, _):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT_THAT_LEAVES_IT_OPEN, which, often, end],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=read_end,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert ("ZeroDivisionError" in done.stderr) is (end == "raise"), done.stderr
        assert "Warning" not in done.stderr
        assert os.get_blocking(read_end)


def test_end_of_the_process_does_not_close_what_others_still_write_to() -> None:
    done = run_script(
        """
        import atexit, coro, sys
        out = coro.fd_sock(1)
        atexit.register(print, "last words")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "last words\n", "")


def test_child_of_a_fork_leaves_the_blocking_mode_to_its_parent() -> None:
    lines = output_of(
        """
        import os, coro
        read_end, write_end = os.pipe()
        shared = coro.fd_sock(os.dup(read_end))
        if os.fork() == 0:
            shared.close()
            os._exit(0)
        os.wait()
        print(os.get_blocking(read_end))
        shared.close()
        print(os.get_blocking(read_end))
        """
    )
    assert lines == ["False", "True"]
