"""What an operator meets: no descriptors left, connections that die in the queue, a listener that fails."""

import errno
import gc
import io
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import coro
from coro import testing
from coro.server import Server, listen_unix, tcp_server, unix_server
from tests.faults.scenarios import LOOPBACK, ask, echo
from tests.faults.shim import Fault, Shim
from tests.faults.sites import Site
from tests.faults.stage import open_descriptors

ACCEPT = ("coro.socket.sock", "sock.accept", "sock._accept")
CLOSE = ("coro.socket.base", "CoroSocket._real_close", "sock._real_close")
# More than any test needs.
FOR_EVER = 1_000_000


@pytest.fixture
def failures() -> list[BaseException]:
    """What ended threads."""
    found: list[BaseException] = []
    coro.set_exception_notifier(lambda thread, error: found.append(error))
    return found


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Put the limit of descriptors back that the test lowers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def leave_descriptors(number: int) -> None:
    """From now on only so many can be opened."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(name) for name in open_descriptors()}
    free = (fd for fd in range(hard) if fd not in taken)
    for _ in range(number):
        last = next(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, hard))


def served(client: socket.socket) -> bool:
    """Whether a client, which has asked, gets its answer; waits for it."""
    coro.wait_for_read(client)
    return client.recv(100) == b"hello"


def test_server_without_descriptors_waits_without_spinning_and_serves_everybody_later(
    shim: Shim, few_descriptors: None, failures: list[BaseException]
) -> None:
    reports: list[str] = []

    def main() -> None:
        server = tcp_server((LOOPBACK, 0), echo, report=reports.append)
        with server, ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(server.address)) for _ in range(6)]
            for client in clients:
                client.send(b"hello")
            leave_descriptors(2)
            shim.arm(None)
            coro.sleep_relative(30)
            shim.disarm()
            assert len(server.connections) == 2
            # Ten attempts in a second, and the two that succeeded.
            assert 250 <= shim.calls.count(ACCEPT) <= 303
            # Whoever hangs up makes room for the next.
            for client in clients:
                assert served(client)
                client.close()
        assert server.accepted == 6

    testing.run(main)
    # Once at the beginning, and once in ten seconds.
    assert 3 <= len(reports) <= 4
    assert os.strerror(errno.EMFILE) in reports[0]
    assert not failures


@pytest.mark.parametrize("what", ["ECONNABORTED", "EPERM", "ENETDOWN"])
def test_accept_that_fails_for_ever_does_not_take_the_processor(
    what: str, shim: Shim, failures: list[BaseException]
) -> None:
    reports: list[str] = []

    def main() -> None:
        with tcp_server((LOOPBACK, 0), echo, report=reports.append) as server:
            shim.arm(Fault(ACCEPT, what, times=FOR_EVER))
            with socket.create_connection(server.address):
                coro.sleep_relative(60)
            shim.disarm()
            assert len(shim.hits) < 1000
            ask(socket.AF_INET, server.address)

    testing.run(main)
    assert reports
    assert not failures


def test_listener_that_fails_for_good_is_closed_and_the_other_one_is_served(
    shim: Shim, failures: list[BaseException]
) -> None:
    def main() -> None:
        listeners = [coro.tcp_sock() for _ in range(2)]
        for listener in listeners:
            listener.bind((LOOPBACK, 0))
            listener.listen()
        first, second = (listener.getsockname() for listener in listeners)
        with tcp_server(listeners, echo) as server:
            coro.sleep_relative(1)
            shim.arm(Fault(ACCEPT, "EINVAL"))
            with pytest.raises(ConnectionError):
                ask(socket.AF_INET, first)
            with pytest.raises(ConnectionRefusedError):
                ask(socket.AF_INET, first)
            ask(socket.AF_INET, second)
            assert server.addresses == [second]

    testing.run(main)
    assert [error.errno for error in failures if isinstance(error, OSError)] == [errno.EINVAL]


def test_connection_whose_close_fails_gives_its_place_back(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("coro.stderr.saved_stderr", stderr)

    def main() -> None:
        with tcp_server((LOOPBACK, 0), lambda connection, address: None, max_connections=1) as server:
            for _ in range(3):
                with socket.create_connection(server.address) as client:
                    shim.arm(Fault(CLOSE, "EIO"))
                    coro.wait_for_read(client)
                    assert client.recv(1) == b""
                    shim.disarm()
                    assert shim.hits
            assert not server.connections

    testing.run(main)
    assert stderr.getvalue().count("closing of a connection of server 'tcp server' failed") == 3


@pytest.mark.parametrize("ran", [True, False])
def test_listener_of_a_server_that_nobody_stopped_is_closed_at_the_exit(ran: bool, tmp_path: Path) -> None:
    servers: list[Server] = []

    def main() -> None:
        servers.append(tcp_server((LOOPBACK, 0), echo))
        servers.append(unix_server(tmp_path / "socket", echo))
        if ran:
            coro.sleep_relative(1)

    testing.run(main)
    assert [server.listeners for server in servers] == [[], []]
    assert not (tmp_path / "socket").exists()
    # What the collector finds open, it warns of, and warnings are errors.
    servers.clear()
    gc.collect()


@pytest.mark.parametrize(
    ("site", "what"),
    [
        (("coro.server.listening", "identity_of_bound", "os.lstat"), "ENOMEM"),
        (("coro.server.listening", "listen_unix", "os.chmod"), "EPERM"),
        (("coro.server.listening", "listen_unix", "sock.listen"), "EADDRINUSE"),
        (("coro.socket.base", "CoroSocket.bind", "sock.bind"), "EACCES"),
    ],
    ids=str,
)
def test_unix_listener_that_could_not_be_made_leaves_no_file(
    site: Site, what: str, shim: Shim, tmp_path: Path
) -> None:
    shim.arm(Fault(site, what))
    with pytest.raises(OSError):
        listen_unix(tmp_path / "socket", mode=0o600)
    shim.disarm()
    assert shim.hits
    assert not list(tmp_path.iterdir())
