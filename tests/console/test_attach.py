"""`coro attach`, driven by its keys on a terminal, and by a pipe."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.conftest import Daemon
from tests.console.double import Double, result
from tests.console.terminal import Terminal
from tests.console.test_evaluating import note, value
from tests.console.test_main import THREADS

PROMPT = r"\]>>>"


@pytest.fixture
def session(start_daemon: Callable[..., Daemon]) -> Iterator[Terminal]:
    """A session with a real daemon, at its first prompt."""
    start_daemon()
    with Terminal("attach") as terminal:
        terminal.expect(PROMPT)
        yield terminal


def leave(terminal: Terminal) -> None:
    terminal.type("\x04")
    assert terminal.wait_end() == 0


# -- entries


def test_prompt_names_the_daemon(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    with Terminal("attach") as terminal:
        terminal.expect(rf"pid {daemon.pid} \(.*mx\.py\), up .*Python 3.*role eval")
        terminal.expect(rf"mx\[{daemon.pid}\]>>>")
        leave(terminal)


def test_values_prints_and_tracebacks(session: Terminal) -> None:
    session.type("6 * 7\r")
    session.expect(r"\r\n42\r\n")
    session.expect(PROMPT)
    session.type("print('a', end='')\r")
    # The prompt begins on a line of its own.
    session.expect(r"a\r\n")
    session.expect(PROMPT)
    session.type("x = _\r")
    session.expect(PROMPT)
    session.type("1 / 0\r")
    session.expect("ZeroDivisionError: division by zero")
    session.expect(PROMPT)
    session.type("x + 1\r")
    session.expect(r"\r\n43\r\n")
    session.type("quit\r")
    assert session.wait_end() == 0


def test_block_goes_on_until_an_empty_line(session: Terminal) -> None:
    session.type("for i in range(3):\r")
    session.expect(r"\.\.\.")
    # It is indented already.
    session.type("print('n', i * 7)\r")
    session.expect(r"\.\.\.")
    session.type("\r")
    session.expect("n 14")
    session.expect(PROMPT)
    leave(session)


def test_pasted_lines_are_one_entry(session: Terminal) -> None:
    session.type("\x1b[200~a = 20\nb = 22\na + b\x1b[201~\r")
    session.expect(r"\r\n42\r\n")
    leave(session)


def test_commands_behind_a_colon(session: Terminal) -> None:
    for line, expected in (
        (":ps -n 2", "main"),
        (":where 1", "mx.py"),
        (":ps --json", '"name": "worker-1"'),
        (":greet bob --times 2", "hello bob hello bob"),
        (":help", "greet somebody"),
        (":help where", "show where a thread stands|Show where a thread stands"),
        (":where --help", "how where a thread stands"),
        (":pss", "did you mean 'ps'"),
        (":info 99999", "99999"),
        (":ps 'x", "does not end"),
        (":ps --wrong", "--wrong"),
        (":", "a command stands behind the colon"),
        (":history", ":help where"),
    ):
        session.type(line + "\r")
        session.expect(expected)
        session.expect(PROMPT)
    session.type(":quit\r")
    assert session.wait_end() == 0


def test_exit_daemon_asks_first(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    with Terminal("attach") as session:
        session.expect(PROMPT)
        session.type(":exit-daemon 3\r")
        session.expect(rf"End the daemon mx \(pid {daemon.pid}\)\?")
        session.type("n\r")
        session.expect("the daemon goes on")
        session.expect(PROMPT)
        session.type(":exit-daemon 3\r")
        session.expect("End the daemon")
        session.type("y\r")
        assert daemon.process.wait(10) == 3
        session.expect("exits with code 3")
        # Nobody waits for a daemon that went by his own wish.
        assert session.wait_end() == 0


def test_input_is_answered_at_a_prompt(session: Terminal) -> None:
    session.type("x = input('name? ')\r")
    session.expect(r"\nname\?")
    session.type("bob\r")
    session.expect(PROMPT)
    session.type("x\r")
    session.expect("'bob'")
    session.expect(PROMPT)
    session.type("input('more? ')\r")
    session.expect(r"\nmore\?")
    session.type("\x04")
    session.expect("EOFError")
    session.expect(PROMPT)
    session.type("input('last? ')\r")
    session.expect(r"\nlast\?")
    session.type("\x03")
    session.expect("nterrupted")
    session.expect(PROMPT)
    # Ctrl-C works as before after somebody else had the signals.
    session.type("print('on'); coro.sleep_relative(60)\r")
    session.expect(r"\non\r\n")
    session.type("\x03")
    session.expect("nterrupted")
    session.expect(PROMPT)
    leave(session)


def test_output_comes_while_the_line_runs(session: Terminal) -> None:
    session.type("for i in range(2): print('turn', i); coro.sleep_relative(0.3)\r\r")
    session.expect("turn 0")
    assert "turn 1" not in session.seen
    session.expect("turn 1")
    session.expect(PROMPT)
    leave(session)


# -- keys


def test_ctrl_c_interrupts_a_waiting_and_a_spinning_line(session: Terminal) -> None:
    for line in ("print('on'); coro.sleep_relative(60)\r", "print('on')\rwhile True: pass\r\r"):
        session.type(line)
        session.expect(r"\non\r\n")
        time.sleep(0.2)
        session.type("\x03")
        session.expect("nterrupted")
        session.expect(PROMPT)
    session.type("1 + 1\r")
    session.expect(r"\r\n2\r\n")
    leave(session)


def test_ctrl_c_at_the_prompt_clears_the_line(session: Terminal) -> None:
    session.type("1 / 0")
    session.expect("1 / 0")
    session.type("\x03")
    session.expect(PROMPT)
    session.type("6 * 7\r")
    session.expect(r"\r\n42\r\n")
    leave(session)
    assert "ZeroDivision" not in session.all


def test_tab_completes_names_commands_and_thread_ids(session: Terminal) -> None:
    session.type("len(coro.all_thr\t")
    session.expect("coro.all_threads")
    session.type(") > 3\r")
    session.expect("True")
    session.expect(PROMPT)
    session.type(":loc\t\r")
    session.expect(PROMPT)
    session.type(":info \t")
    session.expect("worker-1")
    session.type("\x03")
    session.expect(PROMPT)
    leave(session)


def test_history_is_kept_across_sessions_and_closed_to_others(
    start_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    start_daemon()
    with Terminal("attach") as session:
        session.expect(PROMPT)
        session.type("6 * 7\r")
        session.expect("42")
        session.expect(PROMPT)
        leave(session)
    with Terminal("attach") as session:
        session.expect(PROMPT)
        session.type("\x1b[A\r")
        session.expect(r"\r\n42\r\n")
        leave(session)
    path = tmp_path / "state" / "coro" / "history"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "+6 * 7\n" in path.read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_full_disk_costs_the_history_and_nothing_else(start_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    start_daemon()
    path = tmp_path / "state" / "coro" / "history"
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")
    with Terminal("attach") as session:
        session.expect(PROMPT)
        for number in (1, 2):
            session.type(f"{number} + 41\r")
            session.expect(rf"\r\n{number + 41}\r\n")
            session.expect(PROMPT)
        leave(session)
        assert session.all.count("the history is not kept") == 1


def test_termination_puts_the_terminal_back(session: Terminal) -> None:
    session.type("half a li")
    session.expect("half a li")
    session.process.kill(signal.SIGTERM)
    assert session.wait_end() == 128 + signal.SIGTERM
    # Bracketed paste is off again.
    assert session.all.rindex("\x1b[?2004l") > session.all.rindex("\x1b[?2004h")


# -- loss and return


def test_restarted_daemon_is_found_again_and_the_line_waits(start_daemon: Callable[..., Daemon]) -> None:
    first = start_daemon()
    with Terminal("attach") as session:
        session.expect(PROMPT)
        session.type("1 / 0 # typed for the old one")
        session.expect("the old one")
        first.end()
        session.expect(rf"waiting for mx\[{first.pid}\] to come back \(Ctrl-C gives up\)")
        second = start_daemon()
        session.expect(f"it was restarted: pid {first.pid} is now pid {second.pid}")
        # It stands there again, and did not run.
        session.expect(rf"mx\[{second.pid}\]>>> 1 / 0 # typed")
        session.type("\x03")
        session.expect(PROMPT)
        session.type("6 * 7\r")
        session.expect(r"\r\n42\r\n")
        leave(session)
        assert "ZeroDivision" not in session.all


def test_daemon_at_a_path_is_found_again_at_the_same_path(
    start_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    path = str(tmp_path / "own.sock")
    first = start_daemon(unix_path=path)
    with Terminal("attach", "-t", path) as session:
        session.expect(PROMPT)
        session.type("print('on'); coro.sleep_relative(60)\r")
        session.expect(r"\non\r\n")
        # While a line runs.
        first.end()
        session.expect("to come back")
        second = start_daemon(unix_path=path)
        session.expect(f"pid {first.pid} is now pid {second.pid}")
        session.expect(PROMPT)
        leave(session)


def test_ctrl_c_gives_up_waiting_for_the_daemon(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    with Terminal("attach") as session:
        session.expect(PROMPT)
        daemon.end()
        session.expect("Ctrl-C gives up")
        session.type("\x03")
        assert session.wait_end() == 3


def test_session_that_the_daemon_ended_begins_anew_with_the_next_line(start_daemon: Callable[..., Daemon]) -> None:
    start_daemon()
    with Terminal("attach") as session:
        session.expect(PROMPT)
        for id in range(1, 9):
            kicked = subprocess.run(
                [sys.executable, "-m", "coro.console", "kick", str(id)], capture_output=True, text=True, check=False
            )
            if kicked.returncode == 0:
                break
        session.expect("the daemon ended this session; the next line begins a new one")
        session.expect(PROMPT)
        session.type("coro.all_\t\x03")
        session.expect(PROMPT)
        session.type("6 * 7\r")
        session.expect(r"\r\n42\r\n")
        leave(session)


def test_stopped_daemon_can_be_left_with_ctrl_c(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon()
    with Terminal("attach", size=(30, 200)) as session:
        session.expect(PROMPT)
        daemon.signal(signal.SIGSTOP)
        session.type("1 + 1\r")
        session.expect(r"1 \+ 1\r")
        for _ in range(2):
            time.sleep(1.1)
            session.type("\x03")
        session.expect(rf"not even to Ctrl-C: pid {daemon.pid} \(mx\.py\) is stopped")
        session.expect("Ctrl-C gives up")
        daemon.signal(signal.SIGCONT)
        session.expect(f"connected again: pid {daemon.pid}")
        session.expect(PROMPT)
        leave(session)


# -- what only a double can show


def test_data_cannot_reach_the_terminal_but_what_a_line_prints_does(double: Double) -> None:
    def script(request: dict[str, Any]) -> Iterator[Any]:
        yield note("weather", rain=True)
        yield note("output", id=request["id"], text="\x1b[35mmine\x1b[0m\n")
        yield result(request["id"], value("'\x1b[36mdata'", None))

    double.values["hello"] |= {"argv": ["\x1b[41mname"], "version": "\x1b[42m"}
    double.script = script
    with Terminal("attach", "-t", double.target, environ={"NO_COLOR": "1"}) as session:
        session.expect(PROMPT)
        session.type("x\r")
        session.expect(r"\\x1b\[36mdata")
        session.expect(PROMPT)
        leave(session)
        assert "\x1b[35mmine" in session.all
        for sequence in ("\x1b[36m", "\x1b[41m", "\x1b[42m"):
            assert sequence not in session.all


def test_each_ctrl_c_cancels_again(double: Double) -> None:
    def script(request: dict[str, Any]) -> Any:
        yield note("output", id=request["id"], text="on\n")
        for _ in range(2):
            cancel = yield None
            assert cancel["method"] == "cancel"
            yield result(cancel["id"], {"cancelled": True})
            yield note("output", id=request["id"], text="again\n")
        yield result(request["id"], value(error="Interrupted at last"))

    double.script = script
    with Terminal("attach", "-t", double.target) as session:
        session.expect(PROMPT)
        session.type("x\r")
        session.expect(r"\non\r\n")
        for _ in range(2):
            session.type("\x03")
            session.expect("again")
        session.expect("Interrupted at last")
        session.expect(PROMPT)
        leave(session)


def test_old_daemon_without_hello_fields_and_help(double: Double) -> None:
    double.values = {"hello": {}, "eval": {"value": "42"}, "ps": THREADS}
    with Terminal("attach", "-t", double.target) as session:
        session.expect(rf"\[{os.getpid()}\]>>>")
        session.type("x\r")
        session.expect(r"\r\n42\r\n")
        session.expect(PROMPT)
        session.type(":ps\r")
        session.expect("smtp-in")
        session.expect(PROMPT)
        session.type(":timers\r")
        session.expect("there is no method timers")
        session.expect(PROMPT)
        leave(session)
