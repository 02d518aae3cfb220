"""Connecting: what refuses, what takes long, and what is interrupted."""

import builtins
import errno
import select
import socket
import struct
from pathlib import Path

import pytest

import coro
from coro import testing
from coro.descriptors import descriptors
from coro.poller.base import WRITE
from tests.io.pairs import Own, let_run, listener_of, needs_ipv6, refused_port, report_readiness


def full_listener(own: Own) -> tuple[str, int]:
    """A listener whose backlog is full: the kernel drops what else comes."""
    listener = own(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    address: tuple[str, int] = listener.getsockname()
    for _ in range(2):
        client = own(socket.socket())
        client.setblocking(False)
        client.connect_ex(address)
        select.select([], [client], [], 0.2)
    return address


@pytest.mark.parametrize("kind", ["tcp", pytest.param("tcp6", marks=needs_ipv6)])
def test_connect_connects(kind: str, own: Own) -> None:
    def main() -> None:
        listener = own(listener_of(kind))
        client = own(coro.tcp6_sock() if kind == "tcp6" else coro.tcp_sock())
        assert client.connect(listener.getsockname()) is None  # type: ignore[func-returns-value]
        assert client.getpeername() == listener.getsockname()
        assert own(listener.accept()[0]).getpeername() == client.getsockname()
        with pytest.raises(OSError) as caught:
            client.connect(listener.getsockname())
        assert caught.value.errno == errno.EISCONN

    testing.run(main)


def test_refused_connection_raises_and_names_the_address(own: Own) -> None:
    # Fault 4 of the original: connect() to a refused port returned as if it had worked.
    def main() -> None:
        address = ("127.0.0.1", refused_port())
        client = own(coro.tcp_sock())
        with pytest.raises(ConnectionRefusedError) as caught:
            client.connect(address)
        assert str(address) in str(caught.value)
        assert caught.value.errno == errno.ECONNREFUSED
        assert own(coro.tcp_sock()).connect_ex(address) == errno.ECONNREFUSED
        with pytest.raises(OSError) as not_connected:
            client.getpeername()
        assert not_connected.value.errno == errno.ENOTCONN

    testing.run(main)


def test_refused_socket_can_connect_again(own: Own) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        refusing = ("127.0.0.1", refused_port())
        client = own(coro.tcp_sock())
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                client.connect(refusing)
        with pytest.raises(OSError):
            client.send(b"x")
        client.connect(listener.getsockname())
        connection = own(listener.accept()[0])
        reader = coro.spawn(client.recv, 10)
        let_run()
        connection.send(b"hello")
        assert reader.result() == b"hello"

    testing.run(main)


def test_refused_by_a_unix_socket(own: Own, tmp_path: Path) -> None:
    def main() -> None:
        with pytest.raises(FileNotFoundError):
            own(coro.unix_sock()).connect(str(tmp_path / "missing"))
        stale = str(tmp_path / "stale")
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(stale)
        with pytest.raises(ConnectionRefusedError):
            own(coro.unix_sock()).connect(stale)

    testing.run(main)


def test_unreachable_address_raises(own: Own) -> None:
    def main() -> None:
        # A multicast address has no TCP.
        with pytest.raises(OSError) as caught:
            own(coro.tcp_sock()).connect(("224.0.0.1", 9))
        assert caught.value.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)

    testing.run(main)


def test_connecting_times_out_when_nobody_answers(own: Own) -> None:
    def main() -> None:
        address = full_listener(own)
        client = own(coro.tcp_sock())
        client.settimeout(0.5)
        began = coro.get_now()
        with pytest.raises(builtins.TimeoutError) as caught:
            client.connect(address)
        assert not isinstance(caught.value, coro.TimeoutError)
        assert coro.get_now() - began == 500_000_000
        client.settimeout(0.25)
        assert client.connect_ex(address) == errno.EAGAIN
        assert coro.get_now() - began == 750_000_000
        client.settimeout(0)
        with pytest.raises(BlockingIOError):
            client.connect(address)

    testing.run(main)


def test_connecting_that_does_not_wait_is_in_progress(own: Own) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        client = own(coro.tcp_sock())
        client.settimeout(0)
        error = client.connect_ex(listener.getsockname())
        assert error in (0, errno.EINPROGRESS)
        client.wait_for_write()
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert client.getpeername() == listener.getsockname()

    testing.run(main)


def test_interrupted_connect_goes_on_and_can_be_taken_up_again(own: Own) -> None:
    def main() -> None:
        address = full_listener(own)
        client = own(coro.tcp_sock())
        thread = coro.spawn(client.connect, address)
        let_run()
        assert not thread.dead
        thread.raise_exception(coro.WakeUp())
        with pytest.raises(coro.WakeUp):
            thread.result()
        again = coro.spawn(client.connect, address)
        let_run()
        assert not again.dead
        again.shutdown()
        again.join()

    testing.run(main)


def test_connect_interrupted_at_the_moment_of_success_is_connected(own: Own) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        client = own(coro.tcp_sock())
        thread = coro.spawn(client.connect, listener.getsockname())
        coro.yield_slice()
        if not thread.dead:
            select.select([], [client], [], 5)
            report_readiness()
            assert thread.scheduled
            thread.shutdown()
            thread.join()
            # Taken up again, it finds itself connected.
            client.connect(listener.getsockname())
        assert client.getpeername() == listener.getsockname()
        own(listener.accept()[0]).send(b"hello")
        assert client.recv(10) == b"hello"

    testing.run(main)


def test_stray_report_does_not_end_a_connect(own: Own) -> None:
    def main() -> None:
        address = full_listener(own)
        client = own(coro.tcp_sock())
        client.settimeout(1)
        thread = coro.spawn(client.connect, address)
        let_run()
        # What a collected duplicate under the same number would cause.
        descriptors.dispatch([(client.fileno(), WRITE)])
        let_run()
        assert not thread.dead
        with pytest.raises(builtins.TimeoutError):
            thread.result()

    testing.run(main)


def test_connect_of_a_socket_that_was_registered_before(own: Own) -> None:
    def main() -> None:
        for port_is_open in (True, False):
            listener = own(listener_of("tcp"))
            client = own(coro.tcp_sock())
            # An unconnected socket is hung up, so this returns at once; it is registered now.
            client.wait_for_read()
            if port_is_open:
                client.connect(listener.getsockname())
                own(listener.accept()[0]).send(b"x")
                assert client.recv(1) == b"x"
            else:
                with pytest.raises(ConnectionRefusedError):
                    client.connect(("127.0.0.1", refused_port()))

    testing.run(main)


def test_closing_wakes_who_connects(own: Own) -> None:
    def main() -> None:
        client = coro.tcp_sock()
        thread = coro.spawn(client.connect, full_listener(own))
        let_run()
        client.close()
        with pytest.raises(coro.ClosedError):
            thread.result()

    testing.run(main)


def test_second_connect_at_once_is_refused(own: Own) -> None:
    def main() -> None:
        address = full_listener(own)
        client = own(coro.tcp_sock())
        first = coro.spawn(client.connect, address)
        let_run()
        second = coro.spawn(client.connect, address)
        with pytest.raises(coro.SimultaneousError):
            second.result()
        assert not first.dead
        first.shutdown()
        first.join()

    testing.run(main)


# -- Unix sockets whose backlog is full


def full_unix_listener(own: Own, path: str) -> coro.sock:
    listener: coro.sock = own(coro.unix_sock())
    listener.bind(path)
    listener.listen(0)
    first = own(coro.unix_sock())
    first.connect(path)
    return listener


def test_connect_to_a_full_unix_socket_waits_for_room(own: Own, tmp_path: Path) -> None:
    def main() -> None:
        path = str(tmp_path / "socket")
        listener = full_unix_listener(own, path)
        client = own(coro.unix_sock())
        thread = coro.spawn(client.connect, path)
        let_run(1)
        assert not thread.dead
        own(listener.accept()[0])
        thread.result()
        own(listener.accept()[0]).send(b"hello")
        assert client.recv(10) == b"hello"

    testing.run(main)


def test_connect_to_a_full_unix_socket_times_out(own: Own, tmp_path: Path) -> None:
    def main() -> None:
        path = str(tmp_path / "socket")
        full_unix_listener(own, path)
        client = own(coro.unix_sock())
        client.settimeout(0.3)
        began = coro.get_now()
        with pytest.raises(builtins.TimeoutError):
            client.connect(path)
        assert coro.get_now() - began == 300_000_000
        assert client.connect_ex(path) == errno.EAGAIN
        client.settimeout(0)
        assert client.connect_ex(path) == errno.EAGAIN
        with pytest.raises(BlockingIOError):
            client.connect(path)
        client.settimeout(None)
        thread = coro.spawn(client.connect, path)
        let_run(1)
        thread.shutdown()
        thread.join()

    testing.run(main)


def test_reset_by_the_listener_is_told_to_the_client(own: Own) -> None:
    def main() -> None:
        listener = own(listener_of("tcp"))
        client = own(coro.tcp_sock())
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        with pytest.raises(ConnectionResetError):
            client.recv(10)

    testing.run(main)
