"""Servers go on accepting, whatever accept() says."""

import errno
import io
import os
from typing import Any

import pytest

import coro
from coro import testing
from coro.server import tcp_server
from tests.core.script import output_of
from tests.io.pairs import Own, let_run
from tests.io.serving import Failures, ask, connected, echo


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
