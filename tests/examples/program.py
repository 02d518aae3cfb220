"""Examples and their clients, each a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
HOST = "127.0.0.1"
TIME_LIMIT_S = 20


def python(module: str, *arguments: object) -> list[str]:
    """The command that runs a module, with every warning an error."""
    return [sys.executable, "-X", "dev", "-W", "error", "-m", module, *map(str, arguments)]


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for another process; fails with `what` when it takes too long."""
    deadline = time.monotonic() + TIME_LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIME_LIMIT_S} s: {what}"
        time.sleep(0.01)


class Program:
    """A process whose output goes to files, so that it never waits for the test to read."""

    def __init__(self, command: Sequence[str], folder: Path, *, has_input: bool = False) -> None:
        number = len(list(folder.glob("*.out")))
        self.command = command
        self.out = folder / f"{number}.out"
        self.err = folder / f"{number}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __repr__(self) -> str:
        return f"{self.command} wrote {self.output[-2000:]!r} and to stderr {self.errors!r}"

    @property
    def output(self) -> str:
        """What it has written to stdout so far."""
        return self.out.read_bytes().decode()

    @property
    def errors(self) -> str:
        """What it has written to stderr so far."""
        return self.err.read_bytes().decode()

    def wait_for(self, pattern: str) -> "re.Match[str]":
        """Wait until its output has a part that matches; returns the match."""
        wait_until(
            lambda: re.search(pattern, self.output) or self.process.poll() is not None, f"{pattern} in {self!r}"
        )
        found = re.search(pattern, self.output)
        assert found is not None, f"it ended without {pattern}: {self!r}"
        return found

    @property
    def port(self) -> int:
        """The port that it names in its first line."""
        found = re.search(r"(?:port|127\.0\.0\.1) (\d+)", self.wait_for(r".*\n")[0])
        assert found is not None, f"no port in the first line: {self!r}"
        return int(found[1])

    def type(self, text: str | bytes) -> None:
        """Write to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() if isinstance(text, str) else text)
        self.process.stdin.flush()

    def end_input(self) -> None:
        """Close its stdin."""
        if self.process.stdin is not None:
            self.process.stdin.close()

    def wait(self) -> int:
        """Wait for its end; returns its exit status."""
        return self.process.wait(TIME_LIMIT_S)

    def stop(self) -> int:
        """End it by SIGTERM if it still runs; returns its exit status, negative for a signal."""
        self.end_input()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
