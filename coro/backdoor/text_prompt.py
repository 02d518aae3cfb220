"""The evaluator's side of the text console: prompts, takes the lines one by one, and runs them.

Must not know how lines arrive; a Terminal gives them and takes the output.
"""

from __future__ import annotations

from typing import Any, Protocol

from coro.backdoor.commands import CommandError, Implementation, find
from coro.backdoor.connection import ConnectionLost
from coro.backdoor.evaluation import Compiled, Evaluator, Incomplete, LeaveSession, LineInterrupted
from coro.backdoor.executing import NotAllowed, run_code, run_command, running_line
from coro.backdoor.line_sink import LineSink
from coro.backdoor.own_faults import report_own_fault
from coro.backdoor.pace import Pace
from coro.backdoor.session import Session
from coro.exceptions import Interrupted
from coro.wire.arguments import UsageError, parse_line
from coro.wire.commands import Command
from coro.wire.escape import printable
from coro.wire.present import present
from coro.wire.protocol import MAX_LINE_BYTES

__all__ = ["CtrlC", "Terminal", "TextPrompt"]

# A block of Python may have so many characters.
MAX_BLOCK_CHARS = 16 * MAX_LINE_BYTES
# Each line of a longer block is not compiled with all that came before it.
SHORT_BLOCK_LINES = 20
CHUNK_CHARS = 4096


class CtrlC(Interrupted):
    """Ctrl-C where no line runs."""


class Terminal(Protocol):
    """What a prompt talks to."""

    def next_line(self) -> str | None:
        """The next line, None at the end of input.  Yields; raises CtrlC."""

    def put_back_end(self) -> None:
        """The end of input was seen, and is to be seen again."""

    def drop_waiting(self) -> None:
        """Forget what was typed ahead."""

    def write(self, text: str) -> None:
        """Send text.  Yields; raises ConnectionLost."""


class TextPrompt:
    """One session's prompt.

    why: why it ended; "" while it has not.
    asked: the prompt or question whose answer is waited for; None while none is.
    """

    def __init__(self, session: Session, terminal: Terminal) -> None:
        self.why = ""
        self.asked: str | None = None
        self._session = session
        self._host = session.host
        self._terminal = terminal
        self.sink = LineSink(terminal.write)
        self.evaluator = Evaluator(
            session.host.namespace,
            self.sink,
            read_line=self._input,
            label=session.name,
            max_repr_bytes=session.host.limits.repr_bytes,
        )
        # How long a block was when it was last compiled.
        self._compiled_lines = 0

    def greet(self) -> bool:
        """Ask for the token where one is needed, and welcome; False if the token was wrong.  Yields."""
        if self._session.shows_stall:
            # The sentinel's prompt stands there.
            self._terminal.write("\n")
        if self._session.role is None and not self._ask_token():
            return False
        host = self._host
        welcome = host.welcome_message
        if welcome is None:
            name = printable(host.argv[0]) if host.argv else "python"
            kind = "Python and :commands" if self._python_allowed() else ":commands"
            welcome = f"coro backdoor of {name} (pid {host.pid}): {kind}; :help lists them, :quit leaves"
        self._terminal.write(f"{welcome}\n")
        return True

    def _ask_token(self) -> bool:
        given = self._ask("token: ")
        if given is not None and self._session.admit(given.strip()):
            return True
        self._session.refused("the token is wrong")
        self.why = "wrong token"
        self._terminal.write("refused: wrong token\n")
        return False

    def _ask(self, prompt: str) -> str | None:
        """Prompt, and wait for the line; None at the end of input.  Yields; raises CtrlC, ConnectionLost."""
        self._session.shows_stall = False
        self._terminal.write(prompt)
        self.asked = prompt
        try:
            return self._terminal.next_line()
        finally:
            self.asked = None

    def _python_allowed(self) -> bool:
        return self._host.eval_allowed and self._session.may("eval")

    def converse(self) -> None:
        """Prompt and run until the end of input.  Yields; raises ConnectionLost, LeaveSession, Shutdown."""
        block: list[str] = []
        while True:
            try:
                text = self._ask("... " if block else self._prompt())
                if text is None:
                    self.why = "quit" if not self._session.connection.eof else "end of input"
                    return
                block = self._take(text, block)
            except LineInterrupted:
                # It came when the line had just ended.
                self._terminal.write("\n")
                block = []
            except CtrlC:
                self._terminal.write("\nKeyboardInterrupt\n")
                block = []
            except ConnectionLost:
                raise
            except Exception as error:
                self._terminal.write(report_own_fault(f"a line of {self._session.name}", error) + "\n")
                block = []

    def _prompt(self) -> str:
        return ">>> " if self._python_allowed() else "coro> "

    def _take(self, text: str, block: list[str]) -> list[str]:
        """Do what a line says; returns the block that is not complete yet."""
        if not block and not text.strip():
            return []
        if not block and text.lstrip().startswith(":"):
            self._session.remember(text)
            self._command(text.strip()[1:].strip())
            return []
        if not self._python_allowed():
            self._session.remember(text)
            self._command(text.strip())
            return []
        if not block and text.strip() in ("quit", "exit"):
            raise LeaveSession
        block = [*block, text]
        if sum(map(len, block)) > MAX_BLOCK_CHARS:
            self._terminal.write(f"a block may be {MAX_BLOCK_CHARS} characters long; this one was dropped\n")
            return []
        return self._python(block)

    def _python(self, block: list[str]) -> list[str]:
        if not self._is_to_be_compiled(block):
            return block
        source = "\n".join(block)
        compiled = self.evaluator.compile_source(source)
        if isinstance(compiled, Incomplete):
            return block
        self._session.remember(source)
        if isinstance(compiled, str):
            self._session.audit(source, "syntax")
            self._terminal.write(compiled)
            return []
        self._run(compiled, source)
        return []

    def _is_to_be_compiled(self, block: list[str]) -> bool:
        """Whether a block may be complete: a long one when an empty line ends it, or a bracket, now and then.

        Compiling all of it after each of its lines would take 8 s for a thousand lines.
        """
        lines = len(block)
        may_end = block[-1].strip()[-1:] in ("", ")", "]", "}", "'", '"')
        is_due = not block[-1].strip() or lines - self._compiled_lines >= lines // 10
        if lines > SHORT_BLOCK_LINES and not (may_end and is_due):
            return False
        self._compiled_lines = lines
        return True

    def _run(self, compiled: Compiled, source: str) -> None:
        try:
            outcome = run_code(self._session, self.evaluator, compiled, source)
        finally:
            if self._session.forgiven_interrupts:
                # The reader has not got so far, and what was typed before Ctrl-C must not run.
                self._terminal.drop_waiting()
            self.sink.flush()
        if outcome.error_text is not None:
            self._terminal.write(outcome.error_text)
        elif outcome.value_repr is not None:
            self._terminal.write(outcome.value_repr + "\n")

    def _command(self, text: str) -> None:
        parsed = self._parsed(text)
        if parsed is None:
            return
        implementation, arguments = parsed
        try:
            with running_line(self._session, f":{text}"):
                rows = run_command(self._session, implementation, arguments, f":{text}")
                self._show(implementation.command, arguments, next(rows), list(rows))
        except (CommandError, UsageError, NotAllowed, LineInterrupted) as error:
            self._terminal.write(f"{error}\n")

    def _parsed(self, text: str) -> tuple[Implementation, dict[str, Any]] | None:
        """The command and its arguments; None if there is nothing to be done, which was told.  Yields."""
        name, rest = (*text.split(None, 1), "", "")[:2]
        outcome = "unknown"
        try:
            if not name:
                raise CommandError("a command's name is missing; :help lists them")
            implementation = find("quit" if name == "exit" else name)
            outcome = "usage"
            arguments = parse_line(implementation.command, rest)
            name = implementation.command.name
            if name == "quit":
                raise LeaveSession
            if name == "exit-daemon" and not arguments.get("yes") and self._session.may("operate"):
                outcome = "not confirmed"
                arguments["yes"] = self._confirm("really end the daemon? (yes/no) ")
                if not arguments["yes"]:
                    raise CommandError("the daemon goes on")
        except (CommandError, UsageError) as error:
            self._session.audit(f":{text}", outcome)
            self._terminal.write(f"{error}\n")
            return None
        return implementation, arguments

    def _show(self, command: Command, arguments: dict[str, object], is_list: bool, rows: list[object]) -> None:
        """Write a result as plain lines, at an observer's pace."""
        window = self._session.connection.inbound.telnet.window_size
        width = window[0] if window is not None and window[0] >= 20 else None
        value = rows if is_list else rows[0]
        kept: list[str] = []
        length = 0
        for text in Pace().walk(present(command, arguments, value, width=width)):
            if text is None:
                continue
            kept.append(text + "\n")
            length += len(text)
            if length >= CHUNK_CHARS:
                self._terminal.write("".join(kept))
                kept.clear()
                length = 0
        self._terminal.write("".join(kept))

    def _confirm(self, question: str) -> bool:
        answer = self._ask(question)
        if answer is None:
            # The prompt sees the end as well.
            self._terminal.put_back_end()
            self._terminal.write("\n")
            return False
        return answer.strip().lower() in ("y", "yes")

    def _input(self, prompt: str) -> str:
        """What input() in a line does.  Raises EOFError at the end of input."""
        self.sink.write(prompt)
        self.sink.flush()
        text = self._terminal.next_line()
        if text is None:
            # The prompt sees the end as well.
            self._terminal.put_back_end()
            raise EOFError("the session's input has ended")
        return text
