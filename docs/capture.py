"""Capture a real session of the console, as text and as a picture, for README.md.

    python -m docs.capture            writes docs/pictures/console.txt and console.svg, and the session in README.md
    python -m docs.capture FOLDER     writes only the two files, there

A daemon with worms runs in a process of its own.  A shell on a pseudo-terminal is typed at, and what comes back
goes to the terminal in memory of examples/worms: the picture is what that terminal showed.  Nothing is drawn by
hand; but where this project lies on the disk is nobody's business, so its folder is shown as PLACE.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from docs.picture import svg
from examples.worms.terminal import Cell, Terminal

ROOT = Path(__file__).resolve().parent.parent
PLACE = "/srv/coro"
COLUMNS, ROWS = 120, 40
LIMIT_S = 20.0
# So long nothing comes when a program has said all.
QUIET_S = 0.3
# A process's first two seconds do not count for its lag.
AGE_S = 3.0

PROMPT, PYTHON_PROMPT = r"\$ ?\Z", r">>> ?\Z"
BEGIN, END = "<!-- made by docs/capture.py -->\n", "<!-- until here -->\n"
# What README.md shows of it.
SHOWN = ("coro ps", "coro interrupt", "coro selfish", "coro check", "echo")

TITLE = "A session at the shell with a daemon of 200 threads"
DESCRIPTION = (
    "coro ps lists the threads that used most processor time; coro where all --group shows where all of them are. "
    "One is interrupted, the limit of another is halved, and a health check fails with exit code 2. Then "
    "coro attach opens a Python prompt in the daemon, where Ctrl-C stops an endless loop and Tab completes a name. "
    "The same as text is in console.txt."
)


class Shell:
    """A shell on a terminal, and somebody who types."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.terminal = Terminal(COLUMNS, ROWS)
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execve("/bin/sh", ["sh", "-i"], environment)
        termios.tcsetwinsize(self._fd, (ROWS, COLUMNS))

    def close(self) -> None:
        """Hang up."""
        os.close(self._fd)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def type(self, keys: str, until: str = PROMPT) -> None:
        """Press keys, and wait until it answers with what ends like this.

        Raises RuntimeError with what came if that takes too long.
        """
        before = len(self.terminal.scrolled) + self.terminal.y
        os.write(self._fd, keys.encode())
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            # All at once: the name of a folder may have come in two pieces.
            came = b"".join(iter(self._read, b""))
            self.terminal.receive(without_place(came.decode()).encode())
            if re.search(until, "\n".join(self.lines()[before:])):
                return
        raise RuntimeError(f"no {until} after {keys!r}, but: {self.lines()[before:]}")

    def _read(self) -> bytes:
        """The next piece of what comes; b"" when nothing comes for a while."""
        return os.read(self._fd, 65536) if select.select([self._fd], [], [], QUIET_S)[0] else b""

    def rows(self) -> list[list[Cell]]:
        """A copy of all that the terminal has shown, down to the cursor or to what stands below it."""
        written = [number for number, line in enumerate(self.terminal.lines()) if line]
        last = max([*written, self.terminal.y])
        return [list(row) for row in [*self.terminal.scrolled, *self.terminal.rows[: last + 1]]]

    def lines(self) -> list[str]:
        """The same as text."""
        return ["".join(char for _, char in row).rstrip() for row in self.rows()]


def without_place(text: str) -> str:
    """The text with PLACE for this project's folder; also where a table has cut that at its start."""
    root = str(ROOT)
    text = text.replace(root, PLACE)
    for start in range(1, len(root)):
        text = text.replace(f"…{root[start:]}/", "…/")
    return text


def environment(folder: Path) -> dict[str, str]:
    """The environment of a shell that knows only this interpreter's `coro` and a daemon in `folder`."""
    kept = {key: os.environ[key] for key in ("SYSTEMROOT", "TMPDIR") if key in os.environ}
    return kept | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "PS1": "\x1b[1;32m$\x1b[0m ",
        "CORO_RUNTIME_DIRECTORY": str(folder / "run"),
        # Nobody answers here where the cursor is.
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }


@contextmanager
def worms(folder: Path) -> Iterator[None]:
    """Run the daemon.  Raises RuntimeError with what it said if it cannot."""
    (folder / "run").mkdir(mode=0o700)
    log = folder / "log"
    with log.open("wb") as out:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "examples.worms", "--seed", "1", "--until-eof"],
            cwd=ROOT,
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
        )
    try:
        deadline = time.monotonic() + LIMIT_S
        while "attach\n" not in log.read_text():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worms did not start: {log.read_text()}")
            time.sleep(0.05)
        time.sleep(AGE_S)
        yield
    finally:
        try:
            # The pipe's end is the daemon's.
            daemon.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.communicate()
            raise


def capture() -> tuple[list[list[Cell]], str]:
    """Hold the session; returns the rows that the terminal showed, and the same as text."""
    with tempfile.TemporaryDirectory(prefix="coro-") as name:
        folder = Path(name)
        with worms(folder):
            shell = Shell(folder, environment(folder))
            try:
                shell.type("")
                at_the_shell(shell)
                at_the_prompt(shell)
                # As it is now, with the completions open.
                rows = shell.rows()
                text = "".join(f"{line}\n" for line in shell.lines())
                shell.type("\x03", PYTHON_PROMPT)
                shell.type("\x04")
            finally:
                shell.close()
    return rows, text


def at_the_shell(shell: Shell) -> None:
    """From `ps` to a check that fails."""
    shell.type("coro ps -s run -n 8\r")
    first, other, *_ = re.findall(r"^ *(\d+)  worm-", "\n".join(shell.lines()), re.MULTILINE)
    shell.type("coro where all --group -n 2\r")
    shell.type(f"coro interrupt {first}\r")
    shell.type(f"coro selfish {other} 2\r")
    shell.type("coro check --require queen\r")
    shell.type("echo $?\r")


def at_the_prompt(shell: Shell) -> None:
    """Python, Ctrl-C, an own command, and a completion that stays open."""
    shell.type("coro attach\r", PYTHON_PROMPT)
    shell.type("len(colony)\r", PYTHON_PROMPT)
    shell.type("while True: pass\r", r"\.\.\. ?\Z")
    shell.type("\r", "")
    shell.type("\x03", PYTHON_PROMPT)
    shell.type(":worms --longest 3\r", PYTHON_PROMPT)
    shell.type("colony.", r"colony\.\Z")
    shell.type("\t", r"speed")


def excerpt(text: str) -> str:
    """What README.md shows: a few of the commands, with what they printed."""
    steps = re.split(r"^(?=\$ )", text, flags=re.MULTILINE)
    return "".join(step for step in steps if step[2:].startswith(SHOWN))


def put_into_readme(text: str) -> None:
    """Write the excerpt between README.md's two marks.  Raises ValueError if they are not there."""
    path = ROOT / "README.md"
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md has no place for the session: {BEGIN.strip()} ... {END.strip()}")
    block = f"```text\n{excerpt(text)}```\n"
    path.write_text(before + begin + block + end + after, encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Capture and write; returns the exit status."""
    folder = Path(arguments[0]) if arguments else ROOT / "docs" / "pictures"
    rows, text = capture()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "console.txt").write_text(text, encoding="utf-8")
    (folder / "console.svg").write_text(svg(rows, COLUMNS, TITLE, DESCRIPTION), encoding="utf-8")
    if not arguments:
        put_into_readme(text)
    sys.stdout.write(f"{folder}: console.txt, console.svg, {len(rows)} lines\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
