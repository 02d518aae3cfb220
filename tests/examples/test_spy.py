"""The spy between curl and Python's own web server, and between nc and socat."""

import hashlib
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.program import HOST, ROOT, TIME_LIMIT_S, Program, python, wait_until

Serve = Callable[..., Program]
Start = Callable[..., Program]
LARGE_BYTES = 30_000_000
SMALL = b"hello\x1b[2J\xff worms\n"


@pytest.fixture
def web(start: Start, tmp_path: Path) -> Program:
    """`python -m http.server`, with a small and a large file."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "small").write_bytes(SMALL)
    (folder / "large").write_bytes(os.urandom(LARGE_BYTES))
    return start([sys.executable, "-m", "http.server", "0", "--bind", HOST, "--directory", str(folder)])


def curl(path: str, port: int, *options: str) -> bytes:
    """Get a file; returns its body."""
    command = ["curl", "--silent", "--show-error", "--fail", *options, f"http://{HOST}:{port}/{path}"]
    return subprocess.run(command, capture_output=True, timeout=TIME_LIMIT_S, check=True).stdout


def test_curl_gets_the_file_and_the_spy_prints_what_passed(
    serve: Serve, web: Program, require_tool: Callable[[str], str]
) -> None:
    require_tool("curl")
    spy = serve("examples.spy", f"{HOST}:{web.port}", "--show", "4096")

    assert curl("small", spy.port) == SMALL

    spy.wait_for(r"#1 closed, \d+ bytes forth, \d+ back\n")
    spy.wait_for(r"#1 client -> server  +\d+ bytes  b'GET /small HTTP/1.1\\r\\n")
    spy.wait_for(r"#1 server -> client  +\d+ bytes  b'HTTP/1.0 200 OK\\r\\n")
    spy.wait_for(re.escape(r"hello\x1b[2J\xff worms\n'"))
    assert "\x1b" not in spy.output


def test_large_file_is_intact_and_the_sizes_add_up(
    serve: Serve, web: Program, require_tool: Callable[[str], str], tmp_path: Path
) -> None:
    require_tool("curl")
    spy = serve("examples.spy", f"{HOST}:{web.port}", "--show", "20")

    body = curl("large", spy.port)

    large = (tmp_path / "web" / "large").read_bytes()
    assert hashlib.sha256(body).digest() == hashlib.sha256(large).digest()
    back = int(spy.wait_for(r"#1 closed, \d+ bytes forth, (\d+) back\n")[1])
    pieces = [int(size) for size in re.findall(r"#1 server -> client +(\d+) bytes  b", spy.output)]
    assert sum(pieces) == back > LARGE_BYTES
    assert max(len(line) for line in spy.output.splitlines()) < 160


def test_downloads_at_once_do_not_mix(serve: Serve, web: Program, require_tool: Callable[[str], str]) -> None:
    require_tool("curl")
    spy = serve("examples.spy", f"{HOST}:{web.port}", "--show", "0")
    command = ["curl", "--silent", "--fail", f"http://{HOST}:{spy.port}/"]

    running = [
        subprocess.Popen([*command[:-1], command[-1] + path], stdout=subprocess.PIPE)
        for path in ("large", "small", "large", "small")
    ]
    sizes = [len(process.communicate(timeout=TIME_LIMIT_S)[0]) for process in running]

    assert sizes == [LARGE_BYTES, len(SMALL)] * 2


def test_end_of_the_one_way_is_passed_on_while_the_other_goes_on(
    serve: Serve, start: Start, require_tool: Callable[[str], str]
) -> None:
    # wc answers only when it has read to the end.
    socat = start([require_tool("socat"), "-d", "-d", f"TCP-LISTEN:0,bind={HOST}", "EXEC:wc -c"])
    wait_until(lambda: "listening on" in socat.errors, "socat listens")
    found = re.search(r"listening on AF=2 127\.0\.0\.1:(\d+)", socat.errors)
    assert found is not None
    spy = serve("examples.spy", f"{HOST}:{found[1]}")

    command = [require_tool("nc"), "-N", HOST, str(spy.port)]
    done = subprocess.run(command, input=b"x" * 12345, capture_output=True, timeout=TIME_LIMIT_S)

    assert done.stdout.strip() == b"12345"
    spy.wait_for(r"#1 client -> server  end of stream after 12345 bytes\n")
    spy.wait_for(r"#1 closed, 12345 bytes forth, 6 back\n")
    assert socat.wait() == 0


def test_client_of_a_dead_target_is_let_go_and_the_next_one_served(
    serve: Serve, require_tool: Callable[[str], str]
) -> None:
    with socket.socket() as target:
        target.bind((HOST, 0))
        spy = serve("examples.spy", f"{HOST}:{target.getsockname()[1]}")
        command = [require_tool("nc"), HOST, str(spy.port)]

        # Without -N nc does not close its side: it ends because the spy hangs up.
        assert subprocess.run(command, input=b"", capture_output=True, timeout=TIME_LIMIT_S).stdout == b""
        spy.wait_for(rf"#1 no connection to {HOST} port \d+: .*refused")
        target.listen()
        with socket.create_connection((HOST, spy.port), timeout=TIME_LIMIT_S) as client:
            connection, _ = target.accept()
            with connection:
                client.sendall(b"hello")
                assert connection.recv(100) == b"hello"


def test_reset_of_one_side_cuts_the_other(serve: Serve) -> None:
    with socket.create_server((HOST, 0)) as target:
        target.settimeout(TIME_LIMIT_S)
        spy = serve("examples.spy", f"{HOST}:{target.getsockname()[1]}")
        client = socket.create_connection((HOST, spy.port))
        connection, _ = target.accept()
        with connection:
            connection.settimeout(TIME_LIMIT_S)
            # Closing with a linger time of 0 resets the connection.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

            assert connection.recv(100) == b""

    spy.wait_for(r"#1 client -> server  broken after 0 bytes: .*reset")
    spy.wait_for(r"#1 closed, 0 bytes forth, 0 back\n")


@pytest.mark.parametrize("target", ["localhost", ":80", "localhost:", "localhost:http"])
def test_target_without_host_or_port_is_refused(target: str) -> None:
    done = subprocess.run(
        python("examples.spy", target), cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT_S
    )

    assert done.returncode == 2
    assert f"expected HOST:PORT, got '{target}'" in done.stderr
