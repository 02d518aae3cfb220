"""Handlers of descriptors, and the map of what is waited for."""

import io
import socket
from typing import Any

import pytest

import coro
from coro import testing
from coro.descriptors import Descriptor, descriptors
from coro.poller.base import READ, WRITE
from coro.scheduler import scheduler
from tests.core.pipes import Pipe, drain, fill, read_late, waited_for


def test_handler_is_called_in_the_loop_on_every_edge_until_it_is_taken_away(pipe: Pipe) -> None:
    def main() -> None:
        calls: list[Any] = []

        def handler(fd: int, events: int) -> None:
            calls.append((fd, events & READ, pipe.take(), scheduler.current))

        coro.set_handler(pipe.read_end, READ, handler)
        assert waited_for() == {(pipe.read_end, "handler"): handler}
        for data in (b"first", b"second"):
            pipe.put(data)
            coro.sleep_relative(1)
        assert calls == [(pipe.read_end, READ, b"first", None), (pipe.read_end, READ, b"second", None)]
        coro.set_handler(pipe.read_end, READ, None)
        coro.set_handler(pipe.read_end, READ, None)
        pipe.put(b"third")
        coro.sleep_relative(1)
        assert len(calls) == 2
        assert read_late(pipe) == b"third"

    testing.run(main)


def test_handler_for_writing_is_called_when_there_is_room(pipe: Pipe) -> None:
    def main() -> None:
        calls: list[int] = []
        coro.set_handler(pipe.write_end, WRITE, lambda fd, events: calls.append(events & WRITE))
        coro.sleep_relative(1)
        assert calls == [WRITE]
        pipe.fill()
        coro.sleep_relative(1)
        pipe.drain()
        coro.sleep_relative(1)
        assert calls == [WRITE, WRITE]

    testing.run(main)


@pytest.mark.parametrize("error", [ValueError("spilled"), SystemExit("spilled")])
def test_handler_that_raises_is_reported_once_and_removed(
    pipe: Pipe, error: BaseException, stderr: io.StringIO
) -> None:
    def main() -> str:
        calls: list[int] = []

        def handler(fd: int, events: int) -> None:
            calls.append(fd)
            raise error

        coro.set_handler(pipe.read_end, READ, handler)
        for _ in range(3):
            pipe.put()
            coro.sleep_relative(1)
        assert calls == [pipe.read_end]
        assert waited_for() == {}
        assert read_late(pipe) == b"xxx"
        return "went on"

    assert testing.run(main) == "went on"
    assert stderr.getvalue().count(f"coro: the handler of descriptor {pipe.read_end}") == 1
    assert "spilled" in stderr.getvalue()


def test_handler_that_blocks_is_refused_and_removed(pipe: Pipe, stderr: io.StringIO) -> None:
    def main() -> None:
        coro.set_handler(pipe.read_end, READ, lambda fd, events: coro.sleep_relative(1))
        pipe.put()
        coro.sleep_relative(1)
        assert waited_for() == {}

    testing.run(main)
    assert "would block the loop itself (a hook or handler): spawn() a thread for it" in stderr.getvalue()


def test_keyboard_interrupt_in_a_handler_leaves_the_loop(pipe: Pipe) -> None:
    def handler(fd: int, events: int) -> None:
        raise KeyboardInterrupt

    def main() -> None:
        coro.set_handler(pipe.read_end, READ, handler)
        pipe.put()
        coro.sleep_relative(1000)

    with pytest.raises(KeyboardInterrupt):
        testing.run(main)
    assert not coro.all_threads


def test_handler_may_take_itself_and_others_away(pipe: Pipe) -> None:
    def main() -> None:
        other = Pipe()
        calls: list[int] = []

        def handler(fd: int, events: int) -> None:
            calls.append(fd)
            coro.set_handler(pipe.read_end, READ, None)
            coro.set_handler(other.read_end, READ, None)

        for fd in (pipe.read_end, other.read_end):
            coro.set_handler(fd, READ, handler)
        pipe.put()
        other.put()
        coro.sleep_relative(1)
        assert len(calls) == 1
        other.close()

    testing.run(main)


def test_handler_and_waiting_thread_exclude_each_other(pipe: Pipe) -> None:
    def handler(fd: int, events: int) -> None: ...

    def main() -> None:
        reader = coro.spawn(read_late, pipe)
        coro.yield_slice()
        with pytest.raises(coro.SimultaneousError) as caught:
            coro.set_handler(pipe.read_end, READ, handler)
        assert (caught.value.co, caught.value.other) == (handler, reader)
        pipe.put(b"undisturbed")
        assert reader.result() == b"undisturbed"
        coro.set_handler(pipe.read_end, READ, handler)
        with pytest.raises(coro.SimultaneousError) as caught:
            coro.wait_for_read(pipe.read_end)
        assert (caught.value.co, caught.value.other) == (coro.current(), handler)
        assert caught.value.event == ("handler", pipe.read_end)

    testing.run(main)


def test_handler_for_one_direction_leaves_the_other_to_threads(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """The handler must not narrow what the poller reports of a socket's descriptor."""
    left, right = pair

    def main() -> None:
        fill(left)
        descriptor = Descriptor(left.fileno())
        with pytest.raises(coro.TimeoutError):
            descriptor.wait_writable(1)
        calls: list[int] = []
        coro.set_handler(left, READ, lambda fd, events: calls.append(events & READ))
        with pytest.raises(coro.SimultaneousError):
            descriptor.wait_readable(1)
        writer = coro.spawn(descriptor.wait_writable)
        coro.sleep_relative(1)
        assert (calls, writer.dead) == ([], False)
        drain(right)
        writer.join()
        right.send(b"x")
        coro.sleep_relative(1)
        assert calls == [READ]
        # And it leaves nothing behind that would hinder a reader.
        coro.set_handler(left, READ, None)
        left.recv(1)
        reader = coro.spawn(descriptor.wait_readable)
        coro.yield_slice()
        right.send(b"x")
        reader.join()
        assert calls == [READ]
        descriptors.close(descriptor)

    testing.run(main)


def test_handler_that_is_refused_leaves_the_one_that_is_there(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair

    def main() -> None:
        fill(left)
        calls: list[int] = []

        def handler(fd: int, events: int) -> None:
            calls.append(events & WRITE)

        coro.set_handler(left, WRITE, handler)
        reader = coro.spawn(coro.wait_for_read, left)
        coro.yield_slice()
        with pytest.raises(coro.SimultaneousError):
            coro.set_handler(left, READ, lambda fd, events: None)
        drain(right)
        coro.sleep_relative(1)
        assert calls == [WRITE]
        assert waited_for() == {(left.fileno(), "read"): reader, (left.fileno(), "handler"): handler}
        right.send(b"x")
        reader.join()

    testing.run(main)


def test_handler_replaces_the_one_before(pipe: Pipe) -> None:
    def main() -> None:
        calls: list[str] = []
        for name in ("first", "second"):
            coro.set_handler(pipe.read_end, READ, lambda fd, events, name=name: calls.append(name))  # type: ignore[misc]
        pipe.put()
        coro.sleep_relative(1)
        assert calls == ["second"]

    testing.run(main)


@pytest.mark.parametrize("handler", [5, "print"])
def test_handler_that_cannot_be_called_is_refused(pipe: Pipe, handler: Any) -> None:
    def main() -> None:
        with pytest.raises(TypeError, match=f"a handler must be callable or None, got {handler!r}"):
            coro.set_handler(pipe.read_end, READ, handler)
        assert waited_for() == {}

    testing.run(main)


# -- event_map


def test_event_map_shows_who_waits_for_what_now(pipe: Pipe, pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair

    def main() -> None:
        assert waited_for() == {}
        fill(left)
        reader, both = coro.spawn(read_late, pipe), coro.spawn(coro.wait_for, left, READ | WRITE)
        coro.yield_slice()
        fd = left.fileno()
        assert waited_for() == {
            (pipe.read_end, "read"): reader,
            (fd, "read"): both,
            (fd, "write"): both,
        }
        assert coro.event_map[pipe.read_end, "read"] is reader
        assert (pipe.read_end, "write") not in coro.event_map
        with pytest.raises(KeyError):
            coro.event_map[pipe.read_end, "write"]
        assert repr(reader) in repr(coro.event_map)
        pipe.put()
        reader.join()
        right.recv(1 << 16)
        right.send(b"x")
        both.join()
        assert waited_for() == {}

    testing.run(main)


def test_event_map_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        coro.event_map[0, "read"] = coro.current()  # type: ignore[index]
