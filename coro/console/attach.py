"""`coro attach`: an interactive session, or the lines of a pipe.

Invariant: an entry is sent to the process for which it was typed, or not at all: after a restart it stands at the
prompt again instead.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import Final

from coro.console.entries import Entries, Leave
from coro.console.failures import DONE, FAILED, NOT_REACHED, Failure, NotReached, Untrusted, UsageFailure
from coro.console.link import Link, open_link, reopen, with_outside
from coro.console.options import Options
from coro.console.outside import is_alive
from coro.console.style import has_colours, is_terminal
from coro.wire.escape import printable
from coro.wire.units import duration

__all__ = ["run"]

_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 2.0
_ATTEMPT_TIMEOUT_S: Final = 2.0
# A daemon that ends closes its connections a moment before.
_ENDING_S: Final = 1.0


def run(options: Options) -> int:
    """Attach; returns the exit code.  Raises Failure."""
    if options.words:
        raise UsageFailure(f"attach takes no arguments, got {printable(options.words[0])}")
    if options.json or options.watch is not None:
        raise UsageFailure("attach knows neither --json nor --watch; its commands do, such as :ps --json")
    link = open_link(options, secret=True)
    if is_terminal(sys.stdin) and is_terminal(sys.stdout):
        return _Interactive(options, link).run()
    with link:
        return _piped(options, link)


def _piped(options: Options, link: Link) -> int:
    from coro.console.blocks import pieces

    def next_line() -> str:
        return sys.stdin.readline()

    def read(prompt: str) -> str | None:
        line = next_line()
        return line.removesuffix("\n") if line else None

    entries = Entries(options, link, read)
    succeeded = True
    try:
        for piece in pieces(iter(next_line, "")):
            if piece.strip():
                succeeded = entries.execute(piece)
    except Leave:
        pass
    return DONE if succeeded else FAILED


class _Interactive:
    """A session at a terminal.

    asleep: the daemon ended the session while nothing ran, and goes on itself; the next entry begins a new one.
    """

    def __init__(self, options: Options, link: Link) -> None:
        # They take 150 ms to import.
        from coro.console.history import UserHistory, history_path
        from coro.console.prompting import Editor, highlighter

        self.options = options
        self.link = link
        self.asleep = False
        history = UserHistory(history_path(), _tell)
        self.editor = Editor(lambda: self.link, lambda: self.entries.commands, history, self._arrived)
        self.entries = Entries(options, link, self.editor.line)
        if has_colours(sys.stdout):
            self.entries.set_highlight(highlighter())

    def run(self) -> int:
        """Until the user leaves; returns the exit code."""
        # The editor puts the terminal back on its way out, but not when the process just dies.
        former = signal.signal(signal.SIGTERM, _terminated)
        _tell(_welcome(self.link))
        try:
            while True:
                try:
                    self._step()
                except Untrusted:
                    raise
                except NotReached as failure:
                    if not self._reconnect(failure):
                        return NOT_REACHED
        except (Leave, EOFError):
            return DONE
        finally:
            self.link.close()
            signal.signal(signal.SIGTERM, former)

    def _step(self) -> None:
        """Ask for one entry and carry it out.  Raises Leave, EOFError, NotReached."""
        try:
            text = self.editor.entry(f"{self.link.name}[{self.link.pid}]>>> ")
        except KeyboardInterrupt:
            return
        except NotReached:
            if self._goes_on():
                self.asleep = True
                self.link.close()
                _tell("the daemon ended this session; the next line begins a new one")
                return
            raise
        if self.asleep and text.strip():
            former = self.link
            self._open_again()
            if not self._is_same(former):
                self.editor.draft = text
                return
        self.entries.execute(text)

    def _arrived(self) -> str:
        """What came during a prompt, to be printed.  Raises NotReached for a loss."""
        texts = []
        while (message := self.link.client.receive_nowait()) is not None:
            params = message.get("params")
            if message.get("method") == "output" and isinstance(params, dict):
                texts.append(str(params.get("text", "")))
        return "".join(texts)

    # -- loss and return

    def _goes_on(self) -> bool:
        """Whether the process of the lost connection still runs, a moment after the loss."""
        pid = self.link.pid if self.link.address.path is not None else None
        if pid is None:
            return False
        deadline = time.monotonic() + _ENDING_S
        while is_alive(pid):
            if time.monotonic() > deadline:
                return True
            time.sleep(0.02)
        return False

    def _is_same(self, former: Link) -> bool:
        return all(self.link.hello.get(key) == former.hello.get(key) for key in ("pid", "started"))

    def _open_again(self) -> None:
        self.link = reopen(self.options, self.link, secret=True, timeout=_ATTEMPT_TIMEOUT_S)
        self.asleep = False
        self.entries.renew(self.link)

    def _reconnect(self, failure: NotReached) -> bool:
        """Wait until the daemon is back; False if the user gives up.  Raises Untrusted."""
        former = self.link
        former.close()
        _tell(str(with_outside(failure, former) if _is_stuck(failure) else failure))
        _tell(f"waiting for {former.name}[{former.pid}] to come back (Ctrl-C gives up)")
        delay = _FIRST_DELAY_S
        try:
            while True:
                try:
                    self._open_again()
                except (Untrusted, UsageFailure):
                    raise
                except Failure:
                    time.sleep(delay)
                    delay = min(_LONGEST_DELAY_S, delay * 1.5)
                else:
                    break
        except KeyboardInterrupt:
            return False
        if self._is_same(former):
            _tell(f"connected again: pid {self.link.pid}")
        else:
            _tell(f"{_welcome(self.link)}\nit was restarted: pid {former.pid} is now pid {self.link.pid}")
        return True


def _is_stuck(failure: NotReached) -> bool:
    from coro.console.conversing import Abandoned

    return isinstance(failure, Abandoned)


def _welcome(link: Link) -> str:
    told = link.hello
    argv = told.get("argv")
    script = printable(str(argv[0])) if isinstance(argv, list) and argv else ""
    parts = [
        f"{link.name} {printable(str(told.get('version') or ''))}".rstrip(),
        f"pid {link.pid}" + (f" ({script})" if script else ""),
        f"up {duration(told['uptime_s'])}" if told.get("uptime_s") is not None else "",
        f"Python {printable(str(told['python']))}" if told.get("python") else "",
        f"role {printable(str(told['role']))}" if told.get("role") else "",
    ]
    return ", ".join(filter(None, parts)) + "\n:help lists the commands, Ctrl-C interrupts a line, Ctrl-D leaves"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _terminated(number: int, _: object) -> None:
    raise SystemExit(128 + number)
