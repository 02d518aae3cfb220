"""Every ```console block of docs/ is run against a real daemon.

A python block that begins with a comment such as `# mail.py` is a daemon: it is started where it stands in the
page, and the console blocks after it talk to it.  In a console block a line `$ COMMAND` is a command, `> ` goes on
with it, and what follows is what it prints.  Commands run in bash, with $PID set to the pid of the daemon, and must
exit with 0; a block that shows another exit code shows it itself, by `echo "exit $?"`.

What is printed is compared line by line, but for what differs from run to run: numbers with their units, addresses,
moments, pauses of the garbage collector, the lag (not known right after a start, or a pause of the process) and the
directories of paths.  A line `...` stands for any lines.

A comment before a block changes that:

`<!-- console: after 1.5 s -->` waits so long before the block.
`<!-- console: typed -->` the command is a session: what stands behind its prompts is typed at a terminal.
`<!-- console: no-run REASON -->` leaves the block out.
"""

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest

from coro.console import options as option_parser
from coro.console.commands import BUILT_IN
from coro.wire.arguments import UsageError, parse
from tests.test_docs_examples import Block, blocks_of

ROOT = Path(__file__).parent.parent
COMMAND_LIMIT_S = 30
START_LIMIT_S = 20

DAEMON = re.compile(r"# (\w+\.py)\b")
COMMENT = re.compile(r"\s*<!--\s*console:\s*(?P<what>after|typed|no-run)\b\s*(?P<rest>.*?)\s*-->\s*")
PROMPTS = (">>> ", "... ", "coro> ")
# Clients that need not be installed; a block that uses one is left out then.
TOOLS = ("curl", "nc", "socat", "telnet", "ssh", "systemd-analyze")

EXIT = re.compile(r"exit \d+")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:[+-]\d{4})?")
COLLECTOR = re.compile(r" \(garbage collector [^)]*\)|, garbage collector [^,)]*")
LAG = re.compile(r", lag \S+ \w+(?= \|)| lag=\S+")
ADDRESS = re.compile(r"0x[0-9a-f]+")
DIRECTORIES = re.compile(r"(?:/[\w.@:-]+)+/(?=[\w.-])")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?(?: ?(?:us|ms|s|min|h|d|%|MiB)(?!\w)|%)?")


def normal(line: str) -> str:
    """A line of output without what differs from run to run."""
    if EXIT.fullmatch(line):
        return line
    line = MOMENT.sub("MOMENT", line)
    line = COLLECTOR.sub("", line)
    line = LAG.sub("", line)
    line = DIRECTORIES.sub("", line)
    line = ADDRESS.sub("#", line)
    line = NUMBER.sub("#", line)
    return re.sub(r"#(?: #)+", "#", " ".join(line.split()))


def fault_of_lines(expected: list[str], printed: list[str], *, wild: bool = True) -> str | None:
    """Compare; with `wild` a line `...` stands for any lines."""
    pattern = "".join(
        r"(?:.*\n)*" if wild and line.strip() == "..." else re.escape(normal(line)) + r"\n" for line in expected
    )
    if re.fullmatch(pattern, "".join(f"{normal(line)}\n" for line in printed)):
        return None
    return "\n".join(["it should print", *expected, "but it prints", *printed])


@dataclass(slots=True)
class Step:
    """One command of a block and the lines that it prints."""

    command: str
    expected: list[str] = field(default_factory=list)


def steps_of(block: Block) -> list[Step]:
    """Split a console block into its commands.  Raises ValueError if it does not begin with one."""
    steps: list[Step] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line.removeprefix("$ ")))
        elif steps and line.startswith("> ") and not steps[-1].expected:
            steps[-1].command += "\n" + line.removeprefix("> ")
        elif steps:
            steps[-1].expected.append(line)
        else:
            raise ValueError(f"a console block begins with a command, got {line!r}")
    for step in steps:
        while step.expected and not step.expected[-1].strip():
            step.expected.pop()
    return steps


def without_blank_ends(lines: list[str]) -> list[str]:
    """The lines without blank ones at the end."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


class Shell:
    """Where the blocks of one page run: a directory, an environment and, from its block on, a daemon."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemon: subprocess.Popen[bytes] | None = None
        self.groups: list[int] = []
        programs = folder / "bin"
        programs.mkdir()
        (folder / "run").mkdir(mode=0o700)
        for name, module in (("coro", "-m coro.console"), ("python", "")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n')
            program.chmod(0o755)
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("COVERAGE_", "CORO_", "XDG_")) and key not in ("TERM", "RUNTIME_DIRECTORY")
        }
        self.environment = inherited | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "CORO_RUNTIME_DIRECTORY": str(folder / "run"),
            "XDG_STATE_HOME": str(folder),
            "HOME": str(folder),
            "NO_COLOR": "1",
            "TERM": "dumb",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
        }

    def start(self, name: str, code: str) -> None:
        """Start a daemon in place of the one before."""
        self.stop_daemon()
        (self.folder / name).write_text(code)
        with (self.folder / "daemon.out").open("ab") as output:
            self.daemon = subprocess.Popen(
                [sys.executable, name],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.environment["PID"] = str(self.daemon.pid)
        deadline = time.monotonic() + START_LIMIT_S
        while str(self.daemon.pid) not in self.run("coro ls")[1]:
            assert self.daemon.poll() is None, f"the daemon {name} ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"the daemon {name} does not come up:\n{self.log()}"
            time.sleep(0.1)

    def log(self) -> str:
        return (self.folder / "daemon.out").read_text(errors="replace")

    def run(self, command: str) -> tuple[int | None, str]:
        """Run a command; returns its exit code, None if it took too long, and what it printed."""
        path = self.folder / "output"
        with path.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            # What it left running in the background ends with the page.
            self.groups.append(process.pid)
            try:
                code: int | None = process.wait(COMMAND_LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = None
        return code, path.read_text(errors="replace")

    def type(self, step: Step) -> list[str]:
        """Run a session at a terminal, typing what stands behind the prompts; returns all its lines."""
        child = pexpect.spawn(
            "bash",
            ["-c", step.command],
            cwd=str(self.folder),
            env=self.environment,
            encoding="utf-8",
            timeout=10,
            dimensions=(50, 200),
        )
        lines = []
        try:
            for line in step.expected:
                prompt = next((one for one in PROMPTS if f"{line} ".startswith(one)), None)
                if prompt is not None:
                    child.expect_exact(prompt)
                    lines.append(f"{child.before or ''}{prompt}")
                    child.sendline(line[len(prompt) :])
            child.expect(pexpect.EOF)
            lines.append(child.before or "")
        finally:
            child.close(force=True)
        return "".join(lines).replace("\r", "").splitlines()

    def stop_daemon(self) -> None:
        if self.daemon is not None:
            os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()
            self.daemon = None

    def close(self) -> None:
        self.stop_daemon()
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


def fault_of_block(shell: Shell, block: Block) -> str | None:
    """Run a console block; what is wrong with it, or None."""
    comment = COMMENT.fullmatch(block.before)
    if comment is None and "console:" in block.before and "<!--" in block.before:
        return f"cannot read the comment {block.before.strip()!r}"
    what = comment["what"] if comment is not None else ""
    rest = comment["rest"] if comment is not None else ""
    if what == "no-run":
        return None if rest else "no-run needs a reason"
    steps = steps_of(block)
    words = {word for step in steps for word in re.findall(r"[\w-]+", step.command)}
    if any(tool in words and shutil.which(tool) is None for tool in TOOLS):
        return None
    if what == "after":
        time.sleep(float(rest.removesuffix(" s")))
    for step in steps:
        if what == "typed":
            fault = fault_of_lines(step.expected, without_blank_ends(shell.type(step)), wild=False)
        else:
            code, printed = shell.run(step.command)
            fault = None if code == 0 else f"it exited with {code} and printed\n{printed}"
            fault = fault or fault_of_lines(step.expected, without_blank_ends(printed.splitlines()))
        if fault is not None:
            return f"$ {step.command}\n{fault}"
    return None


PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if "```console" in path.read_text(encoding="utf-8")]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.close()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_console_blocks_show_what_happens(page: Path, shell: Shell) -> None:
    for block in blocks_of(page.read_text(encoding="utf-8")):
        daemon = DAEMON.match(block.text) if block.tag == "python" else None
        if daemon is not None:
            shell.start(daemon[1], block.text)
        elif block.tag == "console":
            fault = fault_of_block(shell, block)
            if fault is not None:
                told = f"docs/{page.name}:{block.line}: {fault}\nthe daemon said:\n{shell.log()}"
                pytest.fail(told, pytrace=False)


# -- configuration that is only shown


def commands_in(block: Block) -> list[list[str]]:
    """The words behind `coro` of each command line in a block of configuration."""
    found = []
    for line in block.text.splitlines():
        if re.search(r"command ?[:=] ?\[ ?\S*coro\b", line) is not None:
            words = [word.strip(" \"'") for word in line[line.index("[") + 1 : line.rindex("]")].split(",")]
        elif re.search(r"(?:^|[ /=])coro -?\w", line) is not None:
            words = shlex.split(line)
        else:
            continue
        position = max(index for index, word in enumerate(words) if word == "coro" or word.endswith("/coro"))
        found.append([re.sub(r"\$\w+\$", "1", word) for word in words[position + 1 :]])
    return found


def fault_of_command(words: list[str]) -> str | None:
    """What the client's own parser says against a command line; None if it is right."""
    options = option_parser.parse(words)
    if options.fault is not None:
        return str(options.fault)
    command = BUILT_IN.get(options.word or "")
    if command is None:
        return f"there is no command {options.word!r}"
    try:
        parse(command, options.words)
    except UsageError as error:
        return str(error)
    return None


CONFIGURATION = [
    block
    for block in blocks_of((ROOT / "docs/recipes.md").read_text(encoding="utf-8"))
    if block.tag in ("ini", "yaml", "cfg", "sh", "text")
]


@pytest.mark.parametrize("block", CONFIGURATION, ids=lambda block: f"recipes.md:{block.line}")
def test_command_lines_of_the_recipes_are_right(block: Block) -> None:
    assert [fault for words in commands_in(block) if (fault := fault_of_command(words)) is not None] == []


def test_recipes_hold_the_command_lines_that_they_should() -> None:
    words = [words for block in CONFIGURATION for words in commands_in(block)]

    assert len(words) == 8
    assert fault_of_command(["check", "--crit-stal", "1"]) is not None
    assert fault_of_command(["chekc"]) is not None


UNITS = [block for block in CONFIGURATION if block.tag == "ini"]


@pytest.mark.parametrize("block", UNITS, ids=lambda block: f"recipes.md:{block.line}")
def test_units_can_be_parsed(block: Block) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(block.text)

    assert set(parser.sections()) <= {"Unit", "Service", "Timer", "Install"}
    assert all(re.fullmatch(r"[A-Z]\w+", key) for section in parser.sections() for key in parser[section])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("block", UNITS, ids=lambda block: f"recipes.md:{block.line}")
def test_systemd_takes_the_units(block: Block, tmp_path: Path) -> None:
    for program in ("python", "coro"):
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    name = re.match(r"# \S*/(\S+)", block.text)
    assert name is not None
    # A timer needs its service.
    (tmp_path / "mail-check.service").write_text(f"[Service]\nExecStart={tmp_path}/coro\n")
    unit = tmp_path / name[1]
    unit.write_text(block.text.replace("/srv/mail/venv/bin", str(tmp_path)).replace("OnFailure=", "# "))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    # Of what is wrong elsewhere on this machine it speaks too.
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []


# -- the rules of this file


def read(*lines: str) -> Block:
    [block] = blocks_of("\n".join(lines))
    return block


def test_commands_and_their_output_are_told_apart() -> None:
    found = steps_of(read("```console", "$ coro ls", "PID", "4242", "$ for x in \\", ">   a; do", "b", "", "```"))

    assert [(step.command, step.expected) for step in found] == [
        ("coro ls", ["PID", "4242"]),
        ("for x in \\\n  a; do", ["b"]),
    ]


def test_a_block_without_a_command_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with a command"):
        steps_of(read("```console", "PID", "```"))


@pytest.mark.parametrize(
    ("expected", "printed", "equal"),
    [
        ("waiting 3.4 s  11 us", "waiting   12 ms 0 s", True),
        ("/srv/mail/mail.py:24 deliver", "/tmp/x-1/mail.py:9 deliver", True),
        ("mutex at 0x7f00", "mutex at 0x55aa11", True),
        ("2026-11-22 18:55:51+0000  stalled", "2027-01-02 03:04:05+0100 stalled", True),
        ("stalled 3 s (interrupted)", "stalled 4 s (interrupted, garbage collector 1.2 ms)", True),
        ("stalled 3 s", "stalled 4 s (interrupted)", False),
        ("OK - up 3 s, lag 1.0 ms | stall=0s lag=0.001s;0.1;1 threads=1", "OK - up 3 s | stall=0s threads=1", True),
        ("deliver-1 waits", "deliver-2 waits", True),
        ("deliver-1 waits", "rotate waits", False),
        ("exit 2", "exit 2", True),
        ("exit 2", "exit 1", False),
        ("3 seconds", "seconds", False),
        ("a", "a\nb", False),
        ("a\n...", "a\nb", True),
        ("...\nb", "a\nc", False),
    ],
)
def test_output_is_compared_but_for_what_differs_from_run_to_run(expected: str, printed: str, equal: bool) -> None:
    assert (fault_of_lines(expected.splitlines(), printed.splitlines()) is None) is equal


def test_a_block_that_shows_something_else_is_a_fault(shell: Shell) -> None:
    assert fault_of_block(shell, read("```console", "$ echo one", "one", "```")) is None
    assert "it should print" in str(fault_of_block(shell, read("```console", "$ echo one", "two", "```")))
    assert "exited with 3" in str(fault_of_block(shell, read("```console", "$ exit 3", "```")))
    assert "cannot read" in str(fault_of_block(shell, read("<!-- console: soon -->", "```console", "$ :", "```")))
