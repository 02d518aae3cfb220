"""wait_for() and set_handler() on sockets of ours and of others, beside the sockets' own operations."""

import os
import socket

import pytest

import coro
from coro import testing
from coro.descriptors import descriptors
from tests.io.pairs import Own, fill, let_run, stream_pair

BIG = 8_000_000


def test_zero_timeout_asks_the_kernel(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        pipe = os.pipe()
        try:
            for wait in (left.wait_for_read, lambda timeout: coro.wait_for_read(pipe[0], timeout)):
                for timeout in (0, -1, 0.0):
                    with pytest.raises(coro.TimeoutError):
                        wait(timeout)
            right.send(b"x")
            os.write(pipe[1], b"x")
            left.wait_for_read()
            left.wait_for_read(0)
            left.wait_for_write(0)
            coro.wait_for_read(pipe[0], 0)
            assert coro.wait_for(pipe[1], coro.READ | coro.WRITE, 0) == coro.WRITE
        finally:
            os.close(pipe[0])
            os.close(pipe[1])

    testing.run(main)


def test_methods_wait_level_style(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        waiter = coro.spawn(left.wait_for_read)
        let_run()
        assert not waiter.dead
        right.send(b"xy")
        waiter.result()
        for _ in range(3):
            # Still ready, so there is nothing to wait for.
            left.wait_for_read(5)
        assert left.recv(1) == b"x"
        left.wait_for_read(5)
        assert left.recv(1) == b"y"
        with pytest.raises(coro.TimeoutError):
            left.wait_for_read(0.01)
        filled = fill(left)
        writer = coro.spawn(left.wait_for_write)
        let_run()
        assert not writer.dead
        right.recv_exact(filled)
        writer.result()

    testing.run(main)


@pytest.mark.parametrize("by_number", [False, True])
def test_waiting_for_a_socket_and_its_own_operations_go_together(by_number: bool, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        # Before the socket itself has ever waited: the wait must outlive its registration.
        waiter = coro.spawn(coro.wait_for_read, left.fileno() if by_number else left)
        let_run()
        writer = coro.spawn(left.send, bytes(BIG))
        let_run()
        assert not waiter.dead
        second = coro.spawn(left.recv, 1)
        with pytest.raises(coro.SimultaneousError):
            second.result()
        assert coro.event_map[left.fileno(), "read"] is waiter
        assert coro.event_map[left.fileno(), "write"] is writer
        right.send(b"x")
        waiter.result()
        assert left.recv(1) == b"x"
        assert len(right.recv_exact(BIG)) == BIG
        assert writer.result() == BIG
        assert dict(coro.event_map) == {key: value for key, value in coro.event_map.items() if key[1] == "handler"}

    testing.run(main)


@pytest.mark.parametrize("by_number", [False, True])
def test_waiter_is_refused_while_the_socket_itself_waits(by_number: bool, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        reader = coro.spawn(left.recv, 10)
        let_run()
        second = coro.spawn(coro.wait_for_read, left.fileno() if by_number else left)
        with pytest.raises(coro.SimultaneousError):
            second.result()
        coro.wait_for_write(left)
        right.send(b"x")
        assert reader.result() == b"x"

    testing.run(main)


@pytest.mark.parametrize("by_number", [False, True])
@pytest.mark.parametrize("registered", [False, True])
def test_closing_a_socket_wakes_who_waits_for_it(by_number: bool, registered: bool, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        if registered:
            right.send(b"x")
            left.wait_for_read()
            left.recv(1)
        waiter = coro.spawn(coro.wait_for_read, left.fileno() if by_number else left)
        let_run()
        left.close()
        with pytest.raises(coro.ClosedError):
            waiter.result()

    testing.run(main)


@pytest.mark.parametrize("registered", [False, True])
def test_handler_beside_the_other_direction(registered: bool, own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        if registered:
            right.send(b"x")
            left.wait_for_read()
            left.recv(1)
        found: list[bytes] = []
        coro.set_handler(left, coro.READ, lambda fd, events: found.append(left.recv(100)))
        writer = coro.spawn(left.send, bytes(BIG))
        let_run()
        right.send(b"for the handler")
        assert len(right.recv_exact(BIG)) == BIG
        assert writer.result() == BIG
        assert found == [b"for the handler"]
        with pytest.raises(coro.SimultaneousError):
            left.recv(1)
        coro.set_handler(left, coro.READ, None)
        reader = coro.spawn(left.recv, 10)
        let_run()
        right.send(b"for the thread")
        assert reader.result() == b"for the th"

    testing.run(main)


def test_handler_that_goes_leaves_the_waiter_of_the_other_direction(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)

        def fails(fd: int, events: int) -> None:
            left.recv(100)
            raise ValueError

        for handler in (print, fails):
            coro.set_handler(left, coro.READ, handler)
            writer = coro.spawn(left.send, bytes(BIG))
            let_run()
            if handler is fails:
                right.send(b"x")
                let_run()
            else:
                coro.set_handler(left, coro.READ, None)
            assert not any(kind == "handler" and fd == left.fileno() for fd, kind in coro.event_map)
            assert len(right.recv_exact(BIG)) == BIG
            assert writer.result() == BIG

    coro.set_exception_notifier(lambda thread, error: None)
    testing.run(main)


def test_closed_socket_takes_its_handler_along(own: Own) -> None:
    def main() -> None:
        left, _ = stream_pair("unix", own)
        coro.set_handler(left, coro.READ, print)
        number = left.fileno()
        left.close()
        assert number not in descriptors.table
        heir = os.dup(0)
        try:
            assert heir == number
            assert (number, "handler") not in coro.event_map
        finally:
            os.close(heir)

    testing.run(main)


def test_socket_of_the_standard_library_can_be_waited_for(own: Own) -> None:
    def main() -> None:
        left, right = map(own, socket.socketpair())
        waiter = coro.spawn(coro.wait_for_read, left)
        let_run()
        right.send(b"x")
        waiter.result()
        assert left.recv(1) == b"x"

    testing.run(main)


def test_closed_socket_cannot_be_waited_for() -> None:
    def main() -> None:
        left, right = coro.socketpair()
        left.close()
        right.close()
        with pytest.raises(ValueError, match="-1"):
            coro.wait_for_read(left)
        with pytest.raises(coro.ClosedError):
            left.wait_for_read()

    testing.run(main)
