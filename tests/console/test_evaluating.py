"""`coro eval`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coro.console.main import main
from coro.console.peer import Peer
from tests.console.conftest import Daemon
from tests.console.double import Double, result


def note(method: str, **params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def value(repr_: str | None = None, error: str | None = None, incomplete: bool = False) -> dict[str, Any]:
    return {"value": repr_, "error": error, "incomplete": incomplete, "seconds": 0.1}


def evaluate(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coro.console", "eval", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


def test_output_then_value(double: Double, capsys: pytest.CaptureFixture[str]) -> None:
    def script(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield note("output", id=request["id"], text="\x1b[31mred\n")
        yield note("output", id=request["id"], text="half")
        yield result(request["id"], value("'a\x1b[2J'"))

    double.script = script
    assert main(["eval", "-t", double.target, "f(1,", "2)"]) == 0

    # What the code printed is its own; the repr is data.
    assert capsys.readouterr().out == "\x1b[31mred\nhalf\n'a\\x1b[2J'\n"
    assert double.requests[-1]["params"] == {"code": "f(1, 2)"}


def test_nothing_is_printed_for_none(double: Double, capsys: pytest.CaptureFixture[str]) -> None:
    double.values["eval"] = value()

    assert main(["eval", "-t", double.target, "None"]) == 0
    assert capsys.readouterr() == ("", "")


def test_traceback_goes_to_stderr_with_exit_code_1(double: Double, capsys: pytest.CaptureFixture[str]) -> None:
    double.values["eval"] = value(error="Traceback:\n\tline\nKeyError: '\x1b[2J'\n")

    assert main(["eval", "-t", double.target, "x"]) == 1
    assert capsys.readouterr() == ("", "Traceback:\n\tline\nKeyError: '\\x1b[2J'\n")


def test_incomplete_code_and_odd_answers_fail(double: Double) -> None:
    for odd in (value(incomplete=True), "x", None, []):
        double.values["eval"] = odd
        assert main(["eval", "-t", double.target, "if x:"]) == 1
    double.values["eval"] = {}
    assert main(["eval", "-t", double.target, "pass"]) == 0


def test_json_is_the_record(double: Double, capsys: pytest.CaptureFixture[str]) -> None:
    double.values["eval"] = value("2")

    assert main(["eval", "--json", "-t", double.target, "1+1"]) == 0
    assert json.loads(capsys.readouterr().out) == value("2")


def test_code_is_not_sent_to_a_stranger(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coro.console.link.peer_of", lambda connection: Peer(777, 1))
    double.values["eval"] = value()

    assert main(["eval", "-t", double.target, "secret"]) == 3
    assert double.requests == []
    assert main(["eval", "-t", double.target, "--uid", "777", "secret"]) == 0
    # What is no secret needs no trust.
    double.values["ps"] = []
    assert main(["ps", "-t", double.target]) == 0


def test_silent_daemon_ends_at_the_timeout(double: Double, capsys: pytest.CaptureFixture[str]) -> None:
    double.script = lambda request: iter(())

    assert main(["eval", "-t", double.target, "--timeout", "0.2", "x"]) == 3
    assert f"pid {os.getpid()}" in capsys.readouterr().err


def test_ctrl_c_sends_cancel_and_waits_for_the_traceback(double: Double) -> None:
    def script(request: dict[str, Any]) -> Any:
        yield note("output", id=request["id"], text="runs\n")
        cancel = yield None
        assert cancel["method"] == "cancel"
        assert cancel["params"] == {"id": request["id"]}
        yield result(cancel["id"], {"cancelled": True})
        yield result(request["id"], value(error="LineInterrupted\n"))

    double.script = script
    with subprocess.Popen(
        [sys.executable, "-m", "coro.console", "eval", "-t", double.target, "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)

    assert (process.returncode, out, err) == (1, "", "LineInterrupted\n")


def test_ctrl_c_leaves_a_daemon_that_does_not_even_answer_cancel(double: Double) -> None:
    def script(request: dict[str, Any]) -> Any:
        if request["method"] == "eval":
            yield note("output", id=request["id"], text="runs\n")

    double.script = script
    with subprocess.Popen(
        [sys.executable, "-m", "coro.console", "eval", "-t", double.target, "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(1.1)
        _, err = process.communicate(timeout=10)

    assert process.returncode == 3
    assert "does not answer, not even to Ctrl-C" in err
    assert double.methods().count("cancel") == 1


# -- a real daemon


def test_real_daemon_evaluates(start_daemon: Callable[..., Daemon]) -> None:
    start_daemon()

    assert evaluate("print('x'); 6 * 7").stdout == "x\n42\n"
    assert evaluate("for i in (1, 2):\n    print(i)").stdout == "1\n2\n"
    assert evaluate("len(coro.all_threads) > 3").stdout == "True\n"
    failed = evaluate("1/0")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert evaluate("input('name? ') + input()", input="bob\nx\n").stdout == "'bobx'\n"
    assert evaluate("input()", stdin=subprocess.DEVNULL).returncode == 1
    assert evaluate("-- -1").stdout == "-1\n"


def test_prompt_that_is_turned_off(start_daemon: Callable[..., Daemon]) -> None:
    start_daemon(eval=False)
    done = evaluate("1")

    assert done.returncode == 1
    assert "turned off" in done.stderr


def test_ctrl_c_ends_a_spinning_line(start_daemon: Callable[..., Daemon]) -> None:
    start_daemon()
    with subprocess.Popen(
        [sys.executable, "-m", "coro.console", "eval", "print('runs')\nwhile True: pass"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)

    assert process.returncode == 1
    assert "nterrupted" in err
