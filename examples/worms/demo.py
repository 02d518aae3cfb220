"""The demonstration: the daemon in a process of its own, and its console.

At a terminal, that terminal becomes the console; the daemon ends when one leaves it.  Without one, as in a pipe or
a nightly job, a scripted visitor looks at the arena, over TCP like any other, and then the console is shown by the
`coro` command: what the threads do, one worm interrupted, another's limit halved, a health check that fails.

This process is no daemon; it starts one, as a supervisor would, and keeps only two ends of it: its pid, and a pipe
whose closing ends it, also if this process is killed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

import coro
from examples.worms.visitor import Visitor

# How long the visitor looks before each frame that it prints, in seconds.
LOOK_S = 0.8
START_LIMIT_S = END_LIMIT_S = 10.0
ROWS_OF_PS = 12
# A name that no thread has.
NOBODY = "queen"

GREETING = """\
{worms} worms crawl in an arena, each a thread of one daemon, pid {pid}.
To see them, in another terminal:  {telnet}

This terminal is the daemon's console now.  Try:

  :ps -s run -n 10            who has used the processor, and who waits for what
  :where all --group          where they all stand
  :worms                      the longest; a command of this daemon's own
  :feed ID                    have one grow
  :interrupt ID               raise an exception in one, as `:ps` shows its ID
  :selfish ID 2               halve the limit of another
  :check --require {nobody}
  1+1                         Python, in the daemon
  colony.hurry(2)
  while True: pass            Enter twice, a moment, and Ctrl-C
  :help                       all commands; Tab completes them, and names

Ctrl-D or :quit leaves, and ends the daemon.
"""


class Daemon:
    """The daemon's process.

    pid: its process's.  telnet: the command that joins its worms; address: where they are, (host, port).
    """

    def __init__(self, options: argparse.Namespace) -> None:
        # Into a file: it neither writes into our terminal nor waits for us to read.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        command = [sys.executable, "-m", "examples.worms", "--until-eof"]
        command += ["--host", options.host, "--port", str(options.port), "--worms", str(options.worms)]
        command += ["--arena", "{}x{}".format(*options.arena)]
        command += ["--seed", str(options.seed)] if options.seed is not None else []
        self.process = subprocess.Popen(
            command,
            cwd=Path(__file__).parent.parent.parent,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            # A Ctrl-C at our terminal is not meant for it.
            start_new_session=True,
        )
        self.pid = self.process.pid

    def wait_until_ready(self) -> None:
        """Wait until it can be joined and looked into.  Raises OSError with what it said if it cannot."""
        deadline = time.monotonic() + START_LIMIT_S
        while f"coro -t {self.pid} attach\n" not in self.log():
            if self.process.poll() is not None or "worms: no console" in self.log():
                raise OSError(self.log().strip().removeprefix("worms: ") or "the daemon ended at once")
            if time.monotonic() > deadline:
                raise OSError(f"the daemon was not ready within {START_LIMIT_S:g} s: {self.log()}")
            time.sleep(0.02)
        self.telnet = self.log().splitlines()[0].partition(":  ")[2]
        _, host, port = self.telnet.split()
        self.address = (host, int(port))

    def log(self) -> str:
        """What it has said so far."""
        # Not by seek: the position is the daemon's as well.
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def end(self) -> None:
        """End it, and wait for that."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


def run(options: argparse.Namespace) -> int:
    """Show the worms and their console; returns the exit status.  Raises OSError, ValueError."""
    with orderly_end():
        daemon = Daemon(options)
        try:
            daemon.wait_until_ready()
            if is_terminal(sys.stdin) and is_terminal(sys.stdout) and not options.frames:
                with terminal_for_us_alone():
                    status = attach(daemon, options.worms)
                print("The worms, and their daemon, end here.", flush=True)
                return status
            print(daemon.log(), flush=True)
            coro.run(visit, daemon.address, options.frames or 2)
            return script(daemon)
        finally:
            daemon.end()


@contextmanager
def orderly_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP, such as from a terminal that is closed, pass through `finally`."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    former = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


# -- at a terminal


@contextmanager
def terminal_for_us_alone() -> Iterator[None]:
    """Be the terminal's foreground, without the make or script that waits for us.

    A Ctrl-C interrupts a line at the console; make would take it for its own, and fail.  An interactive shell has
    done this for us already.
    """
    former, terminal = os.getpgrp(), sys.stdin.fileno()
    if former == os.getpid() or os.tcgetpgrp(terminal) != former:
        yield
        return
    # Nobody would wake us up after a Ctrl-Z.
    handler = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    os.setpgid(0, 0)
    put_into_foreground(terminal, os.getpgrp())
    try:
        yield
    finally:
        put_into_foreground(terminal, former)
        os.setpgid(0, former)
        signal.signal(signal.SIGTSTP, handler)


def put_into_foreground(terminal: int, group: int) -> None:
    """Have a terminal's keys signal this process group, also from the background."""
    # Else the kernel stops who asks for it from there.
    handler = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(terminal, group)
    finally:
        signal.signal(signal.SIGTTOU, handler)


def attach(daemon: Daemon, worms: int) -> int:
    """Make this terminal the daemon's console; returns the console's exit status."""
    print(GREETING.format(worms=worms, pid=daemon.pid, telnet=daemon.telnet, nobody=NOBODY), flush=True)
    # A handler of ours, for the console to begin with the default one: Ctrl-C is for the line that runs there.
    former = signal.signal(signal.SIGINT, lambda number, frame: None)
    console = subprocess.Popen(coro_command("attach"), env=environment(daemon))
    try:
        while (status := wait(console, 0.2)) is None and daemon.process.poll() is None:
            pass
        # Told to exit, the daemon is on its way out when the console has left already.
        ended = wait(daemon.process, 0.5)
        if ended is not None:
            print("\nThe daemon has ended by itself.", flush=True)
            return ended
        return status or 0
    finally:
        if console.poll() is None:
            console.terminate()
            console.wait()
        signal.signal(signal.SIGINT, former)


def wait(process: subprocess.Popen[Any], seconds: float) -> int | None:
    """The exit status of a process, or None if it still runs after so long."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


# -- without one


def visit(address: tuple[object, ...], frames: int) -> None:
    """Visit the arena and print what is to be seen there."""
    shown: list[list[str]] = []
    with Visitor(address) as visitor:
        if not can_print("│●═▓"):
            visitor.press("u")
        for number in range(1, frames + 1):
            visitor.watch(LOOK_S)
            print(f"frame {number} of {frames}, after {number * LOOK_S:.1f} s:\n")
            in_colours = is_terminal(sys.stdout)
            print("\n".join(visitor.terminal.coloured_lines() if in_colours else visitor.terminal.lines()), "\n")
            # Without the status line, which counts frames in any case.
            shown.append(visitor.terminal.lines()[:-1])
        visitor.press("q")
        if visitor.watch(LOOK_S):
            sys.exit("worms: the session did not end")
    if any(before == after for before, after in itertools.pairwise(shown)):
        sys.exit("worms: two frames are equal: nothing crawls")


def script(daemon: Daemon) -> int:
    """Show the console; returns the exit status, 1 if a command did not do what it should."""
    print(f"And now the console, as if this shell had said: export CORO_TARGET={daemon.pid}\n")
    worms = ids_of_worms(daemon)
    if len(worms) < 3:
        sys.exit("worms: too few worms are left to be interrupted")
    for command, expected in (
        (["ps", "-s", "run", "-n", str(ROWS_OF_PS)], 0),
        (["where", "all", "--group", "-n", "2"], 0),
        (["interrupt", str(worms[0])], 0),
        (["selfish", str(worms[1]), "2"], 0),
        (["check", "--require", NOBODY], 2),
    ):
        print("$ coro", *command, flush=True)
        status = subprocess.run(coro_command(*command), env=environment(daemon), check=False).returncode
        if expected:
            print(f"$ echo $?\n{status}")
        if status != expected:
            sys.exit(f"worms: coro {command[0]} ended with {status}, not {expected}")
        print(flush=True)
    return 0


def ids_of_worms(daemon: Daemon) -> list[int]:
    """The threads that are worms, the youngest first: those are the last to be boxed in."""
    command = coro_command("ps", "--json", "-f", "'worm-' in name")
    done = subprocess.run(command, env=environment(daemon), check=True, capture_output=True)
    return [thread["id"] for thread in reversed(json.loads(done.stdout))]


# -- both


def coro_command(*words: str) -> list[str]:
    """The `coro` command that belongs to this interpreter."""
    installed = Path(sys.executable).with_name("coro")
    return [str(installed), *words] if installed.exists() else [sys.executable, "-m", "coro.console", *words]


def environment(daemon: Daemon) -> dict[str, str]:
    """The environment of a shell that looks into this daemon."""
    return os.environ | {"CORO_TARGET": str(daemon.pid)}


def can_print(text: str) -> bool:
    """Whether stdout's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def is_terminal(stream: object) -> bool:
    """Whether a stream is a terminal; a closed one is None."""
    return bool(stream is not None and stream.isatty())  # type: ignore[attr-defined]
