"""Looking at many threads, from the client down to the loop and back."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coro.console.client import Client
from tests.console.conftest import Daemon

pytestmark = pytest.mark.slow

MANY = 20_000
# Looking at so many threads takes longer, and nothing that comes on the way is ever so late.
SILENCE_S = 2.0
# Says which commands ran, and how they ended, in a file.
AUDIT = """
import logging, threading
logging.basicConfig(filename={path!r}, level=logging.DEBUG, format="%(message)s")
"""


Start = Callable[[int], Daemon]


@pytest.fixture
def start_big(start_daemon: Callable[..., Daemon], tmp_path: Path) -> Start:
    """A function that starts a daemon with so many threads, which audits to tmp_path/audit."""

    def start(threads: int) -> Daemon:
        return start_daemon(
            AUDIT.format(path=str(tmp_path / "audit")),
            f"for number in range({threads}): coro.spawn(worker, 1000)",
            "coro.sleep_relative(0.1)",
            unix_path=str(tmp_path / "big.sock"),
        )

    return start


@pytest.fixture
def big(start_big: Start) -> Daemon:
    """One with very many."""
    return start_big(MANY)


def ask(daemon: Daemon, *words: str) -> Any:
    """What `coro WORDS --json` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "coro.console", "-t", daemon.target, "--timeout", str(SILENCE_S), "--json", *words],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def wait_for(condition: Callable[[], Any]) -> Any:
    """The condition's value, as soon as it is true."""
    deadline = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def test_threads_are_listed_however_long_it_takes(big: Daemon) -> None:
    began = time.monotonic()
    records = ask(big, "ps")
    took = time.monotonic() - began

    assert took > SILENCE_S, "the daemon was too quick to show anything"
    assert sum(record["waiting_for"] == "sleep" for record in records) > MANY
    assert [record["id"] for record in records] == sorted(record["id"] for record in records)


def test_records_are_sent_while_others_are_not_taken_yet(start_big: Start) -> None:
    daemon = start_big(3000)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(daemon.target)
        connection.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "ps"}\n')
        began = time.monotonic()
        received = connection.recv(65536)
        first = time.monotonic() - began
        while not received.endswith(b"\n"):
            received = connection.recv(65536)
        whole = time.monotonic() - began

    assert first < whole / 4


def test_answer_that_needs_all_threads_first_is_waited_for(big: Daemon) -> None:
    began = time.monotonic()
    groups = ask(big, "where", "all", "--group")
    took = time.monotonic() - began

    assert took > SILENCE_S, "the daemon was too quick to show anything"
    assert groups[0]["count"] > MANY
    assert len(groups[0]["ids"]) == 100


def test_progress_is_told_until_the_answer_begins(start_big: Start) -> None:
    daemon = start_big(8000)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(daemon.target)
        client = Client(connection, "big")
        told: list[tuple[str, dict[str, Any]]] = []
        client.notified = lambda method, params: told.append((method, params))
        client.call("where", {"target": "all", "group": True}, 50)

    assert {method for method, _ in told} == {"progress"}
    assert {params["id"] for _, params in told} == {1}
    elapsed = [params["elapsed_s"] for _, params in told]
    assert elapsed == sorted(elapsed)
    # Four times a second, in the best case.
    assert 3 <= len(elapsed) <= elapsed[-1] * 4 + 1


@contextlib.contextmanager
def asking(daemon: Daemon, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`coro WORDS`, under way in the daemon."""
    command = [sys.executable, "-m", "coro.console", "-t", daemon.target, *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(
            lambda: any((session["running"] or "").startswith(words[0]) for session in ask(daemon, "sessions"))
        )
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("words", [("ps",), ("where", "all", "--group")])
def test_ctrl_c_ends_the_work_in_the_daemon_too(big: Daemon, tmp_path: Path, words: tuple[str, ...]) -> None:
    with asking(big, *words) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130

    def ended() -> re.Match[str] | None:
        log = (tmp_path / "audit").read_text()
        return re.search(rf'command="?{words[0]}\b.* outcome=(\w+) duration_s=([\d.]+)$', log, re.MULTILINE)

    outcome, duration_s = wait_for(ended).groups()
    # The end of the connection may be seen before the wish, but not long after it.
    assert outcome == "interrupted" or (outcome == "failed" and float(duration_s) < SILENCE_S)
