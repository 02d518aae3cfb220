"""Closing: who waits is woken; numbers that are closed behind our back and used again; collected sockets; fork."""

import gc
import os
import select
import socket
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from coro.descriptors import descriptors
from tests.core.script import output_of
from tests.io.pairs import STREAMS, Own, let_run, listener_of, stream_pair

BIG = 8_000_000


@pytest.mark.parametrize("end", ["close", "detach"])
@pytest.mark.parametrize("kind", STREAMS)
def test_close_wakes_reader_and_writer_with_closed_error(kind: str, end: str, own: Own) -> None:
    def main() -> None:
        left, _ = stream_pair(kind, own)
        threads = [coro.spawn(left.recv, 10), coro.spawn(left.send, bytes(BIG))]
        let_run()
        number = left.fileno()
        if end == "detach":
            assert left.detach() == number
            os.close(number)
        else:
            left.close()
        for thread in threads:
            with pytest.raises(coro.ClosedError) as caught:
                thread.result()
            assert caught.value.fd == number
            assert repr(thread)[: len("<coro #")] in str(caught.value)

    testing.run(main)


def test_close_wakes_who_accepts() -> None:
    def main() -> None:
        for operation in ("accept", "accept_many"):
            listener = listener_of("tcp")
            thread = coro.spawn(getattr(listener, operation))
            let_run()
            listener.close()
            with pytest.raises(coro.ClosedError):
                thread.result()

    testing.run(main)


OPERATIONS: list[Callable[[coro.sock], Any]] = [
    lambda sock: sock.recv(1),
    lambda sock: sock.recv_exact(1),
    lambda sock: sock.recv_into(bytearray(1)),
    lambda sock: sock.recvmsg(1),
    lambda sock: sock.readv([1]),
    lambda sock: sock.send(b"x"),
    lambda sock: sock.sendall(b"x"),
    lambda sock: sock.writev([b"x"]),
    lambda sock: sock.sendmsg([b"x"]),
    lambda sock: sock.sendto(b"x", ("127.0.0.1", 1)),
    lambda sock: sock.connect(("127.0.0.1", 1)),
    lambda sock: sock.accept(),
    lambda sock: sock.dup(),
    lambda sock: sock.getsockname(),
    lambda sock: sock.shutdown(socket.SHUT_WR),
]


@pytest.mark.parametrize("waited", [False, True])
def test_operation_on_a_closed_socket_raises_bad_descriptor(waited: bool, own: Own) -> None:
    def main() -> None:
        left, _ = stream_pair("tcp", own)
        if waited:
            threads = [coro.spawn(left.recv, 1), coro.spawn(left.send, bytes(BIG))]
            let_run()
            for thread in threads:
                thread.shutdown()
                thread.join()
        left.close()
        left.close()
        for operation in OPERATIONS:
            with pytest.raises(OSError, match="Bad file descriptor"):
                operation(left)
        assert left.fileno() == -1
        assert "closed" in repr(left)

    testing.run(main)


def test_thread_that_yielded_selfishly_finds_the_socket_closed(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        right.send(b"x" * 100)

        def reads() -> None:
            while True:
                left.recv(1)

        reader = coro.spawn(reads)
        coro.yield_slice()
        # It has yielded before its 5th read; the number is another's a moment later.
        number = left.fileno()
        left.close()
        heir, other = map(own, coro.socketpair())
        assert heir.fileno() == number
        other.send(b"y")
        with pytest.raises(OSError, match="Bad file descriptor"):
            reader.result()
        assert heir.recv(10) == b"y"

    testing.run(main)


# -- numbers used again


def test_number_closed_behind_our_back_and_taken_by_a_new_socket(own: Own) -> None:
    def main() -> None:
        left, _ = stream_pair("unix", own)
        former = coro.spawn(left.recv, 10)
        let_run()
        number = left.fileno()
        os.close(number)
        fresh, other = map(own, coro.socketpair())
        assert fresh.fileno() == number
        reader = coro.spawn(fresh.recv, 10)
        let_run()
        # The new owner evicts what the former one left.
        with pytest.raises(coro.ClosedError):
            former.result()
        left.detach()
        assert not reader.dead
        other.send(b"hello")
        assert reader.result() == b"hello"

    testing.run(main)


def test_number_closed_behind_our_back_and_taken_by_a_pipe(own: Own) -> None:
    def main() -> None:
        left, _ = stream_pair("unix", own)
        former = coro.spawn(left.recv, 10)
        let_run()
        number = left.fileno()
        os.close(number)
        read_end, write_end = os.pipe()
        try:
            assert read_end == number
            waiter = coro.spawn(coro.wait_for_read, read_end)
            let_run()
            with pytest.raises(coro.ClosedError):
                former.result()
            os.write(write_end, b"x")
            waiter.result()
            left.detach()
        finally:
            os.close(read_end)
            os.close(write_end)

    testing.run(main)


def test_collected_sockets_number_serves_the_next_socket() -> None:
    def main() -> None:
        for _ in range(3):
            left, right = coro.socketpair()
            reader = coro.spawn(left.recv, 10)
            let_run()
            right.send(b"x")
            assert reader.result() == b"x"
            # Registered, and never closed: the collector does it.
            del left, right, reader
            gc.collect()

    # What earlier tests have left to the collector does not count.
    gc.collect()
    before = coro.get_live_sockets()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        testing.run(main)
        gc.collect()
    assert coro.get_live_sockets() == before


def test_collected_socket_whose_duplicate_lives_does_not_harm_its_numbers_heir(own: Own) -> None:
    def main() -> None:
        left, right = coro.socketpair()
        own(right)
        reader = coro.spawn(left.recv, 10)
        let_run()
        right.send(b"x")
        reader.result()
        number = left.fileno()
        keeper = own(left.dup())
        del left, reader
        gc.collect()
        # The kernel keeps the registration, under the number, for as long as the duplicate lives.
        heir, other = map(own, coro.socketpair())
        assert heir.fileno() == number
        reader = coro.spawn(heir.recv, 10)
        let_run()
        right.send(b"for the duplicate")
        let_run()
        assert not reader.dead
        assert keeper.recv(100) == b"for the duplicate"
        other.send(b"hello")
        assert reader.result() == b"hello"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        testing.run(main)


def test_live_sockets_are_counted() -> None:
    # What earlier tests have left to the collector does not count.
    gc.collect()
    before = coro.get_live_sockets()
    left, right = coro.socketpair()
    assert coro.get_live_sockets() == before + 2
    twin = left.dup()
    assert coro.get_live_sockets() == before + 3
    left.close()
    left.close()
    os.close(right.detach())
    assert coro.get_live_sockets() == before + 1
    twin.close()
    assert coro.get_live_sockets() == before


# -- duplicates


def test_duplicates_wait_independently_and_closing_one_leaves_the_other(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        left.settimeout(30)
        twin = own(left.dup())
        assert twin.fileno() != left.fileno()
        assert twin.gettimeout() == 30
        assert not twin.get_inheritable()
        assert (twin.family, twin.type) == (left.family, left.type)
        first = coro.spawn(left.recv, 1)
        second = coro.spawn(twin.recv, 1)
        let_run()
        right.send(b"ab")
        assert {first.result(), second.result()} == {b"a", b"b"}
        reader = coro.spawn(twin.recv, 10)
        let_run()
        left.close()
        right.send(b"still")
        assert reader.result() == b"still"

    coro.run(main)


def test_closing_a_duplicate_made_by_os_dup_leaves_the_socket_registered(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        copy = os.dup(left.fileno())
        wrapped = coro.sock(fd=copy)
        reader = coro.spawn(left.recv, 10)
        waiter = coro.spawn(wrapped.recv, 10)
        let_run()
        wrapped.close()
        with pytest.raises(coro.ClosedError):
            waiter.result()
        right.send(b"hello")
        assert reader.result() == b"hello"

    testing.run(main)


def test_second_object_on_one_number_is_refused_while_the_first_waits(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        reader = coro.spawn(left.recv, 1)
        let_run()
        second = coro.sock(fd=left.fileno())
        refused = coro.spawn(second.recv, 1)
        with pytest.raises(coro.SimultaneousError):
            refused.result()
        right.send(b"ab")
        assert reader.result() == b"a"
        assert second.recv(1) == b"b"
        second.detach()

    testing.run(main)


# -- fork


def test_sockets_after_a_fork_work_in_both_processes() -> None:
    lines = output_of(
        """
        import os, socket, coro
        coro.set_print_exit_string(False)

        def main():
            left, right = coro.socketpair()
            mine, its = coro.socketpair()
            reader = coro.spawn(left.recv, 10)
            coro.sleep_relative(0.01)
            pid = coro.fork()
            if pid == 0:
                # Unregistered here, and the parent's registrations stay.
                its.send(b"child")
                left.close()
                right.close()
                print("child got", coro.spawn(its.recv, 100).result(5), flush=True)
                its.close()
                mine.close()
                os._exit(0)
            its.close()
            print("parent got", mine.recv(100), flush=True)
            right.send(b"hello")
            print("reader got", reader.result(5), flush=True)
            mine.send(b"bye")
            os.waitpid(pid, 0)
            for one in (left, right, mine):
                one.close()

        coro.run(main)
        """
    )
    assert "parent got b'child'" in lines
    assert "reader got b'hello'" in lines
    assert "child got b'bye'" in lines


def test_inherited_listener_is_served_by_parent_and_child(own: Own) -> None:
    lines = output_of(
        """
        import os, socket, coro
        coro.set_print_exit_string(False)
        listener = coro.tcp_sock()
        listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        pid = os.fork()

        def main():
            for _ in range(5):
                connection, _ = listener.accept()
                connection.send(b"child" if pid == 0 else b"parent")
                connection.close()

        def clients():
            found = []
            for _ in range(10):
                client = coro.tcp_sock()
                client.connect(listener.getsockname())
                found.append(client.recv(10).decode())
                client.close()
            return sorted(found)

        if pid == 0:
            coro.run(main)
            listener.close()
            os._exit(0)

        def parent():
            server = coro.spawn(main)
            found = clients()
            server.join()
            print(*found)

        coro.run(parent)
        os.waitpid(pid, 0)
        listener.close()
        """
    )
    assert lines == [" ".join(["child"] * 5 + ["parent"] * 5)]


def test_closing_twice_or_at_the_same_time_is_harmless(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)
        for _ in range(3):
            left.close()
        assert right.recv(1) == b""
        assert select.select([right], [], [], 0) == ([right], [], [])
        assert left.fileno() not in descriptors.table

    testing.run(main)
