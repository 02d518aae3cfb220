"""Sockets inherited from systemd, in processes of their own with real descriptors."""

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coro.server import inherited_sockets
from tests.core.script import ROOT
from tests.io.pairs import Own

# What systemd does between fork and exec: descriptors from 3 on, and the variables of the child's own pid.
ACTIVATE = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
for fd in fds:
    os.dup2(fd, 100 + fd, inheritable=False)
for number, fd in enumerate(fds):
    os.dup2(100 + fd, 3 + number, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(fds))
if sys.argv[2]:
    os.environ["LISTEN_FDNAMES"] = sys.argv[2]
os.execv(sys.executable, [sys.executable, "-W", "error", "-c", sys.argv[3]])
"""

Activate = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def activate() -> Any:
    """Give a function that starts a script with sockets as systemd would."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *sockets: Any, names: str = "") -> subprocess.Popen[str]:
        numbers = [one.fileno() for one in sockets]
        process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, ",".join(map(str, numbers)), names, textwrap.dedent(script)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            pass_fds=numbers,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def listening(own: Own, family: int = socket.AF_INET, address: Any = ("127.0.0.1", 0)) -> socket.socket:
    made: socket.socket = own(socket.socket(family))
    made.bind(address)
    made.listen(5)
    return made


def output_of(process: "subprocess.Popen[str]") -> list[str]:
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    return stdout.splitlines()


def test_server_runs_on_inherited_sockets(own: Own, activate: Activate, tmp_path: Path) -> None:
    tcp = listening(own)
    unix = listening(own, socket.AF_UNIX, str(tmp_path / "socket"))
    process = activate(
        """
        import coro
        from coro.server import inherited_sockets, tcp_server
        coro.set_print_exit_string(False)

        def hello(connection, address):
            connection.send(b"hello from " + str(connection.family.name).encode())
            if len(seen) == 1:
                coro.set_exit(0)
            seen.append(address)

        seen = []
        listeners = inherited_sockets()
        server = tcp_server(listeners, hello)
        coro.spawn(server.join)
        try:
            coro.event_loop()
        finally:
            server.close()
        """,
        tcp,
        unix,
    )
    with socket.create_connection(tcp.getsockname(), timeout=20) as client:
        assert client.recv(100) == b"hello from AF_INET"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(unix.getsockname())
        assert client.recv(100) == b"hello from AF_UNIX"
    output_of(process)
    # It is systemd's file, not the server's.
    assert (tmp_path / "socket").exists()


def test_names_choose_among_them(own: Own, activate: Activate) -> None:
    web, admin, more = listening(own), listening(own), listening(own)
    script = """
        import os
        from coro.server import inherited_sockets
        for name in ("web", "admin", "nothing"):
            found = inherited_sockets(name)
            print(name, *[one.getsockname()[1] for one in found], *[one.fileno() for one in found])
            print(*[os.get_inheritable(one.fileno()) for one in found])
            for one in found:
                one.detach()
    """
    lines = output_of(activate(script, web, admin, more, names="web:admin:web"))
    ports = [one.getsockname()[1] for one in (web, admin, more)]
    assert lines == [
        f"web {ports[0]} {ports[2]} 3 5",
        "False False",
        f"admin {ports[1]} 4",
        "False",
        "nothing",
        "",
    ]


def test_all_in_order_without_names(own: Own, activate: Activate) -> None:
    sockets = [listening(own) for _ in range(3)]
    script = """
        from coro.server import inherited_sockets
        for one in inherited_sockets():
            with one:
                print(one.fileno(), one.getsockname()[1])
    """
    assert output_of(activate(script, *sockets)) == [
        f"{3 + number} {one.getsockname()[1]}" for number, one in enumerate(sockets)
    ]


def test_descriptor_that_is_no_socket_raises(own: Own, activate: Activate, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        lines = output_of(
            activate(
                """
                import errno, os
                from coro.server import inherited_sockets
                before = os.listdir("/proc/self/fd")
                try:
                    inherited_sockets()
                except OSError as error:
                    print(error.errno == errno.ENOTSOCK)
                print(before == os.listdir("/proc/self/fd"))
                """,
                file,
            )
        )
    assert lines == ["True", "True"]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_without_socket_activation_there_are_none(environment: pytest.MonkeyPatch) -> None:
    assert inherited_sockets() == []
    # Meant for the parent, whose environment was inherited.
    environment.setenv("LISTEN_PID", str(os.getppid()))
    environment.setenv("LISTEN_FDS", "1")
    assert inherited_sockets() == []
    environment.setenv("LISTEN_PID", str(os.getpid()))
    environment.setenv("LISTEN_FDS", "0")
    assert inherited_sockets() == []


@pytest.mark.parametrize("count", ["", "many", "-1", "1.5"])
def test_variables_that_make_no_sense_are_refused(count: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LISTEN_PID", str(os.getpid()))
    environment.setenv("LISTEN_FDS", count)
    with pytest.raises(ValueError, match="LISTEN_FDS"):
        inherited_sockets()
