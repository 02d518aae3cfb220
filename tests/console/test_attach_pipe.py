"""`coro attach` with a pipe for stdin."""

import subprocess
import sys
from collections.abc import Callable

from tests.console.conftest import Daemon
from tests.console.double import Double


def piped(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coro.console", "attach", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_pipe_is_executed_without_prompts(start_daemon: Callable[..., Daemon]) -> None:
    start_daemon()
    done = piped("x = 6\nfor i in (1, 2):\n    print(x * i)\nx * 7\n:greet bob\ny = input()\nfrom stdin\ny\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "6\n12\n42\nhello bob\n'from stdin'\n"


def test_exit_code_of_a_pipe_is_that_of_its_last_line(start_daemon: Callable[..., Daemon]) -> None:
    start_daemon()
    for text, code in (
        ("1/0\n", 1),
        ("1/0\n1\n", 0),
        (":info 99999\n", 1),
        (":nonsense\n", 1),
        ("if True:\n", 1),
        ("f(\n", 1),
        ("quit\n1/0\n", 0),
        ("1/0\nquit\n", 1),
        (":exit-daemon\n", 1),
        ("", 0),
    ):
        done = piped(text)
        assert done.returncode == code, text
        assert bool(done.stderr) == ("1/0" in text.partition("quit")[0] or code == 1), text


def test_pipe_ends_when_the_daemon_is_lost(double: Double) -> None:
    double.script = lambda request: iter([b"junk\n"])
    done = piped("x\ny\n", "-t", double.target)

    assert done.returncode == 3
    assert double.methods().count("eval") == 1
