"""`--watch`: in a pipe and on a terminal, across a restart."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.console.conftest import Daemon
from tests.console.double import Double, Refusal
from tests.console.terminal import Terminal
from tests.console.test_main import THREADS


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "coro.console", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# -- in a pipe


def test_pipe_gets_results_with_a_blank_line_between(double: Double) -> None:
    double.values["ps"] = THREADS[:1]
    with start("ps", "-t", double.target, "--watch", "0.05") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(8)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)

    assert (process.returncode, err) == (0, "")
    assert [bool(line.strip()) for line in lines] == [True, True, False] * 2 + [True, True]
    # One connection for all.
    assert double.methods().count("hello") == 1


def test_json_is_one_line_each_time(double: Double) -> None:
    double.values["ps"] = THREADS
    with start("ps", "-t", double.target, "--watch", "0.05", "--json") as process:
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline()) for _ in range(3)] == [THREADS] * 3
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)


def test_what_fails_at_once_ends_it(double: Double) -> None:
    def refuse(params: object) -> None:
        raise Refusal(-32000, "there is no thread 17")

    double.values["info"] = refuse
    for arguments, code in ((["info", "17"], 1), (["ps", "-x"], 2), (["shutdown", "1"], 2), (["ls"], 2)):
        with start(*arguments, "-t", double.target, "--watch", "1") as process:
            process.communicate(timeout=10)
        assert process.returncode == code
    with start("ps", "-t", "/no/such.sock", "--watch", "1") as process:
        process.communicate(timeout=10)
    assert process.returncode == 3


def test_pipe_goes_on_after_a_lost_connection(double: Double) -> None:
    double.values["ps"] = THREADS
    with start("ps", "-t", double.target, "--watch", "0.05", "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        double.values["hello"]["pid"] = 4243
        double.hang_up()
        process.stdout.readline()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)

    assert process.returncode == 0
    assert "closed the connection" in err
    assert "the daemon was restarted: pid 4242 is now pid 4243" in err


def test_reader_that_has_seen_enough_ends_it(double: Double) -> None:
    double.values["ps"] = THREADS
    with start("ps", "-t", double.target, "--watch", "0.05") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


# -- on a terminal


def test_terminal_is_refreshed_in_place_and_left_as_it_was(double: Double) -> None:
    turns = iter(range(1000))
    double.values["ps"] = lambda params: [{**THREADS[0], "name": f"turn-{next(turns)}"}]
    with Terminal("ps", "-t", double.target, "--watch", "0.1") as terminal:
        terminal.expect(r"every 0\.1 s")
        terminal.expect("turn-3")
        terminal.type("\x03")
        assert terminal.wait_end() == 0
        seen = terminal.all

    assert seen.count("\x1b[?1049h") == seen.count("\x1b[?1049l") == 1
    assert seen.rstrip().endswith("\x1b[?7h\x1b[?25h\x1b[?1049l")
    # From the first row again, and no line feed in the last one, which would scroll.
    assert seen.count("\x1b[H") >= 4
    assert "\x1b[31m" not in seen


def test_more_lines_than_the_terminal_has_are_counted(double: Double) -> None:
    double.values["ps"] = [{**THREADS[0], "id": number} for number in range(100)]
    with Terminal("ps", "-t", double.target, "--watch", "0.1", size=(12, 100)) as terminal:
        # 12 rows: title, message, header, 8 threads, and this.
        terminal.expect("… 92 lines more")
        terminal.process.setwinsize(22, 100)
        terminal.expect("… 82 lines more")
        terminal.type("\x03")
        assert terminal.wait_end() == 0


def test_termination_puts_the_terminal_back(double: Double) -> None:
    double.values["ps"] = THREADS
    with Terminal("ps", "-t", double.target, "--watch", "0.1") as terminal:
        terminal.expect("smtp-in")
        terminal.process.kill(signal.SIGTERM)
        assert terminal.wait_end() == 128 + signal.SIGTERM
        assert terminal.all.rstrip().endswith("\x1b[?1049l")


def test_command_that_fails_later_is_told_in_place(double: Double) -> None:
    values: list[Any] = [[THREADS[0]], [THREADS[1]]]

    def once(params: object) -> Any:
        if not values:
            raise Refusal(-32000, "that is gone")
        return values.pop(0)

    double.values["ps"] = once
    with Terminal("ps", "-t", double.target, "--watch", "0.1") as terminal:
        terminal.expect("that is gone")
        # The last result stays.
        terminal.expect("waiting")
        terminal.type("\x03")
        assert terminal.wait_end() == 0


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_may_be_turned_off(double: Double, environ: dict[str, str]) -> None:
    double.values["ps"] = THREADS
    with Terminal("ps", "-t", double.target, environ=environ) as terminal:
        assert terminal.wait_end() == 0
        assert "\x1b" not in terminal.all
    with Terminal("ps", "-t", double.target) as terminal:
        assert terminal.wait_end() == 0
        assert re.search(r"\x1b\[[0-9;]*m", terminal.all)
        assert "\x1b[2J" not in terminal.all


def test_table_fits_the_terminal(double: Double) -> None:
    double.values["ps"] = [{**THREADS[0], "name": "n" * 200, "spawn_line": "s" * 200}]
    for columns in (60, 80, 132):
        with Terminal("ps", "-t", double.target, environ={"NO_COLOR": "1"}, size=(30, columns)) as terminal:
            terminal.wait_end()
            assert max(map(len, terminal.all.splitlines())) <= columns


def test_restarted_daemon_is_watched_on(start_daemon: Callable[..., Daemon], alone: object) -> None:
    first = start_daemon()
    with Terminal("ps", "--watch", "0.2", size=(30, 150)) as terminal:
        terminal.expect(rf"mx\[{first.pid}\]")
        first.end()
        terminal.expect("closed the connection|its daemon has ended|no socket|Connection reset")
        second = start_daemon()
        assert second.pid != first.pid
        terminal.expect(f"the daemon was restarted: pid {first.pid} is now pid {second.pid}")
        terminal.expect("worker-1")
        terminal.type("\x03")
        assert terminal.wait_end() == 0


def test_stopped_daemon_is_told_and_watched_on(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    with Terminal("ps", "--watch", "0.2", "--timeout", "0.5", size=(30, 200)) as terminal:
        terminal.expect("worker-1")
        daemon.signal(signal.SIGSTOP)
        terminal.expect(rf"did not answer in time: pid {daemon.pid} \(mx.py\) is stopped by a signal")
        daemon.signal(signal.SIGCONT)
        time.sleep(0.5)
        terminal.seen = ""
        terminal.expect("worker-1")
        terminal.type("\x03")
        assert terminal.wait_end() == 0
    assert os.path.exists(daemon.target)
