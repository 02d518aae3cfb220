"""`coro check`: exit codes, the line, its own deadline."""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coro.console.main import main
from coro.console.peer import Peer
from tests.console.conftest import Daemon
from tests.console.double import Double, Refusal
from tests.console.test_target import full_queue

HEALTH: dict[str, Any] = {
    "schema": "coro.health/1",
    "status": "ok",
    "code": 0,
    "pid": 4242,
    "uptime_s": 90.0,
    "loop": {
        "running": True,
        "turn": 7,
        "lag_p99_s": 0.002,
        "lag_max_s": 0.01,
        "stalled_s": None,
        "stalls": 3,
        "culprit": None,
    },
    "threads": {"alive": 120, "runnable": 2, "waiting": 118, "ended": 9, "uncaught": 0, "deadlocked": []},
    "checks": [
        {"name": "lag", "status": "ok", "value": 0.002, "warn": 0.1, "crit": 1.0, "unit": "s", "text": "lag 2 ms"},
    ],
    "answered_by": "loop",
}


def health(status: str) -> dict[str, Any]:
    check = {**HEALTH["checks"][0], "status": status, "text": "lag | is\nhigh"}
    code = ["ok", "warning", "critical"].index(status)
    return {**HEALTH, "status": status, "code": code, "checks": [check]}


@pytest.fixture
def check(double: Double, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run `coro check` against the double; gives exit code and output."""
    double.values["check"] = HEALTH

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["check", "-t", double.target, *arguments])
        out, err = capsys.readouterr()
        assert err == ""
        return code, out

    return run


Check = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warning", 1), ("critical", 2)])
def test_status_is_the_exit_code(check: Check, double: Double, status: str, code: int) -> None:
    double.values["check"] = health(status)

    assert check()[0] == code


def test_fail_on_critical_lets_a_warning_pass_but_still_tells_it(check: Check, double: Double) -> None:
    double.values["check"] = health("warning")
    code, out = check("--fail-on", "critical")
    assert (code, out[:10]) == (0, "WARNING - ")
    double.values["check"] = health("critical")
    assert check("--fail-on", "critical")[0] == 2


def test_line_is_one_line_with_performance_data(check: Check, double: Double) -> None:
    double.values["check"] = health("critical")
    _, out = check()

    assert out.endswith(" | lag=0.002s;0.1;1\n")
    assert out.count("\n") == 1
    assert out.count("|") == 1


def test_hello_and_check_are_asked_and_only_what_was_typed_is_sent(check: Check, double: Double) -> None:
    check("--crit-stall", "2", "--require", "a", "--require", "b", "--warn-lag", "0.1", "--format", "text")

    assert double.methods() == ["hello", "check"]
    assert double.requests[1]["params"] == {"crit_stall": 2.0, "require": ["a", "b"]}


def test_json_is_the_record(check: Check) -> None:
    for option in (["--format", "json"], ["--json"]):
        code, out = check(*option)
        assert (code, json.loads(out)) == (0, HEALTH)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("threads < 5000", 0),
        ("threads < 100", 2),
        ("runnable == 2 and stalls <= 3 and uptime_s > 60", 0),
        ("lag < 0.001", 2),
        ("lag_p99_s < 0.1 and loop.lag_max_s < 0.1", 0),
        ("thread < 5", 3),
        ("threads <", 3),
        ("threads < 'x'", 3),
    ],
)
def test_expression_over_the_health(check: Check, expression: str, code: int) -> None:
    found, out = check("--expr", expression)

    assert found == code
    if code == 2:
        assert f"{expression}: does not hold" in out


def test_expressions_stand_among_the_checks(check: Check) -> None:
    code, out = check("--json", "--expr", "threads < 5000", "--expr", "threads < 5")
    record = json.loads(out)

    assert (code, record["status"], record["code"]) == (2, "critical", 2)
    assert [(each["name"], each["status"]) for each in record["checks"]] == [
        ("lag", "ok"),
        ("expr", "ok"),
        ("expr", "critical"),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--crit-lag", "x"],
        ["--wrong"],
        ["--timeout", "no"],
        ["word"],
        ["--format", "xml"],
        ["--watch", "1"],
        ["-t"],
    ],
)
def test_wrong_usage_is_unknown(check: Check, double: Double, arguments: list[str]) -> None:
    code, out = check(*arguments)

    assert code == 3
    assert out.startswith("UNKNOWN - ")
    assert double.requests == []


@pytest.mark.parametrize(
    ("code", "expected"), [(-32001, 3), (-32002, 3), (-32601, 3), (-32602, 3), (-32603, 3), (-32003, 2)]
)
def test_refusal_is_unknown_unless_the_loop_is_stalled(
    check: Check, double: Double, code: int, expected: int
) -> None:
    def refuse(params: object) -> None:
        raise Refusal(code, "that is \x1b[31mhow it is")

    double.values["check"] = refuse
    found, out = check()

    assert found == expected
    assert r"that is \x1b[31mhow it is" in out


def test_old_daemon_without_some_fields_is_understood(check: Check, double: Double) -> None:
    double.values = {"check": {"status": "ok"}}

    assert check()[0] == 0


@pytest.mark.parametrize("value", [None, 5, [], {}, {"status": "splendid"}, {"status": ["ok"]}])
def test_answer_that_is_no_health_is_unknown(check: Check, double: Double, value: object) -> None:
    double.values["check"] = value

    assert check()[0] == 3


def test_listener_that_is_no_daemon_is_unknown(check: Check, double: Double) -> None:
    double.greeting = b"220 mail.example ESMTP\r\n"

    assert check()[0] == 3


def test_listener_that_closes_at_once_is_unknown(check: Check, double: Double) -> None:
    double.rude = True
    code, out = check()

    assert code == 3
    assert "closed the connection without an answer" in out


def test_silent_daemon_is_critical_at_the_deadline_with_what_the_outside_shows(
    check: Check, double: Double
) -> None:
    double.silent = True
    began = time.monotonic()
    code, out = check("--timeout", "0.3")

    assert code == 2
    # Part of the time may have been taken for the start of this process.
    assert 0.1 < time.monotonic() - began < 0.6
    assert f"did not answer in time: pid {os.getpid()} (" in out
    assert "state " in out


def test_silence_as_json_has_the_fields_of_a_health_record(check: Check, double: Double) -> None:
    double.silent = True
    code, out = check("--timeout", "0.1", "--json")
    record = json.loads(out)

    assert code == 2
    assert record.keys() == HEALTH.keys()
    assert (record["status"], record["code"], record["pid"]) == ("critical", 2, os.getpid())


def test_full_queue_is_critical_and_names_the_process(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with full_queue(alone / "x.sock"):
        assert main(["check", "-t", str(alone / "x.sock"), "--timeout", "0.2"]) == 2
    out = capsys.readouterr().out
    assert "is full: nobody accepts" in out
    assert f"pid {os.getpid()} (" in out


@pytest.mark.parametrize("target", ["/no/such.sock", "4194999", "mx", "127.0.0.1:1"])
def test_target_that_is_not_there_is_unknown(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-t", target]) == 3
    assert capsys.readouterr().out.startswith("UNKNOWN - ")


def test_dead_socket_is_unknown(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(alone / "x.sock"))
    assert main(["check", "-t", str(alone / "x.sock")]) == 3
    assert "its daemon has ended" in capsys.readouterr().out


def test_token_is_not_sent_to_a_stranger(double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o600)
    monkeypatch.setattr("coro.console.link.peer_of", lambda connection: Peer(777, 1))
    assert main(["check", "-t", double.target, "--token-file", str(token)]) == 3
    assert double.requests == []
    double.values["check"] = HEALTH
    assert main(["check", "-t", double.target, "--token-file", str(token), "--uid", "777"]) == 0
    assert double.requests[0]["params"]["token"] == "s3cret"


def test_fault_of_the_client_itself_is_unknown(
    double: Double, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("coro.console.check._ask", fail)

    assert main(["check", "-t", double.target]) == 3
    assert capsys.readouterr().out == "UNKNOWN - a fault of coro check itself: RecursionError: too deep\n"


# -- a real daemon


def run(*arguments: str) -> tuple[int, str, float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "coro.console", "check", *arguments], capture_output=True, text=True, timeout=20
    )
    assert done.stderr == ""
    return done.returncode, done.stdout, time.monotonic() - began


def test_real_daemon_is_well(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    code, out, _ = run("-t", str(daemon.pid), "--require", "worker-1")

    assert (code, out[:5]) == (0, "OK - ")
    assert run("--require", "nobody")[0] == 2
    assert run("--expr", "threads < 2")[0] == 2
    record = json.loads(run("--json")[1])
    assert (record["pid"], record["answered_by"]) == (daemon.pid, "loop")


def test_stopped_daemon_is_critical_in_under_a_second(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    daemon.signal(signal.SIGSTOP)
    code, out, seconds = run()

    assert code == 2
    assert f"pid {daemon.pid} (mx.py) is stopped by a signal (state T)" in out
    assert seconds < 1.5
    daemon.signal(signal.SIGCONT)
    assert run()[0] == 0


def test_daemon_whose_loop_is_stuck_is_critical_with_the_culprit(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("coro.spawn(hog, 30, thread_name='hog')")
    time.sleep(1.2)
    code, out, _ = run("-t", daemon.target, "--crit-stall", "1")

    assert (code, out[:11]) == (2, "CRITICAL - ")
    assert "hog" in out
    assert "mx.py" in out


def test_daemon_that_has_ended_is_unknown(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    daemon.end()

    assert run("-t", daemon.target)[0] == 3


def test_check_imports_nothing_heavy(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    script = (
        "import sys, coro; before = set(sys.modules)\n"
        "from coro.console.main import main; code = main(['check', '-t', sys.argv[1]])\n"
        "print(sorted(set(sys.modules) - before)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script, daemon.target], capture_output=True, text=True, check=True)
    added = done.stdout.splitlines()[-1]

    for name in ("argparse", "prompt_toolkit", "pygments", "ssl", "subprocess", "importlib.metadata", "difflib",
                 "shutil", "logging", "asyncio", "shlex", "coro.wire.filters", "coro.wire.present"):  # fmt: skip
        assert f"'{name}'" not in added


@pytest.mark.slow
def test_check_costs_little_of_its_own(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    times = []
    for _ in range(9):
        before = os.times()
        assert run("-t", daemon.target)[0] == 0
        after = os.times()
        # CPU time, which does not depend on what else runs on the machine.
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)

    assert statistics.median(times) < 0.12
