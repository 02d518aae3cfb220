"""The command line as a whole: words, exit codes, what goes to stdout and what to stderr."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coro.console.main import main
from tests.console.conftest import Daemon
from tests.console.double import Double, Refusal

THREADS = [
    {
        "id": number,
        "name": name,
        "state": "waiting",
        "waiting_for": "read",
        "waiting_on": "descriptor 7",
        "waiting_s": 5.0 * number,
        "run_time_s": 0.1,
        "share": 0.01,
        "switches": 7,
        "longest_slice_s": 0.001,
        "selfish_acts": 4,
        "max_selfish_acts": 4,
        "spawned_by": -1,
        "spawn_line": "mx.py:3",
        "turn": 9,
    }
    for number, name in ((1, "main"), (2, "b\x1b[2Jad"), (3, "smtp-in"))
]

Coro = Callable[..., tuple[int, str, str]]


@pytest.fixture
def coro(double: Double, capsys: pytest.CaptureFixture[str]) -> Coro:
    """Run `coro` in this process, with the double as target; gives exit code, stdout, stderr."""
    double.values["ps"] = THREADS

    def run(*arguments: str, target: str | None = double.target) -> tuple[int, str, str]:
        code = main([*(["-t", target] if target else []), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


# -- results


def test_pipe_gets_plain_columns_without_control_sequences(coro: Coro) -> None:
    code, out, err = coro("ps")

    assert (code, err) == (0, "")
    assert "smtp-in" in out
    assert r"b\x1b[2Jad" in out
    assert "\x1b" not in out


def test_sort_filter_and_limit_are_done_here(coro: Coro, double: Double) -> None:
    _, out, _ = coro("ps", "-s", "wait", "-f", "waiting_s > 5", "-n", "1", "--json")

    assert [record["id"] for record in json.loads(out)] == [3]
    assert double.requests[-1]["params"] == {}


def test_json_is_one_line_of_ascii(coro: Coro, double: Double) -> None:
    _, out, _ = coro("--json", "ps")

    assert json.loads(out) == THREADS
    assert out.isascii()
    assert out.count("\n") == 1


def test_parameters_that_were_typed_are_sent_by_name(coro: Coro, double: Double) -> None:
    double.values["where"] = []
    coro("where", "all", "-g", "-n", "3")
    coro("where", "17")

    assert [each["params"] for each in double.requests if each["method"] == "where"] == [
        {"target": "all", "group": True},
        {"target": 17},
    ]


def test_sentinels_answer_is_told_on_stderr(coro: Coro, double: Double) -> None:
    def script(request: dict[str, Any]) -> Any:
        yield {"id": request["id"], "result": {"value": THREADS, "answered_by": "sentinel"}}

    double.script = script
    code, out, err = coro("ps")

    assert (code, "main" in out) == (0, True)
    assert "loop is stuck" in err


# -- exit codes


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ps", "--wrong"], 2, "ps: "),
        (["ps", "-n", "x"], 2, "limit must be a whole number"),
        (["ps", "-f", "waiting_s >"], 2, "filter: "),
        (["ps", "-f", "colour == 3"], 2, "unknown field"),
        (["where"], 2, "target is missing"),
        (["pss"], 2, "did you mean"),
        (["xyzzy"], 2, "there is no command 'xyzzy'"),
        (["quit"], 2, "quit works at the prompt only"),
        (["--wrong", "ps"], 2, "there is no option --wrong"),
        (["ps", "-t"], 2, "-t needs a value"),
        (["interrupt", "17", "--watch", "1"], 2, "interrupt cannot be watched"),
        (["exit-daemon"], 2, "no terminal to ask at; say --yes"),
        (["attach", "now"], 2, "attach takes no arguments"),
        (["ps", "--token-file", "/no/such"], 2, "cannot read the token file /no/such"),
    ],
)
def test_wrong_usage(coro: Coro, arguments: list[str], code: int, message: str) -> None:
    found, out, err = coro(*arguments)

    assert (found, out) == (code, "")
    assert err.startswith("coro: ")
    assert message in err


@pytest.mark.parametrize(
    ("code", "expected"),
    [(-32000, 1), (-32001, 1), (-32002, 1), (-32003, 1), (-32603, 1), (-32602, 2), (-32601, 1)],
)
def test_refusal_by_the_daemon(coro: Coro, double: Double, code: int, expected: int) -> None:
    def refuse(params: object) -> None:
        raise Refusal(code, "there is no thread \x1b[2J17")

    double.values["info"] = refuse
    found, out, err = coro("info", "17")

    assert (found, out) == (expected, "")
    assert r"there is no thread \x1b[2J17" in err


def test_no_daemon(coro: Coro, capsys: pytest.CaptureFixture[str]) -> None:
    assert coro("ps", target="/no/such.sock")[0] == 3
    assert coro("ps", target="4194999")[0] == 3
    assert coro("flush-queue", target="/no/such.sock")[0] == 3
    # What is meant is clear enough.
    assert coro("whre", target="/no/such.sock")[0] == 2


def test_no_answer_in_time_shows_the_process(coro: Coro, double: Double) -> None:
    double.silent = True
    code, out, err = coro("ps", "--timeout", "0.1")

    assert (code, out) == (3, "")
    assert f"did not answer in time: pid {os.getpid()} (" in err


def test_daemon_that_closes_at_once(coro: Coro, double: Double) -> None:
    double.rude = True

    assert coro("ps")[0] == 3


def test_old_daemon_with_fewer_fields_is_shown_as_well_as_can_be(coro: Coro, double: Double) -> None:
    double.values = {"hello": {}, "ps": [{"id": 1, "name": "main"}, {"id": 2}], "lag": {}, "stalls": [{}]}

    for word in ("ps", "lag", "stalls"):
        assert coro(word)[0] == 0
    code, _, err = coro("timers")
    assert code == 1
    assert "does not know timers" in err


# -- words of the application


@pytest.fixture
def greet(double: Double) -> dict[str, Any]:
    described = {
        "name": "greet",
        "role": "observe",
        "group": "look",
        "summary": "greet somebody",
        "schema": "",
        "parameters": [{"name": "who", "kind": "str", "summary": "whom", "required": True}],
    }

    def explain(params: dict[str, Any]) -> list[Any]:
        if params.get("command", "greet") != "greet":
            raise Refusal(-32000, "no such command")
        return [described]

    double.values["help"] = explain
    double.values["greet"] = lambda params: f"hello {params['who']}\x1b[2J"
    return described


@pytest.mark.usefixtures("greet")
def test_command_of_the_application(coro: Coro) -> None:
    assert coro("greet", "bob") == (0, "hello bob\\x1b[2J\n", "")
    assert coro("greet")[0] == 2
    assert coro("greeet", "bob")[0] == 2
    assert "whom" in coro("greet", "--help")[1]
    assert "greet somebody" in coro("help")[1]


def test_application_cannot_change_a_built_in_word(coro: Coro, double: Double, greet: dict[str, Any]) -> None:
    greet["name"] = "ps"

    assert coro("ps")[0] == 0
    assert coro("greet", "bob")[0] == 2


# -- help


def test_help_needs_no_daemon(coro: Coro, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["--help"], ["help"], ["-h"]):
        code, out, _ = coro(*arguments, target=None)
        assert code == 0
        for word in ("attach", "check", "ls", "where", "--watch S", "exit codes"):
            assert word in out
        assert "history" not in out
    for arguments in (["help", "ps"], ["ps", "--help"], ["--help", "ps"], ["ps", "-h", "--filter"]):
        code, out, _ = coro(*arguments, target=None)
        assert code == 0
        assert out.startswith("usage: coro [OPTIONS] ps ")
    assert "--fail-on" in coro("check", "--help", target=None)[1]


def test_nothing_typed_is_wrong_usage_with_the_help(coro: Coro) -> None:
    code, out, _ = coro(target=None)

    assert code == 2
    assert "usage: coro" in out


def test_version(coro: Coro) -> None:
    assert coro("--version")[1].startswith("coro 0.")


# -- stdout


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coro.console", *arguments], text=True, timeout=20, check=False, **options
    )


def test_reader_that_has_seen_enough_is_no_fault(double: Double) -> None:
    double.values["ps"] = [{**THREADS[0], "id": number} for number in range(20_000)]
    reader, writer = os.pipe()
    os.close(reader)
    done = process("ps", "-t", double.target, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [["ps"], ["--help"], ["ls"]])
def test_full_disk_is_told(double: Double, arguments: list[str]) -> None:
    double.values["ps"] = THREADS
    with open("/dev/full", "w") as full:
        done = process(*arguments, "-t", double.target, stdout=full, stderr=subprocess.PIPE)

    if arguments != ["ls"]:
        assert (done.returncode, done.stderr) == (1, "coro: cannot write: No space left on device\n")


def test_terminal_that_is_not_utf_8_shows_escapes(double: Double) -> None:
    double.values["ps"] = [{**THREADS[0], "name": "grün"}]
    done = process("ps", "-t", double.target, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})

    assert (done.returncode, done.stderr) == (0, "")
    assert "gr\\xfcn" in done.stdout


# -- a real daemon


def test_every_looking_command_works(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    for line in (
        *("ps", "where 1", "where all --group", "info 1", "tree", "why 1", "why all", "fds", "timers", "locks"),
        *("dead", "lag", "stalls", "set", "sessions", "help", "greet bob", "greet bob --times 2"),
    ):
        for option in ([], ["--json"]):
            done = process(*line.split(), *option, capture_output=True)
            assert (done.returncode, done.stderr) == (0, ""), line
            if option:
                json.loads(done.stdout)
    assert process("greet", "bob", capture_output=True).stdout == "hello bob\n"
    assert daemon.process.poll() is None


def test_acting_commands_act(start_daemon: Callable[..., Daemon]) -> None:
    start_daemon()
    ids = {
        record["name"]: str(record["id"])
        for record in json.loads(process("ps", "--json", capture_output=True).stdout)
    }

    for line in (
        f"name {ids['worker-0']} smtp-in",
        f"selfish {ids['worker-0']} 2",
        f"interrupt {ids['worker-1']}",
        f"shutdown {ids['worker-2']}",
        "set selfishness 8",
    ):
        done = process(*line.split(), capture_output=True)
        assert (done.returncode, done.stderr) == (0, ""), line
    after = process("ps", capture_output=True).stdout
    assert "smtp-in" in after
    assert "worker-2" not in after
    assert process("interrupt", "99999", capture_output=True).returncode == 1
    assert process("selfish", ids["worker-0"], "0", capture_output=True).returncode == 1


def test_exit_daemon(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    done = process("exit-daemon", "3", "--yes", capture_output=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert daemon.process.wait(10) == 3
    assert process("ps", capture_output=True).returncode == 3


def test_token_over_tcp(start_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = start_daemon(port=0)
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o644)

    assert process("ps", "-t", daemon.target, capture_output=True).returncode == 0
    done = process("ps", "-t", daemon.target, "--token-file", str(token), capture_output=True)
    assert done.returncode == 2
    assert "is open to others" in done.stderr
