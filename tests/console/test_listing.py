"""`coro ls`."""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coro.console.main import main
from tests.console.conftest import Daemon
from tests.console.double import Double
from tests.console.test_target import full_queue

Ls = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ls(capsys: pytest.CaptureFixture[str]) -> Ls:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["ls", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_no_daemon_is_an_empty_list(ls: Ls) -> None:
    assert ls() == (0, "", "coro: no daemon runs here for you\n")
    assert ls("--json") == (0, "[]\n", "")


def test_daemons_are_listed_with_name_and_uptime(
    ls: Ls, start_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    usual, unusual = start_daemon(), start_daemon(unix_path=str(tmp_path / "own.sock"))
    _, table, _ = ls()
    records = {record["pid"]: record for record in json.loads(ls("--json")[1])}

    assert len(table.splitlines()) == 3
    assert records.keys() == {usual.pid, unusual.pid}
    record = records[unusual.pid]
    assert 0 < record.pop("uptime_s") < 60
    assert record.pop("version")
    assert record == {
        "pid": unusual.pid,
        "name": "mx",
        "role": "eval",
        "uid": os.geteuid(),
        "socket": str(tmp_path / "own.sock"),
        "fault": None,
    }


def test_daemons_that_do_not_answer_are_waited_for_together(
    ls: Ls, start_daemon: Callable[..., Daemon], alone: Path
) -> None:
    well, *stopped = (start_daemon() for _ in range(3))
    for each in stopped:
        each.signal(signal.SIGSTOP)
    with full_queue(alone / "77.sock"):
        began = time.monotonic()
        code, out, _ = ls("--timeout", "0.3", "--json")
        assert 0.3 <= time.monotonic() - began < 0.6
        assert "FAULT" in ls("--timeout", "0.1")[1]
    faults = {record["pid"]: record["fault"] for record in json.loads(out)}

    assert code == 0
    assert faults == {
        well.pid: None,
        77: "accepts no connections",
        **{each.pid: "no answer, process state T" for each in stopped},
    }


def test_strangers_at_sockets_do_not_disturb_the_list(ls: Ls, alone: Path) -> None:
    with contextlib.ExitStack() as stack:
        garbage, rude, old, odd = (stack.enter_context(Double(alone / f"{pid}.sock")) for pid in (11, 12, 13, 14))
        garbage.greeting = b"220 \x1b[2Jmail\r\n"
        rude.rude = True
        old.values = {"hello": {}}
        odd.values = {"hello": {"pid": "x", "argv": "y", "name": ["\x1b[2J"], "uptime_s": "long", "version": 3}}
        code, out, _ = ls("--json")
        assert "\x1b" not in ls()[1]
    records = json.loads(out)

    assert code == 0
    assert [bool(record["fault"]) for record in records] == [True, True, False, False]
    assert {record["pid"] for record in records} == {os.getpid()}


def test_directory_that_others_may_write_is_not_searched_and_told(ls: Ls, alone: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(alone / "11.sock"))
        server.listen()
        alone.chmod(0o777)
        code, out, err = ls()

    assert (code, out) == (0, "")
    assert f"coro: not searched: {alone} may be written by others" in err


def test_wrong_argument(ls: Ls) -> None:
    assert ls("--al")[0] == 2
    assert ls("x")[0] == 2
