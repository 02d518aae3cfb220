"""`--watch S`: a command's result again and again; in place on a terminal, one below the other in a pipe.

On a terminal it uses the alternate screen, which Ctrl-C leaves as it was found.  When the daemon goes away the last
result stays, with a message, until the daemon or its successor answers.

Invariant: the terminal is put back however it ends, a signal to terminate included.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from coro.console.client import Answer
from coro.console.failures import DONE, CommandFailure, NotReached, UsageFailure
from coro.console.link import DEFAULT_TIMEOUT_S, open_link, reopen
from coro.console.options import Options
from coro.console.running import STUCK, arguments_of, ask, json_text, result_lines
from coro.console.style import is_terminal, size_of, style_for
from coro.wire.commands import Command
from coro.wire.escape import printable
from coro.wire.tables import cut

__all__ = ["run"]

# ECMA-48 and xterm's private modes: the alternate screen, no cursor, and lines that are cut instead of wrapped.
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REST_OF_LINE: Final = "\x1b[K"
_REST_OF_SCREEN: Final = "\x1b[J"


class _Feed:
    """The command's answers, over a new connection when the old one is lost.

    title: the command as typed.  notice: what there is to say about the connection; "" for nothing.
    """

    def __init__(self, options: Options, command: Command) -> None:
        self.command = command
        self.title = " ".join(map(printable, [command.name, *options.words]))
        self.arguments = arguments_of(options, command)
        self.notice = ""
        self._options = options
        self._timeout = options.timeout or DEFAULT_TIMEOUT_S
        self._link = open_link(options)
        self._lost = False
        self._pid = self._link.pid

    @property
    def who(self) -> str:
        """The daemon, for a title."""
        return f"{self._link.name}[{self._pid}]"

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    def next(self) -> Answer:
        """The next answer.  Raises Failure; may be called again then."""
        if self._lost:
            self._link = reopen(self._options, self._link, timeout=self._timeout)
            self._lost = False
            self.notice = self._notice_of_return()
        try:
            return ask(self._link, self.command, self.arguments, self._timeout)
        except NotReached:
            self._link.close()
            self._lost = True
            raise

    def _notice_of_return(self) -> str:
        former, self._pid = self._pid, self._link.pid
        return f"the daemon was restarted: pid {former} is now pid {self._pid}" if former != self._pid else ""


def run(options: Options, command: Command) -> int:
    """Repeat until Ctrl-C, which is exit code 0.  Raises Failure for what fails at the first time."""
    assert options.watch is not None
    if command.role != "observe" or command.name in ("ls", "help"):
        raise UsageFailure(f"{command.name} cannot be watched: only what looks into a daemon can")
    feed = _Feed(options, command)
    try:
        if is_terminal(sys.stdout) and not options.json and os.environ.get("TERM", "") not in ("", "dumb"):
            return _in_place(feed, options.watch)
        return _one_below_the_other(feed, options)
    except KeyboardInterrupt:
        return DONE
    finally:
        feed.close()


# -- in a pipe


def _one_below_the_other(feed: _Feed, options: Options) -> int:
    assert options.watch is not None
    first = True
    while True:
        began = time.monotonic()
        try:
            value = feed.next()["value"]
        except NotReached as failure:
            if first:
                raise
            print(f"coro: {failure}", file=sys.stderr, flush=True)
        else:
            if feed.notice:
                print(f"coro: {feed.notice}", file=sys.stderr, flush=True)
                feed.notice = ""
            _print(feed, value, options, first=first)
            first = False
        time.sleep(max(0.0, began + options.watch - time.monotonic()))


def _print(feed: _Feed, value: Any, options: Options, *, first: bool) -> None:
    if options.json:
        # One line each: so a reader knows where one ends.
        print(json.dumps(json.loads(json_text(feed.arguments, value))), flush=True)
        return
    if not first:
        print()
    for line in result_lines(feed.command, feed.arguments, value, width=None):
        print(line)
    sys.stdout.flush()


# -- in place


def _in_place(feed: _Feed, period: float) -> int:
    # What fails at once is told on the normal screen.
    answer = feed.next()
    fault = ""
    with _alternate_screen() as wait:
        while True:
            began = time.monotonic()
            _draw(feed, answer, fault, period)
            while wait(began + period):
                # The terminal has another size now.
                _draw(feed, answer, fault, period)
            try:
                answer = feed.next()
                fault = ""
            except (CommandFailure, NotReached) as failure:
                fault = str(failure)


def _draw(feed: _Feed, answer: Answer, fault: str, period: float) -> None:
    columns, rows = size_of() or (80, 24)
    style = style_for()
    title = f"{feed.title}  {feed.who}  {time.strftime('%H:%M:%S')}  every {period:g} s  (Ctrl-C leaves)"
    told = fault or feed.notice or (STUCK if answer.get("answered_by") == "sentinel" else "")
    told = " ".join(told.split())
    lines = [
        style.paint("dim", cut(title, columns)),
        style.paint("critical" if fault else "warning", cut(told, columns)) if told else "",
    ]
    result = _fitting(feed, answer["value"], columns, rows - len(lines))
    # One write, without an LF behind the last line: nothing flickers, nothing scrolls.
    text = f"{_REST_OF_LINE}\r\n".join([*lines, *result])
    sys.stdout.write(f"{_HOME}{text}{_REST_OF_LINE}{_REST_OF_SCREEN}")
    sys.stdout.flush()


def _fitting(feed: _Feed, value: Any, columns: int, rows: int) -> list[str]:
    """The lines of the result, no more than `rows`."""
    lines: list[str] = []
    left_out = 0
    for line in result_lines(feed.command, feed.arguments, value, width=columns):
        if len(lines) < rows:
            lines.append(line)
        else:
            left_out += 1
    if left_out and lines:
        lines[-1] = style_for().paint("dim", cut(f"… {left_out + 1} lines more", columns))
    return lines


@contextmanager
def _alternate_screen() -> Iterator[Callable[[float], bool]]:
    """Enter the alternate screen; gives a function that waits until a moment, True if the size changed before."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)

    def resized(*_: object) -> None:
        try:
            os.write(write_fd, b"r")
        except BlockingIOError:
            return

    def wait(deadline: float) -> bool:
        ready, _, _ = select.select([read_fd], [], [], max(0.0, deadline - time.monotonic()))
        if ready:
            os.read(read_fd, 4096)
        return bool(ready)

    def terminated(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    former = {
        signal.SIGWINCH: signal.signal(signal.SIGWINCH, resized),
        signal.SIGTERM: signal.signal(signal.SIGTERM, terminated),
        signal.SIGHUP: signal.signal(signal.SIGHUP, terminated),
    }
    try:
        sys.stdout.write(_ENTER)
        yield wait
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        os.close(read_fd)
        os.close(write_fd)
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
