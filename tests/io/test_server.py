"""Servers: connections, caps, timeouts, errors, and a graceful end."""

import errno
import io
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import coro
from coro import testing
from coro.server import Server, listen_tcp, tcp_server, unix_server
from tests.core.script import output_of
from tests.io.pairs import Own, let_run, needs_ipv6

Failures = list[BaseException]


def echo(connection: coro.sock, address: object) -> None:
    while data := connection.recv(1000):
        connection.send(data)


def connected(own: Own, server: Server, number: int = 0) -> coro.sock:
    """A client of the server's."""
    address = server.addresses[number]
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    client: coro.sock = own(coro.sock(family, socket.SOCK_STREAM))
    client.connect(address)
    return client


def ask(client: coro.sock, text: bytes = b"hello") -> bytes:
    client.send(text)
    return client.recv(1000)


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


# -- accepting survives


class FailingAccept:
    """Has a listener's accept() fail as often as the test likes, before it works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: list[int] = []
        self.calls: list[int] = []
        real = coro.sock.accept

        def accept(sock: coro.sock) -> Any:
            if self.errors:
                number = self.errors.pop(0)
                self.calls.append(coro.get_now())
                raise OSError(number, os.strerror(number))
            return real(sock)

        monkeypatch.setattr(coro.sock, "accept", accept)


@pytest.mark.parametrize("maximum", [None, 1])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_want_of_resources_is_reported_once_and_tried_again_after_a_pause(
    number: int, maximum: int | None, own: Own, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[str] = []

    def main() -> None:
        failing = FailingAccept(monkeypatch)
        failing.errors = [number] * 250
        with tcp_server(("127.0.0.1", 0), echo, report=reports.append, max_connections=maximum) as server:
            assert ask(connected(own, server)) == b"hello"
            assert server.accept_failures == 250
        pauses = {later - earlier for earlier, later in zip(failing.calls, failing.calls[1:], strict=False)}
        assert pauses == {100_000_000}

    testing.run(main)
    # 25 s of trouble: a line at once, and then one in 10 s.
    assert len(reports) == 3
    assert os.strerror(number) in reports[0]
    assert "'tcp server'" in reports[0]


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN])
def test_connection_that_failed_in_the_queue_is_passed_over(
    number: int, own: Own, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main() -> None:
        failing = FailingAccept(monkeypatch)
        failing.errors = [number] * 3
        began = coro.get_now()
        with tcp_server(("127.0.0.1", 0), echo) as server:
            assert ask(connected(own, server)) == b"hello"
            assert server.accept_failures == 3
            assert coro.get_now() == began

    testing.run(main)


def test_report_that_raises_is_reported_and_replaced(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("coro.stderr.saved_stderr", stderr)

    def report(message: str) -> None:
        raise ZeroDivisionError

    def main() -> None:
        failing = FailingAccept(monkeypatch)
        failing.errors = [errno.EMFILE] * 250
        with tcp_server(("127.0.0.1", 0), echo, report=report) as server:
            assert ask(connected(own, server)) == b"hello"

    testing.run(main)
    text = stderr.getvalue()
    assert text.count("the report function of server 'tcp server' failed") == 1
    assert "ZeroDivisionError" in text
    assert text.count("cannot accept") == 3


MANY_CLIENTS = """
import socket, sys
address = ("127.0.0.1", int(sys.argv[1]))
clients = [socket.create_connection(address) for _ in range(40)]
print("connected", flush=True)
sys.stdin.readline()
for client in clients[:30]:
    client.close()
for client in clients[30:]:
    client.settimeout(20)
    assert client.recv(10) == b"hello"
print("answered", flush=True)
"""


def test_running_out_of_descriptors_is_survived() -> None:
    lines = output_of(
        """
        import os, resource, subprocess, sys, coro
        from coro.server import tcp_server
        coro.set_print_exit_string(False)
        reports = []

        def handler(connection, address):
            connection.send(b"hello")
            connection.recv(10)

        def main():
            server = tcp_server(("127.0.0.1", 0), handler, report=reports.append)
            command = [sys.executable, "-c", sys.argv[1], str(server.address[1])]
            clients = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            from_clients = coro.file_sock(clients.stdout)
            limit = len(os.listdir("/proc/self/fd")) + 20
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            assert from_clients.read_exact(10) == b"connected\\n"
            while server.accept_failures < 3:
                coro.sleep_relative(0.05)
            print(len(server.connections) < 30, len(reports))
            clients.stdin.write(b"go\\n")
            clients.stdin.close()
            assert from_clients.read_exact(9) == b"answered\\n"
            print(server.accepted)
            from_clients.close()
            clients.stdout.close()
            clients.wait()
            server.stop()

        coro.run(main)
        """,
        MANY_CLIENTS,
    )
    assert lines == ["True 1", "40"]


def test_acceptor_ends_when_its_listener_is_closed(own: Own, failures: Failures) -> None:
    def main() -> None:
        for maximum in (None, 1):
            server = tcp_server(("127.0.0.1", 0), echo, max_connections=maximum)
            let_run()
            server.listeners[0].close()
            server.join(1)
            server.listeners.clear()
            server.stop()

    testing.run(main)


# -- stopping


def test_stop_lets_connections_end_by_themselves(own: Own, failures: Failures) -> None:
    def main() -> None:
        server = tcp_server(("127.0.0.1", 0), echo)
        address = server.address
        client = connected(own, server)
        assert ask(client) == b"hello"
        stopping = coro.spawn(server.stop)
        let_run(1)
        assert not stopping.dead
        # No new ones, but the old one is served.
        with pytest.raises(ConnectionRefusedError):
            own(coro.tcp_sock()).connect(address)
        assert ask(client) == b"hello"
        client.close()
        assert stopping.result() == 0
        assert server.addresses == []
        with pytest.raises(ValueError, match="has stopped"):
            _ = server.address
        assert server.stop() == 0

    testing.run(main)


def test_stop_shuts_down_what_has_not_ended_after_the_drain_time(own: Own, failures: Failures) -> None:
    cleaned_up: list[str] = []

    def slow(connection: coro.sock, address: object) -> None:
        try:
            connection.recv(1)
        finally:
            coro.sleep_relative(2)
            cleaned_up.append("slow")

    def main() -> None:
        server = tcp_server(("127.0.0.1", 0), slow)
        clients = [connected(own, server) for _ in range(3)]
        while len(server.connections) < 3:
            let_run()
        let_run()
        began = coro.get_now()
        assert server.stop(drain=5, grace=3) == 3
        assert (coro.get_now() - began) / coro.ticks_per_sec == pytest.approx(7)
        assert cleaned_up == ["slow"] * 3
        assert server.connections == {}
        assert [client.recv(1) for client in clients] == [b""] * 3

    testing.run(main)


def test_stop_waits_for_the_grace_time_and_no_longer(own: Own, failures: Failures) -> None:
    def stubborn(connection: coro.sock, address: object) -> None:
        try:
            connection.recv(1)
        finally:
            coro.sleep_relative(100)

    def main() -> None:
        server = tcp_server(("127.0.0.1", 0), stubborn)
        connected(own, server)
        while not server.connections:
            let_run()
        let_run()
        began = coro.get_now()
        assert server.stop(drain=1, grace=2) == 1
        assert (coro.get_now() - began) / coro.ticks_per_sec == pytest.approx(3)
        assert len(server.connections) == 1
        [thread] = server.connections
        thread.join()

    testing.run(main)


def test_two_may_stop_at_once(own: Own, failures: Failures) -> None:
    def main() -> None:
        server = tcp_server(("127.0.0.1", 0), echo)
        connected(own, server)
        while not server.connections:
            let_run()
        stopping = [coro.spawn(server.stop, 1) for _ in range(3)]
        assert sorted(thread.result() for thread in stopping)[-1] == 1
        assert server.stop(0) == 0

    testing.run(main)


def test_handler_may_stop_its_own_server(own: Own, failures: Failures) -> None:
    results: list[int] = []

    def handler(connection: coro.sock, address: object) -> None:
        if connection.recv(4) == b"stop":
            results.append(server.stop(drain=1))
            connection.send(b"stopped")

    def main() -> None:
        nonlocal server
        server = tcp_server(("127.0.0.1", 0), handler)
        other = connected(own, server)
        client = connected(own, server)
        assert ask(client, b"stop") == b"stopped"
        assert results == [1]
        assert other.recv(1) == b""

    server: Any = None
    testing.run(main)


def test_interrupted_stop_shuts_the_connections_down_at_once(own: Own, failures: Failures) -> None:
    def main() -> None:
        server = tcp_server(("127.0.0.1", 0), echo)
        client = connected(own, server)
        while not server.connections:
            let_run()
        began = coro.get_now()
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(1, server.stop, 100)
        assert client.recv(1) == b""
        assert (coro.get_now() - began) / coro.ticks_per_sec == pytest.approx(1)
        assert server.listeners == []

    testing.run(main)


def test_close_stops_accepting_only(own: Own, failures: Failures) -> None:
    def main() -> None:
        server = tcp_server(("127.0.0.1", 0), echo)
        client = connected(own, server)
        assert ask(client) == b"hello"
        waiting = coro.spawn(server.join)
        with pytest.raises(coro.TimeoutError):
            server.join(1)
        server.close()
        server.close()
        waiting.result()
        assert ask(client) == b"hello"
        server.stop(0)

    testing.run(main)


def test_join_of_several_acceptors_waits_no_longer_than_asked(own: Own, failures: Failures) -> None:
    def main() -> None:
        listeners = [listener for _ in range(3) for listener in listen_tcp(("127.0.0.1", 0))]
        with tcp_server(listeners, echo) as server:
            began = coro.get_now()
            with pytest.raises(coro.TimeoutError):
                server.join(2)
            assert (coro.get_now() - began) / coro.ticks_per_sec == pytest.approx(2)

    testing.run(main)


def test_server_of_a_loop_that_ends_is_shut_down_with_it(own: Own, failures: Failures) -> None:
    def main() -> None:
        server = tcp_server(("127.0.0.1", 0), echo)
        own(server)
        assert ask(connected(own, server)) == b"hello"

    testing.run(main)


# -- Unix


def test_unix_server_serves_and_removes_its_file(own: Own, failures: Failures, tmp_path: Path) -> None:
    path = tmp_path / "socket"

    def main() -> None:
        with unix_server(path, echo, mode=0o600) as server:
            assert server.address == str(path)
            assert path.stat().st_mode & 0o777 == 0o600
            client = connected(own, server)
            assert ask(client) == b"hello"
            [thread] = server.connections
            assert thread.name == "unix server peer"
            client.close()
        assert not path.exists()

    testing.run(main)


@pytest.mark.parametrize("heir", ["socket", "file", "nothing"])
def test_unix_server_removes_no_file_but_its_own(heir: str, failures: Failures, tmp_path: Path) -> None:
    path = tmp_path / "socket"

    def main() -> None:
        server = unix_server(path, echo)
        path.unlink()
        if heir == "socket":
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(str(path))
        elif heir == "file":
            path.write_text("precious")
        server.stop()
        assert path.exists() is (heir != "nothing")

    testing.run(main)


def test_unix_server_removes_its_file_from_another_directory(
    failures: Failures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def main() -> None:
        with unix_server("socket", echo):
            assert (tmp_path / "socket").exists()
            monkeypatch.chdir(tmp_path / "elsewhere")
        assert not (tmp_path / "socket").exists()

    testing.run(main)


def test_unix_server_on_a_socket_that_listens(own: Own, failures: Failures, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    def main() -> None:
        listener = coro.unix_sock()
        listener.bind(path)
        listener.listen(5)
        with unix_server(listener, echo) as server:
            client = connected(own, server)
            assert ask(client) == b"hello"
            client.close()
        # Who made the file removes it.
        assert os.path.exists(path)

    testing.run(main)


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
