"""Servers end gracefully, and remove their Unix sockets."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

import coro
from coro import testing
from coro.server import listen_tcp, tcp_server, unix_server
from tests.io.pairs import Own, let_run
from tests.io.serving import Failures, ask, connected, echo

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
