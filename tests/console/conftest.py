"""A user with no daemon, no token and no history but those of the test."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console.double import Double

ROOT = Path(__file__).parent.parent.parent
OURS = ("CORO_TARGET", "CORO_TOKEN", "CORO_TOKEN_FILE", "NO_COLOR", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which sockets are looked for: an empty one, and the only one."""
    run = tmp_path / "coro-run"
    run.mkdir(mode=0o700)
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CORO_RUNTIME_DIRECTORY", str(run))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    return run


@pytest.fixture
def double(alone: Path) -> Iterator[Double]:
    """A listener at a path of its own that answers as it is told."""
    with Double(alone / "double.sock") as made:
        yield made


class Daemon:
    """A process that runs a script with coro."""

    def __init__(self, script: str, arguments: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            raise AssertionError(f"the daemon did not start: {errors}")
        self.target = line.strip()
        self.pid = self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and wait until SIGSTOP has done its work."""
        os.kill(self.pid, number)
        deadline = time.monotonic() + 5
        while number == signal.SIGSTOP and "\nState:\tT" not in Path(f"/proc/{self.pid}/status").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def end(self) -> None:
        """Kill it, also if it is stopped; may be repeated."""
        self.process.kill()
        self.process.communicate()


# Prints its address when it listens.  argv: what start() takes, as Python; then statements to run before it waits.
SCRIPT = """
import sys, time
import coro, coro.backdoor

def worker(period):
    while True:
        coro.sleep_relative(period)

def hog(seconds):
    time.sleep(seconds)

@coro.backdoor.command
def greet(who: str, times: int = 1) -> str:
    "greet somebody"
    return " ".join([f"hello {who}"] * times)

def main():
    for number in range(3):
        coro.spawn(worker, 30, thread_name=f"worker-{number}")
    backdoor = coro.backdoor.start(**eval(sys.argv[1]))
    for text in sys.argv[2:]:
        exec(text, globals())
    address = backdoor.address
    print(address if isinstance(address, str) else "%s:%s" % address[:2], flush=True)
    coro.sleep_relative(120)

coro.set_print_exit_string(False)
coro.run(main)
"""


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """A function that starts a daemon: what start() takes as keywords, statements for its main as arguments."""
    started: list[Daemon] = []
    script = tmp_path / "mx.py"
    script.write_text(SCRIPT)

    def start(*statements: str, **parameters: object) -> Daemon:
        made = Daemon(str(script), [repr(parameters), *statements])
        started.append(made)
        return made

    yield start
    for each in started:
        each.end()
