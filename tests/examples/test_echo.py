"""The echo server under real clients, and the echo client against real servers."""

import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from tests.examples.program import HOST, ROOT, TIME_LIMIT_S, Program, python

LINES = b"one\ntwo\n\x00\xff\r\nthe last has no end"

Serve = Callable[..., Program]


def run_client(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run the echo client to its end."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        python("examples.echo_client", *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
        **options,
    )


def test_nc_gets_back_what_it_sends_and_then_the_end(serve: Serve, require_tool: Callable[[str], str]) -> None:
    server = serve("examples.echo_server")

    done = subprocess.run(
        [require_tool("nc"), "-N", HOST, str(server.port)], input=LINES, capture_output=True, timeout=TIME_LIMIT_S
    )

    assert done.stdout == LINES


def test_socat_gets_back_megabytes(serve: Serve, require_tool: Callable[[str], str], tmp_path: Path) -> None:
    server = serve("examples.echo_server")
    data = os.urandom(3_000_000)
    (tmp_path / "data").write_bytes(data)

    command = [require_tool("socat"), "-t", "10", "-", f"TCP:{HOST}:{server.port}"]
    with (tmp_path / "data").open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, timeout=TIME_LIMIT_S)

    assert done.stdout == data


def test_telnet_shows_the_echo_of_a_line(serve: Serve, require_tool: Callable[[str], str]) -> None:
    server = serve("examples.echo_server")

    with pexpect.spawn(require_tool("telnet"), [HOST, str(server.port)], timeout=TIME_LIMIT_S) as telnet:
        telnet.expect_exact("Escape character")
        telnet.setecho(False)
        telnet.sendline("hello, worms")
        telnet.expect_exact("hello, worms\r\n")


def test_unix_socket_serves_nc_and_goes_away_at_the_end(
    serve: Serve, require_tool: Callable[[str], str], tmp_path: Path
) -> None:
    path = tmp_path / "echo.sock"
    server = serve("examples.echo_server", "--unix", path)
    assert str(path) in server.wait_for(r".*\n")[0]

    done = subprocess.run(
        [require_tool("nc"), "-N", "-U", path], input=LINES, capture_output=True, timeout=TIME_LIMIT_S
    )
    checked = run_client("--unix", path, "--check", "--connections", 5, "--messages", 5)

    assert done.stdout == LINES
    assert checked.returncode == 0, checked.stderr
    assert server.stop() == 0
    assert not path.exists()


def test_client_checks_many_connections_at_once(serve: Serve) -> None:
    server = serve("examples.echo_server")

    done = run_client("--port", server.port, "--check", "--connections", 60, "--messages", 20)

    assert done.returncode == 0, done.stderr
    summary = re.fullmatch(
        r"60 connections x 20 messages: all 1200 came back unchanged, "
        r"(\d+) bytes in \d+\.\d\d s \(\d+ messages/s\)\n",
        done.stdout,
    )
    assert summary is not None, done.stdout
    assert int(summary[1]) > 1_000_000


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_client_prints_the_echo_of_each_line_of_stdin(serve: Serve, tmp_path: Path, kind: str) -> None:
    server = serve("examples.echo_server")
    text = "one\ntwo\nthe last has no end"
    (tmp_path / "lines").write_text(text)

    if kind == "pipe":
        done = run_client("--port", server.port, input=text)
    else:
        with (tmp_path / "lines").open() as file:
            done = run_client("--port", server.port, stdin=file)

    assert (done.returncode, done.stdout, done.stderr) == (0, text, "")


@contextmanager
def answering(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """A server of one connection, which answers the first piece and closes; gives its port."""

    def serve_one() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(answer(connection.recv(65536)))

    with socket.create_server((HOST, 0)) as listener:
        os_thread = threading.Thread(target=serve_one)
        os_thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            os_thread.join()


def test_client_notices_that_a_message_came_back_changed() -> None:
    with answering(lambda data: data[:-1] + bytes([data[-1] ^ 1])) as port:
        done = run_client("--port", port, "--check", "--connections", 1, "--messages", 1)

    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(
        r"echo_client: 1 of 1 connections failed, the first: a message of \d+ bytes came back changed\n",
        done.stderr,
    )


def test_client_says_that_the_server_closed_early() -> None:
    with answering(lambda data: data[:1]) as port:
        done = run_client("--port", port, input="hello\n")

    assert (done.returncode, done.stderr) == (1, "echo_client: the server closed the connection early\n")


@pytest.mark.parametrize("check", [[], ["--check", "--connections", "3"]])
def test_client_says_that_nobody_listens(check: list[str]) -> None:
    # Bound but not listening: nobody else can take the port, and it refuses.
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        done = run_client("--port", taken.getsockname()[1], *check, stdin=subprocess.DEVNULL)

    assert done.returncode == 1
    if check:
        assert "3 of 3 connections failed" in done.stderr
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_client_wants_to_know_where() -> None:
    done = run_client()

    assert done.returncode == 2
    assert "name the server" in done.stderr


@pytest.mark.parametrize("module", ["examples.echo_server", "examples.chat", "examples.worms", "examples.spy"])
def test_server_whose_port_is_taken_says_so(module: str) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        target = [f"{HOST}:1"] if module == "examples.spy" else []
        done = subprocess.run(
            python(module, *target, "--port", port),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
        )

    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"{module.partition('.')[2]}: .*Address already in use.*\n", done.stderr)
