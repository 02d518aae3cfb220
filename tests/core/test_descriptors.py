"""Waiting for descriptors of any kind."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import coro
from coro import testing
from coro.descriptors import Descriptor, descriptors
from coro.poller.base import READ, WRITE
from tests.core.pipes import Pipe, drain, fill, read_late, waited_for

# -- waiting


def test_reader_parks_until_there_is_something_to_read(pipe: Pipe) -> None:
    def main() -> None:
        reader = coro.spawn(read_late, pipe)
        coro.sleep_relative(1)
        assert not reader.scheduled
        pipe.put(b"hello")
        assert reader.result() == b"hello"

    testing.run(main)


def test_writer_parks_until_there_is_room(pipe: Pipe) -> None:
    def main() -> None:
        coro.wait_for_write(pipe.write_end)
        pipe.fill()
        writer = coro.spawn(coro.wait_for_write, pipe.write_end)
        coro.sleep_relative(1)
        assert not writer.dead
        pipe.drain()
        writer.join()

    testing.run(main)


def test_each_wait_asks_the_kernel_anew(pipe: Pipe) -> None:
    def main() -> None:
        pipe.put(b"ab")
        # Nothing is read between the waits, so no edge tells of it.
        for _ in range(3):
            coro.wait_for_read(pipe.read_end)
        os.read(pipe.read_end, 1)
        coro.wait_for_read(pipe.read_end)
        pipe.take()
        with pytest.raises(coro.TimeoutError):
            coro.wait_for_read(pipe.read_end, 1)

    testing.run(main)


def test_wait_for_returns_the_events_that_are_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair

    def main() -> None:
        assert coro.wait_for(left.fileno(), READ | WRITE) == WRITE
        right.send(b"x")
        assert coro.wait_for(left.fileno(), READ | WRITE) == READ | WRITE
        assert coro.wait_for(left.fileno(), READ) == READ
        assert coro.wait_for(left.fileno(), WRITE) == WRITE

    assert (coro.READ, coro.WRITE) == (READ, WRITE)
    testing.run(main)


def test_hang_up_counts_as_ready(pipe: Pipe) -> None:
    def main() -> None:
        reader = coro.spawn(read_late, pipe)
        coro.yield_slice()
        pipe.close(pipe.write_end)
        assert reader.result() == b""
        other = Pipe()
        other.fill()
        writer = coro.spawn(coro.wait_for_write, other.write_end)
        coro.yield_slice()
        other.close(other.read_end)
        writer.join()
        other.close()

    testing.run(main)


def test_whatever_has_a_fileno_can_be_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair

    def main() -> None:
        coro.wait_for_write(left)
        right.send(b"x")
        coro.wait_for_read(left)
        assert coro.wait_for(left, READ) == READ

    testing.run(main)


def test_timeout_leaves_the_descriptor_to_others(pipe: Pipe) -> None:
    def main() -> None:
        begin = coro.get_now()
        with pytest.raises(coro.TimeoutError, match="timed out after 2 s"):
            coro.wait_for_read(pipe.read_end, 2)
        assert coro.get_now() - begin == 2 * coro.ticks_per_sec
        with pytest.raises(coro.TimeoutError):
            coro.wait_for(pipe.read_end, READ, timeout=0)
        assert waited_for() == {}
        reader = coro.spawn(read_late, pipe)
        coro.yield_slice()
        pipe.put(b"late")
        assert reader.result() == b"late"

    testing.run(main)


def test_wait_goes_on_when_a_stranger_schedules_the_waiter(pipe: Pipe) -> None:
    def main() -> None:
        reader = coro.spawn(read_late, pipe)
        for _ in range(3):
            coro.sleep_relative(1)
            reader.schedule()
        coro.sleep_relative(1)
        assert not reader.dead
        pipe.put(b"at last")
        assert reader.result() == b"at last"

    testing.run(main)


def test_reader_and_writer_of_one_descriptor_wake_each_for_its_own(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    left, right = pair

    def main() -> None:
        fill(left)
        reader, writer = coro.spawn(coro.wait_for_read, left), coro.spawn(coro.wait_for_write, left)
        coro.sleep_relative(1)
        assert (reader.dead, writer.dead) == (False, False)
        right.send(b"x")
        reader.join()
        coro.sleep_relative(1)
        assert not writer.dead
        reader = coro.spawn(coro.wait_for_write, right)
        drain(right)
        writer.join()

    testing.run(main)


def test_many_descriptors_at_once() -> None:
    def main() -> None:
        pipes = [Pipe() for _ in range(200)]
        readers = [coro.spawn(read_late, pipe) for pipe in pipes]
        coro.yield_slice()
        assert len(waited_for()) == 200
        for number, pipe in enumerate(pipes):
            pipe.put(str(number).encode())
        assert [reader.result() for reader in readers] == [str(number).encode() for number in range(200)]
        for pipe in pipes:
            pipe.close()

    testing.run(main)


def test_wait_that_parked_gives_the_thread_its_selfish_acts_back(pipe: Pipe) -> None:
    def main() -> None:
        me = coro.current()
        me.selfish_acts = 1
        pipe.put()
        coro.wait_for_read(pipe.read_end)
        assert me.selfish_acts == me.max_selfish_acts == 4

    testing.run(main)


def test_what_a_waiter_waits_for_is_visible(pipe: Pipe, pair: tuple[socket.socket, socket.socket]) -> None:
    def main() -> None:
        reader = coro.spawn(read_late, pipe)
        coro.yield_slice()
        assert reader.waiting_for == "read"
        assert isinstance(reader.waiting_on, Descriptor)
        assert reader.waiting_on.fd == pipe.read_end
        pipe.put()
        reader.join()
        assert reader.waiting_on is None

    testing.run(main)


# -- two at once


@pytest.mark.parametrize("second_events", [READ, READ | WRITE])
def test_second_reader_of_one_descriptor_gets_simultaneous_error(pipe: Pipe, second_events: int) -> None:
    def main() -> None:
        first = coro.spawn(read_late, pipe)
        coro.yield_slice()
        with pytest.raises(coro.SimultaneousError) as caught:
            coro.wait_for(pipe.read_end, second_events)
        error = caught.value
        assert (error.co, error.other, error.event) == (coro.current(), first, ("read", pipe.read_end))
        assert repr(first) in str(error)
        # The first is not disturbed.
        pipe.put(b"for the first")
        assert first.result() == b"for the first"

    testing.run(main)


def test_second_writer_of_one_descriptor_gets_simultaneous_error(pipe: Pipe) -> None:
    def main() -> None:
        pipe.fill()
        first = coro.spawn(coro.wait_for_write, pipe.write_end)
        coro.yield_slice()
        with pytest.raises(coro.SimultaneousError) as caught:
            coro.wait_for_write(pipe.write_end)
        assert (caught.value.other, caught.value.event) == (first, ("write", pipe.write_end))
        pipe.drain()
        first.join()

    testing.run(main)


# -- interrupts


@pytest.mark.parametrize("moment", ["before", "at", "after"])
def test_interrupted_waiter_leaves_the_descriptor_and_the_bytes(pipe: Pipe, moment: str) -> None:
    """It is interrupted just before, at the moment of, or just after being woken."""

    def main() -> None:
        seen: list[Any] = []

        def read() -> None:
            try:
                seen.append(read_late(pipe))
                coro.sleep_relative(100)
            except KeyError:
                seen.append("interrupted")

        thread = coro.spawn(read)
        coro.yield_slice()
        if moment == "before":
            thread.raise_exception(KeyError)
            pipe.put(b"bytes")
        elif moment == "at":
            # The handler is called in the poll that wakes the reader.
            other = Pipe()
            coro.set_handler(other.read_end, READ, lambda fd, events: thread.raise_exception(KeyError))
            pipe.put(b"bytes")
            other.put()
            coro.sleep_relative(1)
            coro.set_handler(other.read_end, READ, None)
            other.close()
        else:
            pipe.put(b"bytes")
            coro.sleep_relative(1)
            thread.raise_exception(KeyError)
        thread.join()
        if moment == "after":
            assert seen == [b"bytes", "interrupted"]
        else:
            assert seen == ["interrupted"]
            assert coro.spawn(read_late, pipe).result() == b"bytes"
        assert waited_for() == {}

    testing.run(main)


def test_bytes_that_come_between_the_interrupt_and_its_delivery_are_kept(pipe: Pipe) -> None:
    def main() -> None:
        reader = coro.spawn(read_late, pipe)
        coro.sleep_relative(1)
        reader.shutdown()
        pipe.put(b"kept")
        reader.join()
        assert isinstance(reader.error, coro.Shutdown)
        assert read_late(pipe) == b"kept"

    testing.run(main)


# -- bad descriptors


def test_regular_file_says_what_to_use(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"text")

    def main() -> None:
        with path.open("rb") as file:
            for wait in (coro.wait_for_read, coro.wait_for_write):
                with pytest.raises(PermissionError, match=r"in_os_thread\(\)") as caught:
                    wait(file)
                assert caught.value.errno == errno.EPERM
                assert f"descriptor {file.fileno()} cannot be polled (a regular file?)" in str(caught.value)
            with pytest.raises(PermissionError, match=r"in_os_thread\(\)"):
                coro.set_handler(file, READ, lambda fd, events: None)
        assert waited_for() == {}

    testing.run(main)


def test_closed_descriptor_is_named() -> None:
    def main() -> None:
        pipe = Pipe()
        fd = pipe.read_end
        pipe.close()
        for call in (
            lambda: coro.wait_for_read(fd),
            lambda: coro.set_handler(fd, READ, lambda fd, events: None),
        ):
            with pytest.raises(OSError, match=f"{fd} is not an open descriptor") as caught:
                call()
            assert caught.value.errno == errno.EBADF
        assert waited_for() == {}

    testing.run(main)


class NoDescriptor:
    """Something whose fileno() says nothing useful."""

    def __init__(self, number: Any) -> None:
        self.number = number

    def fileno(self) -> Any:
        return self.number


@pytest.mark.parametrize(
    ("fd", "error", "message"),
    [
        (-1, ValueError, "a descriptor must be 0 or more, got -1"),
        (NoDescriptor(-1), ValueError, "a descriptor must be 0 or more, got -1"),
        (1.5, TypeError, "a descriptor must be an int or have a fileno"),
        ("0", TypeError, "a descriptor must be an int or have a fileno"),
        (None, TypeError, "a descriptor must be an int or have a fileno"),
        (True, TypeError, "a descriptor must be an int or have a fileno"),
        (NoDescriptor("x"), TypeError, "a descriptor must be an int or have a fileno"),
    ],
)
def test_what_is_no_descriptor_is_refused(fd: Any, error: type[Exception], message: str) -> None:
    def main() -> None:
        calls: list[Callable[[], Any]] = [
            lambda: coro.wait_for_read(fd),
            lambda: coro.wait_for_write(fd),
            lambda: coro.wait_for(fd, READ),
            lambda: coro.set_handler(fd, READ, None),
        ]
        for call in calls:
            with pytest.raises(error, match=message):
                call()

    testing.run(main)


@pytest.mark.parametrize(
    ("events", "error"),
    [
        (0, ValueError),
        (8, ValueError),
        (READ | 2, ValueError),
        (-1, ValueError),
        ("r", TypeError),
        (True, TypeError),
    ],
)
def test_wrong_events_are_refused(pipe: Pipe, events: Any, error: type[Exception]) -> None:
    def main() -> None:
        for call in (
            lambda: coro.wait_for(pipe.read_end, events),
            lambda: coro.set_handler(pipe.read_end, events, lambda fd, events: None),
        ):
            with pytest.raises(error, match=f"events must be READ.*got {events!r}"):
                call()

    testing.run(main)


def test_wrong_timeout_is_refused_and_nothing_is_registered(pipe: Pipe) -> None:
    def main() -> None:
        for timeout, error in (("x", TypeError), (float("nan"), ValueError)):
            with pytest.raises(error, match="timeout must be a number"):
                coro.wait_for_read(pipe.read_end, timeout)  # type: ignore[arg-type]
            assert waited_for() == {}

    testing.run(main)


# -- numbers that come back


def test_number_that_was_closed_behind_our_back_and_reused() -> None:
    def main() -> None:
        for _ in range(3):
            pipe = Pipe()
            with pytest.raises(coro.TimeoutError):
                coro.wait_for_read(pipe.read_end, 1)
            pipe.put(b"fresh")
            assert read_late(pipe) == b"fresh"
            # The same numbers again, with no word to the poller.
            pipe.close()

    testing.run(main)


def test_number_whose_former_file_lives_on_in_a_duplicate() -> None:
    """The kernel keeps such a registration, and reports it under the old number."""

    def main() -> None:
        former = Pipe()
        with pytest.raises(coro.TimeoutError):
            coro.wait_for_read(former.read_end, 1)
        number, duplicate = former.read_end, os.dup(former.read_end)
        former.close(number)
        current = Pipe()
        assert number in current.open
        former.put(b"to the duplicate")
        reader = coro.spawn(coro.wait_for_read, current.read_end)
        coro.sleep_relative(1)
        current.put(b"to the number's new owner")
        reader.join()
        assert current.take() == b"to the number's new owner"
        coro.wait_for_read(duplicate)
        assert os.read(duplicate, 100) == b"to the duplicate"
        os.close(duplicate)
        former.close()
        current.close()

    testing.run(main)


def test_waiting_works_in_the_next_loop_too(pipe: Pipe) -> None:
    def main() -> None:
        waiting = coro.spawn(coro.wait_for_read, pipe.read_end)
        coro.yield_slice()
        assert not waiting.dead

    for _ in range(2):
        testing.run(main)
        assert waited_for() == {}
    pipe.put(b"x")
    assert testing.run(read_late, pipe) == b"x"


def test_descriptor_of_a_socket_is_registered_anew_in_the_next_loop(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    left, right = pair
    descriptor = Descriptor(left.fileno())

    def main() -> None:
        with pytest.raises(coro.TimeoutError):
            descriptor.wait_readable(1)
        reader = coro.spawn(descriptor.wait_readable)
        coro.yield_slice()
        right.send(b"x")
        reader.join()
        assert reader.error is None
        left.recv(1)

    for _ in range(2):
        testing.run(main)
    descriptors.close(descriptor)


# -- the descriptors of sockets


def test_waiters_of_a_descriptor_that_is_closed_through_us_get_closed_error(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    left, _ = pair

    def main() -> None:
        fill(left)
        descriptor = Descriptor(left.fileno())
        caught: list[BaseException] = []

        def wait(method: Callable[[float | None], None], timeout: float | None) -> None:
            try:
                method(timeout)
            except coro.ClosedError as error:
                caught.append(error)

        waiters = [
            coro.spawn(wait, descriptor.wait_readable, None),
            coro.spawn(wait, descriptor.wait_writable, 100),
        ]
        coro.sleep_relative(1)
        descriptors.close(descriptor)
        descriptors.close(descriptor)
        for waiter in waiters:
            waiter.join()
        assert [error.fd for error in caught if isinstance(error, coro.ClosedError)] == [left.fileno()] * 2
        assert f"descriptor {left.fileno()} was closed while" in str(caught[0])
        # It stays closed.
        for method in (descriptor.wait_readable, descriptor.wait_writable):
            with pytest.raises(coro.ClosedError, match=f"descriptor {left.fileno()} is closed"):
                method()

    testing.run(main)


@pytest.mark.parametrize("present", ["socket", "wait_for"])
@pytest.mark.parametrize("former", ["socket", "wait_for"])
def test_new_owner_of_a_number_evicts_what_the_former_one_left(former: str, present: str) -> None:
    """Sockets are also closed by the collector and by os.close(), of which nobody tells the poller."""

    def wait(number: int, how: str) -> None:
        if how == "socket":
            Descriptor(number).wait_readable()
        else:
            coro.wait_for_read(number)

    def main() -> None:
        left, right = socket.socketpair()
        number = left.fileno()
        stale = coro.spawn(wait, number, former)
        coro.yield_slice()
        left.close()
        right.close()
        left, right = socket.socketpair()
        with left, right:
            assert left.fileno() == number
            reader = coro.spawn(wait, number, present)
            with pytest.raises(coro.ClosedError):
                stale.result()
            right.send(b"x")
            reader.join()
            assert reader.error is None

    testing.run(main)


def test_second_waiter_of_a_sockets_descriptor_gets_simultaneous_error(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    left, right = pair

    def main() -> None:
        descriptor = Descriptor(left.fileno())
        reader = coro.spawn(descriptor.wait_readable)
        coro.yield_slice()
        for second in (descriptor.wait_readable, lambda: coro.wait_for_read(left)):
            with pytest.raises(coro.SimultaneousError) as caught:
                second()
            assert caught.value.other is reader
        right.send(b"x")
        reader.join()
        descriptors.close(descriptor)

    testing.run(main)
