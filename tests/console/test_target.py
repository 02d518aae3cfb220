"""Finding the daemon that is meant, and connecting to it."""

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coro.console import target
from coro.console.failures import NotReached, UsageFailure
from coro.console.target import Address, Crowded, connect, find
from tests.console.conftest import Daemon


def listener(path: Path, backlog: int = 8) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen(backlog)
    return made


def soon() -> float:
    return time.monotonic() + 5


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("localhost:8023", "localhost", 8023, "localhost:8023"),
        ("127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1"),
        ("[::1]:65535", "::1", 65535, "[::1]:65535"),
        (":23", "127.0.0.1", 23, "127.0.0.1:23"),
    ],
)
def test_host_and_port(text: str, host: str, port: int, shown: str) -> None:
    address = find(text)

    assert (address.path, address.host, address.port, address.text) == (None, host, port, shown)


@pytest.mark.parametrize("text", ["mx", "host:", "host:0", "host:65536", "host:x", "::1:23", "x\x1b[2J"])
def test_what_can_be_no_target_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageFailure, match="a target is a socket's path, a pid or HOST:PORT") as caught:
        find(text)
    assert "\x1b" not in str(caught.value)


def test_path_is_taken_as_it_is_and_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with listener(tmp_path / "x.sock"):
        assert find("x.sock").path == str(tmp_path / "x.sock")
    assert find("/no/such.sock").path == "/no/such.sock"


def test_only_daemon_is_found(alone: Path) -> None:
    with listener(alone / "mx-4242.sock"):
        assert find(None) == Address(path=str(alone / "mx-4242.sock"), pid=4242)
        assert find("") == find(None)


def test_several_daemons_are_listed(alone: Path) -> None:
    with listener(alone / "11.sock"), listener(alone / "12.sock"), pytest.raises(NotReached) as caught:
        find(None)
    assert str(caught.value).startswith("2 daemons run here; say which with -t:\n")
    assert str(alone / "11.sock") in str(caught.value)
    assert str(alone / "12.sock") in str(caught.value)


def test_no_daemon_names_where_it_looked(alone: Path) -> None:
    with pytest.raises(NotReached, match="no daemon of yours runs here") as caught:
        find(None)
    assert str(alone) in str(caught.value)


def test_socket_of_a_dead_daemon_is_no_daemon(alone: Path) -> None:
    listener(alone / "13.sock").close()
    with pytest.raises(NotReached, match="no daemon of yours"):
        find(None)


def test_pid_is_found_also_at_a_path_of_its_own(
    start_daemon: Callable[..., Daemon], tmp_path: Path, alone: Path
) -> None:
    usual, unusual = start_daemon(), start_daemon(unix_path=str(tmp_path / "own.sock"))

    assert find(str(usual.pid)).path == usual.target
    assert usual.target.startswith(str(alone))
    assert find(str(unusual.pid)).path == str(tmp_path / "own.sock")


def test_pid_without_a_backdoor_and_without_a_process() -> None:
    with pytest.raises(NotReached, match="has no backdoor that you can see"):
        find(str(os.getpid()))
    with pytest.raises(NotReached, match="there is no process 4194999"):
        find("4194999")


@pytest.fixture
def odd_paths(tmp_path: Path) -> Path:
    (tmp_path / "file.sock").write_text("x")
    (tmp_path / "folder.sock").mkdir()
    listener(tmp_path / "dead.sock").close()
    datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagram.bind(str(tmp_path / "datagram.sock"))
    datagram.close()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.sock", "there is no socket"),
        ("file.sock", "is not a socket"),
        ("folder.sock", "is not a socket"),
        ("dead.sock", "nobody listens at"),
        ("datagram.sock", "nobody listens at"),
        ("x" * 200, "cannot be a socket's path: AF_UNIX path too long"),
    ],
)
def test_path_that_cannot_be_connected_to_says_why(odd_paths: Path, name: str, reason: str) -> None:
    with pytest.raises(NotReached, match=reason):
        connect(Address(path=str(odd_paths / name)), soon())


def test_control_sequences_in_a_path_do_not_reach_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(NotReached) as caught:
        connect(find(str(tmp_path / "a\x1b[2Jb")), soon())
    assert "\x1b" not in str(caught.value)


def test_no_permission_names_the_owner() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    # pytest's own directories are closed to others.
    with tempfile.TemporaryDirectory() as folder, listener(Path(folder, "mine.sock")):
        os.chmod(folder, 0o755)
        os.chmod(f"{folder}/mine.sock", 0o600)
        os.seteuid(65533)
        try:
            with pytest.raises(NotReached, match=r"no permission .* belongs to uid 0, and you are uid 65533"):
                connect(Address(path=f"{folder}/mine.sock"), soon())
        finally:
            os.seteuid(0)


@contextlib.contextmanager
def full_queue(path: Path) -> Iterator[socket.socket]:
    """A listener whose queue of connections is full."""
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(listener(path, backlog=0))
        while True:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            try:
                waiting.connect(str(path))
            except BlockingIOError:
                break
        yield made


def test_full_queue_is_told_at_the_deadline(tmp_path: Path) -> None:
    with full_queue(tmp_path / "x.sock"):
        began = time.monotonic()
        with pytest.raises(Crowded, match="is full: nobody accepts"):
            connect(Address(path=str(tmp_path / "x.sock")), began + 0.1)
        assert 0.1 <= time.monotonic() - began < 0.5


def test_queue_that_was_full_for_a_moment_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_queue(tmp_path / "x.sock") as crowded:
        # Somebody is accepted while we wait for the second attempt.
        monkeypatch.setattr(target.time, "sleep", lambda seconds: crowded.accept()[0].close())
        connect(Address(path=str(tmp_path / "x.sock")), soon()).close()


def test_tcp_port_at_which_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(NotReached, match=f"nobody listens at 127.0.0.1:{port}"):
            connect(Address(host="127.0.0.1", port=port), soon())


def test_tcp_by_a_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = connect(Address(host="localhost", port=server.getsockname()[1]), soon())
        assert made.getpeername() == server.getsockname()
        made.close()


def test_host_that_is_not_known() -> None:
    with pytest.raises(NotReached, match=r"the host no\.\.such is not known"):
        connect(Address(host="no..such", port=1), soon())
