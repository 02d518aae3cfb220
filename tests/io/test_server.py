"""Servers: connections, addresses, caps, timeouts, wrong arguments."""

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from coro.server import Server, listen_tcp, tcp_server, unix_server
from tests.io.pairs import Own, let_run, needs_ipv6
from tests.io.serving import Failures, ask, connected, echo

# -- connections


def test_every_connection_has_a_thread_of_its_own(own: Own, failures: Failures) -> None:
    def main() -> None:
        with tcp_server(("127.0.0.1", 0), echo) as server:
            clients = [connected(own, server) for _ in range(10)]
            assert [ask(client, b"%d" % number) for number, client in enumerate(clients)] == [
                b"%d" % number for number in range(10)
            ]
            assert server.accepted == len(server.connections) == 10
            assert set(server.connections.values()) == {client.getsockname() for client in clients}
            names = {thread.name for thread in server.connections}
            assert f"tcp server 127.0.0.1:{clients[0].getsockname()[1]}" in names
            assert "connections=10" in repr(server)
            for client in clients:
                client.close()
            while server.connections:
                let_run()
            assert server.lost == 0

    testing.run(main)


def test_handler_gets_arguments_and_its_connection_is_closed_at_its_end(own: Own, failures: Failures) -> None:
    def handler(connection: coro.sock, address: Any, *args: Any) -> None:
        seen.append((connection, address, args))

    seen: list[Any] = []

    def main() -> None:
        with tcp_server(("127.0.0.1", 0), handler, "one", 2, name="greeter") as server:
            client = connected(own, server)
            assert client.recv(10) == b""
            [(connection, address, args)] = seen
            assert connection.fileno() == -1
            assert address == client.getsockname()
            assert args == ("one", 2)
            assert server.name == "greeter"

    testing.run(main)


def test_server_that_is_made_before_the_loop_serves_in_it(own: Own, failures: Failures) -> None:
    server = tcp_server(("127.0.0.1", 0), echo)

    def main() -> None:
        assert ask(connected(own, server)) == b"hello"
        server.stop(0)

    testing.run(main)


def test_handler_that_raises_ends_its_connection_only(own: Own) -> None:
    errors: list[BaseException] = []
    coro.set_exception_notifier(lambda thread, error: errors.append(error))

    def handler(connection: coro.sock, address: object) -> None:
        kinds = {b"1": ZeroDivisionError, b"2": SystemExit, b"3": OSError, b"4": coro.Shutdown}
        raise kinds[connection.recv(1)]

    def main() -> None:
        with tcp_server(("127.0.0.1", 0), handler, max_connections=1) as server:
            for text in (b"1", b"2", b"3", b"4", b"1"):
                assert ask(connected(own, server), text) == b""
            while server.connections:
                let_run()

    testing.run(main)
    assert [type(error) for error in errors] == [ZeroDivisionError, SystemExit, OSError, ZeroDivisionError]


def test_peer_that_vanishes_is_counted_not_reported(own: Own, failures: Failures) -> None:
    def main() -> None:
        with tcp_server(("127.0.0.1", 0), echo) as server:
            client = connected(own, server)
            assert ask(client) == b"hello"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            while server.connections:
                let_run()
            assert server.lost == 1

    testing.run(main)


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EPIPE])
def test_what_the_kernel_says_of_a_peer_that_is_gone_is_not_reported(
    number: int, own: Own, failures: Failures
) -> None:
    def handler(connection: coro.sock, address: object) -> None:
        raise OSError(number, os.strerror(number))

    def main() -> None:
        with tcp_server(("127.0.0.1", 0), handler) as server:
            assert connected(own, server).recv(1) == b""
            assert server.lost == 1

    testing.run(main)


# -- several addresses


@needs_ipv6
def test_dual_stack_server_answers_both_ip_versions(own: Own, failures: Failures) -> None:
    def main() -> None:
        with tcp_server(("", 0), echo) as server:
            port = server.address[1]
            for make, address in ((coro.tcp_sock, ("127.0.0.1", port)), (coro.tcp6_sock, ("::1", port))):
                client = own(make())
                client.connect(address)
                assert ask(client) == b"hello"
            names = sorted(thread.name for thread in server.connections)
            assert names[0].startswith("tcp server [::")

    testing.run(main)


def test_localhost(own: Own, failures: Failures) -> None:
    def main() -> None:
        with tcp_server(("localhost", 0), echo) as server:
            client = own(coro.tcp_sock())
            client.connect(("localhost", server.address[1]))
            assert ask(client) == b"hello"
            client.close()

    coro.run(main)


@pytest.mark.parametrize("plain", [False, True])
def test_sockets_that_listen_already(plain: bool, own: Own, failures: Failures) -> None:
    def main() -> None:
        made = (
            [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
            if plain
            else [
                *listen_tcp(("127.0.0.1", 0)),
                *listen_tcp(("127.0.0.1", 0)),
            ]
        )
        addresses = [listener.getsockname() for listener in made]
        with tcp_server(tuple(made), echo) as server:
            assert server.addresses == addresses
            assert server.address == addresses[0]
            for number in range(2):
                assert ask(connected(own, server, number)) == b"hello"
        [single] = listen_tcp(("127.0.0.1", 0))
        with tcp_server(single, echo) as server:
            assert ask(connected(own, server)) == b"hello"

    testing.run(main)


def test_timeout_of_a_listener_does_not_end_the_accepting(own: Own, failures: Failures) -> None:
    def main() -> None:
        [listener] = listen_tcp(("127.0.0.1", 0))
        listener.settimeout(0.1)
        with tcp_server(listener, echo) as server:
            let_run(1)
            client = connected(own, server)
            assert ask(client) == b"hello"
            assert server.accept_failures == 0
            client.close()

    testing.run(main)


@pytest.mark.parametrize("maximum", [1, 2])
def test_listener_at_which_nobody_calls_takes_no_place(maximum: int, own: Own, failures: Failures) -> None:
    def main() -> None:
        listeners = [listener for _ in range(4) for listener in listen_tcp(("127.0.0.1", 0))]
        with tcp_server(listeners, echo, max_connections=maximum) as server:
            for number in (3, 1, 0, 2, 2, 0):
                client = connected(own, server, number)
                thread = coro.spawn(ask, client)
                assert thread.result(5) == b"hello"
                client.close()

    coro.run(main)


# -- the cap


def test_connections_over_the_cap_wait_in_the_kernels_queue(own: Own, failures: Failures) -> None:
    def main() -> None:
        with tcp_server(("127.0.0.1", 0), echo, max_connections=2) as server:
            clients = [connected(own, server) for _ in range(5)]
            for client in clients:
                client.send(b"x")
            let_run(1)
            assert len(server.connections) == server.accepted == 2
            assert [client.recv(10) for client in clients[:2]] == [b"x", b"x"]
            waiting = [coro.spawn(client.recv, 10) for client in clients[2:]]
            let_run(1)
            assert not any(thread.dead for thread in waiting)
            most = 0
            for number in range(5):
                clients[number].close()
                while server.accepted < min(5, number + 3):
                    let_run()
                most = max(most, len(server.connections))
            assert most <= 2
            assert [thread.result() for thread in waiting] == [b"x"] * 3

    testing.run(main)


def test_place_is_given_back_however_a_handler_ends(own: Own) -> None:
    coro.set_exception_notifier(lambda thread, error: None)

    def handler(connection: coro.sock, address: object) -> None:
        text = connection.recv(10)
        if text == b"raise":
            raise ZeroDivisionError
        if text == b"hang":
            coro.sleep_relative(1_000_000)

    def main() -> None:
        with tcp_server(("127.0.0.1", 0), handler, max_connections=1) as server:
            for text in (b"end", b"raise", b"hang", b"raise", b"end"):
                client = connected(own, server)
                client.send(text)
                if text == b"hang":
                    while not server.connections:
                        let_run()
                    let_run()
                    [thread] = server.connections
                    thread.shutdown()
                assert client.recv(1) == b""
            # A handler that is shut down before it ran gives its place back, too.
            client = connected(own, server)
            while not server.connections:
                coro.yield_slice()
            for thread in list(server.connections):
                thread.shutdown()
            assert client.recv(1) == b""
            assert ask(connected(own, server), b"end") == b""

    testing.run(main)


def test_place_is_not_held_for_a_connection_that_another_process_took(own: Own, failures: Failures) -> None:
    def main() -> None:
        shared, other = (listener for _ in range(2) for listener in listen_tcp(("127.0.0.1", 0)))
        thief = own(shared.dup())
        with tcp_server([shared, other], echo, max_connections=1) as server:
            first = connected(own, server)
            assert ask(first) == b"hello"
            # Seen by the acceptor, which waits for the place; and then it is gone.
            stolen = connected(own, server)
            let_run(1)
            own(thief.accept()[0]).send(b"stolen")
            assert stolen.recv(10) == b"stolen"
            first.close()
            second = connected(own, server, 1)
            assert coro.spawn(ask, second).result(5) == b"hello"
            second.close()

    testing.run(main)


# -- timeouts


def test_idle_connection_is_dropped_quietly(own: Own, failures: Failures) -> None:
    def main() -> None:
        with tcp_server(("127.0.0.1", 0), echo, idle_timeout=30) as server:
            client = connected(own, server)
            for _ in range(3):
                assert ask(client) == b"hello"
                coro.sleep_relative(20)
            began = coro.get_now()
            assert client.recv(1) == b""
            assert (coro.get_now() - began) / coro.ticks_per_sec == pytest.approx(10)
            assert server.lost == 1

    testing.run(main)


@pytest.mark.parametrize("idle_timeout", [None, 100])
def test_timeouts_of_a_handlers_own_are_reported(idle_timeout: float | None, own: Own) -> None:
    errors: list[BaseException] = []
    coro.set_exception_notifier(lambda thread, error: errors.append(error))

    def handler(connection: coro.sock, address: object) -> None:
        coro.with_timeout(1, coro.sleep_relative, 5)

    def main() -> None:
        with tcp_server(("127.0.0.1", 0), handler, idle_timeout=idle_timeout) as server:
            assert connected(own, server).recv(1) == b""
            assert server.lost == 0

    testing.run(main)
    assert [type(error) for error in errors] == [coro.TimeoutError]


def test_socket_timeout_of_a_handlers_own_is_reported(own: Own) -> None:
    errors: list[BaseException] = []
    coro.set_exception_notifier(lambda thread, error: errors.append(error))

    def handler(connection: coro.sock, address: object) -> None:
        connection.settimeout(1)
        connection.recv(1)

    def main() -> None:
        with tcp_server(("127.0.0.1", 0), handler) as server:
            assert connected(own, server).recv(1) == b""

    testing.run(main)
    assert [type(error) for error in errors] == [TimeoutError]


# -- bad input


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: tcp_server(("127.0.0.1", 0), None), TypeError, "function"),  # type: ignore[arg-type]
        (lambda: tcp_server(("127.0.0.1", 0), echo, max_connections=0), ValueError, "1 or more.*got 0"),
        (lambda: tcp_server(("127.0.0.1", 0), echo, max_connections="5"), TypeError, "max_connections"),  # type: ignore[arg-type]
        (lambda: tcp_server(("127.0.0.1", 0), echo, max_connections=True), TypeError, "max_connections"),
        (lambda: tcp_server(("127.0.0.1", 0), echo, idle_timeout=0), ValueError, "idle_timeout"),
        (lambda: tcp_server(("127.0.0.1", 0), echo, idle_timeout="1"), TypeError, "idle_timeout"),  # type: ignore[arg-type]
        (lambda: tcp_server("127.0.0.1:80", echo), TypeError, "listen"),  # type: ignore[arg-type]
        (lambda: tcp_server([], echo), ValueError, "got none"),
        (lambda: tcp_server([5], echo), TypeError, "got 5"),  # type: ignore[list-item]
        (lambda: unix_server(5, echo), TypeError, "listen"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_left_open(
    make: Callable[[], Server], error: type[Exception], message: str
) -> None:
    before = coro.get_live_sockets()
    with pytest.raises(error, match=message):
        make()
    assert coro.get_live_sockets() == before


def test_socket_that_does_not_listen_is_refused(own: Own) -> None:
    for sock in (own(coro.tcp_sock()), own(coro.udp_sock())):
        with pytest.raises(ValueError, match="does not"):
            tcp_server(sock, echo)


def test_wrong_times_are_refused(own: Own, failures: Failures) -> None:
    def main() -> None:
        with tcp_server(("127.0.0.1", 0), echo) as server:
            for options in ({"drain": "1"}, {"grace": None}):
                with pytest.raises(TypeError):
                    server.stop(**options)
            assert server.listeners

    testing.run(main)
