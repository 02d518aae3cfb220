"""The text console: a Python prompt and colon commands, for telnet, nc and socat.

Two threads.  The reader takes input apart and answers at once what cannot wait: Ctrl-C, telnet's marks.  The
evaluator prompts, takes the lines one by one and runs them.  What is typed ahead waits in between, bounded by
number and size; when it is full the reader stops reading.

At the end of input what was typed still runs, ten seconds at most; a broken connection interrupts it.
"""

from __future__ import annotations

import os

from greenlet import GreenletExit

from coro.backdoor.commands import CommandError, find
from coro.backdoor.connection import FLOOD_DUTY, FLOOD_SLICE_NS, ConnectionLost
from coro.backdoor.evaluation import Compiled, Evaluator, Incomplete, LeaveSession, LineInterrupted
from coro.backdoor.executing import NotAllowed, run_code, run_command, running_line
from coro.backdoor.inbound import InboundEvent, Refused
from coro.backdoor.interrupting import strikes
from coro.backdoor.line_sink import LineSink
from coro.backdoor.lines import EndOfFile, Interrupt, LimitReached, Line
from coro.backdoor.pace import Pace
from coro.backdoor.session import Session
from coro.backdoor.telnet import TelnetEvent
from coro.backdoor.tokens import matches
from coro.exceptions import Interrupted, TimeoutError
from coro.fifo import fifo
from coro.runtime import current, spawn
from coro.scheduler import scheduler
from coro.sync import event
from coro.timed import sleep_relative
from coro.wire.arguments import UsageError, parse_line
from coro.wire.commands import Command
from coro.wire.present import present
from coro.wire.protocol import MAX_LINE_BYTES

__all__ = ["TextSession"]

MAX_WAITING_CHARS = 1 << 20
# A block of Python may have so many characters.
MAX_BLOCK_CHARS = 16 * MAX_LINE_BYTES
# After telnet's interrupt its DO TIMING-MARK is on the way; what is printed before the answer is lost.
MARK_PATIENCE_S = 0.05
# A slice that lasted longer has kept the reader from an interrupt that may have come meanwhile.
LONG_SLICE_NS = 10_000_000
READER_PAUSE_S = 0.001
CHUNK_CHARS = 4096
# How often a reader that waits for room looks for what cannot wait.
FULL_LOOK_S = 0.1
# telnet's IP and BREAK, and Ctrl-C itself.
INTERRUPTS = (b"\xff\xf4", b"\xff\xf3", b"\x03")
# Stands for Ctrl-C, and for the end of input, among the lines.
_INTERRUPTED = object()
_ENDED = object()


class TextSession:
    """The console of one connection; run() is its reader."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.connection = session.connection
        self.host = session.host
        self.sink = LineSink(self.write)
        self.evaluator = Evaluator(
            self.host.namespace,
            self.sink,
            read_line=self._input,
            label=session.name,
            max_repr_bytes=self.host.limits.repr_bytes,
        )
        self._lines = fifo(self.host.limits.waiting_lines)
        self._waiting_chars = 0
        self._room = event()
        self._done = event()
        # An interrupt is known to come: lines are dropped until so many bytes were received.
        self._skip_through = -1
        # When the reader, waiting for room, saw that the peer is gone; 0 for never.
        self._hung_up_ns = 0
        # The evaluator's.
        self._pace = Pace(FLOOD_SLICE_NS, FLOOD_DUTY)
        self._why = ""
        # The answer to a question: the line that comes next.
        self._may_eval = self.host.eval_allowed

    # -- the reader

    def run(self) -> str:
        """Read until the end; returns why it ended.  Yields."""
        evaluator = spawn(self._evaluate, thread_name=f"{self.session.name} evaluator")
        self.session.threads.append(evaluator)
        end: object = _ENDED
        try:
            self._read()
        except ConnectionLost as lost:
            self._why = self._why or lost.reason
            end = lost
        except TimeoutError:
            self._why = "idle for too long"
            self.connection.enqueue(self.connection.inbound.encode(f"\n{self._why}\n"))
            end = _INTERRUPTED
        finally:
            if end is _ENDED:
                self._finish_input()
            if not evaluator.dead:
                self._interrupt(self._why or "the end of the session")
                evaluator.shutdown()
        return self._why or "end of input"

    def _finish_input(self) -> None:
        """The peer has closed its side: what was typed still runs, for a while."""
        if self._why:
            return
        end = scheduler.clock() + int(self.host.limits.end_of_input * 1e9)
        try:
            self._lines.push(_ENDED, self.host.limits.end_of_input)
            self._done.wait((end - scheduler.clock()) / 1e9)
        except TimeoutError:
            self._why = f"ran on for {self.host.limits.end_of_input:g} s after the end of input"

    def _read(self) -> None:
        idle = self.host.limits.idle
        while True:
            try:
                found = self.connection.next_event(idle)
            except TimeoutError:
                if self.session.line is not None:
                    # Watching a long line is not idle.
                    continue
                raise
            if found is None:
                for last in self.connection.inbound.finish():
                    self._handle(last)
                return
            self._handle(found)

    def _handle(self, found: InboundEvent) -> None:
        match found:
            case Line(text):
                self._accept(text)
            case Interrupt():
                self._interrupted()
            case TelnetEvent.INTERRUPT:
                self._await_mark()
                self._interrupted()
            case EndOfFile():
                self._push(_ENDED)
            case LimitReached(limit):
                self._tell(f"\na line may be {limit} bytes long; this one was dropped\n")
            case Refused(reason, foreign):
                if foreign:
                    self._drop_waiting()
                    self.session.refused(reason)
                self.connection.enqueue(self.connection.inbound.encode(f"{reason}\n"))
                self._why = reason
                raise ConnectionLost(reason)
            case _:
                return

    def _await_mark(self) -> None:
        backlog = self.connection.backlog
        if any(item is TelnetEvent.TIMING_MARK for item in backlog):
            return
        try:
            following = self.connection.next_event(MARK_PATIENCE_S)
        except TimeoutError:
            return
        if following is not None:
            backlog.appendleft(following)

    def _accept(self, text: str) -> None:
        if self.connection.received_bytes <= self._skip_through:
            return
        self._waiting_chars += len(text)
        self._push(text)
        while self._waiting_chars > MAX_WAITING_CHARS:
            self._room.clear()
            try:
                self._room.wait(FULL_LOOK_S)
            except TimeoutError:
                self._look_ahead()

    def _push(self, item: object) -> None:
        while True:
            try:
                self._lines.push(item, FULL_LOOK_S)
                break
            except TimeoutError:
                self._look_ahead()
        if self._done.is_set():
            # Nobody will ever take it.
            raise ConnectionLost(self._why or "quit")

    def _look_ahead(self) -> None:
        """Nothing is read while too much waits, but Ctrl-C and the peer's end must be seen."""
        connection = self.connection
        parsed = any(isinstance(item, Interrupt) or item is TelnetEvent.INTERRUPT for item in connection.backlog)
        unread = 0 if parsed else connection.find_unread(INTERRUPTS)
        if unread >= 0:
            # Whatever comes before it is dropped, as what waits.
            self._skip_through = connection.received_bytes + unread
            self._drop_waiting()
        if not connection.has_hung_up():
            return
        self._hung_up_ns = self._hung_up_ns or scheduler.clock()
        if scheduler.clock() - self._hung_up_ns >= self.host.limits.end_of_input * 1e9:
            raise ConnectionLost(f"ran on for {self.host.limits.end_of_input:g} s after the end of input")

    def _interrupted(self) -> None:
        self._skip_through = -1
        self._drop_waiting()
        if self.session.forgiven_interrupts:
            self.session.forgiven_interrupts -= 1
            line = self.session.line
            if line is None or line.reason is None or line.struck:
                return
            # The sentinel saw it, but the line gave way by itself before it was hit.
        if not self._interrupt("Ctrl-C"):
            self._push(_INTERRUPTED)

    def _drop_waiting(self) -> None:
        """Forget what was typed ahead, as a terminal does at an interrupt."""
        if len(self._lines):
            self._lines.pop_all()
        self._waiting_chars = 0
        self._room.set()

    def _interrupt(self, reason: str) -> bool:
        """Interrupt what runs; whether anything does."""
        line = self.session.line
        if line is None:
            return False
        strikes.interrupt_line(line, reason)
        return True

    # -- the evaluator

    def _evaluate(self) -> None:
        try:
            if self._greet():
                self._converse()
            self.sink.flush()
            self.connection.flush()
        except ConnectionLost as lost:
            self._why = self._why or lost.reason
        except LeaveSession:
            self._leave()
        except GreenletExit:
            # Typed, or this carrier is dismissed: in silence.
            self._why = "quit"
        finally:
            if os.getpid() != self.host.pid:
                # The line forked, and this is the child, with nobody to talk to: no second daemon.
                os._exit(0)
            self.evaluator.close()
            self._done.set()
            # The reader ends, also if it waits for room.
            self._drop_waiting()
            self.connection.drop(self._why or "quit")

    def _leave(self) -> None:
        self._why = "quit"
        try:
            self.write("bye\n")
        except ConnectionLost as lost:
            self._why = lost.reason

    def _greet(self) -> bool:
        if self.session.role is None and not self._ask_token():
            return False
        host = self.host
        welcome = host.welcome_message
        if welcome is None:
            name = host.argv[0] if host.argv else "python"
            kind = "Python and :commands" if self._python_allowed() else ":commands"
            welcome = f"coro backdoor of {name} (pid {host.pid}): {kind}; :help lists them, :quit leaves"
        self.write(f"{welcome}\n")
        return True

    def _ask_token(self) -> bool:
        self.write("token: ")
        given = self._next_line()
        if given is not None and matches(given.strip(), self.host.token):
            self.session.role = self.host.roles.role_of(self.connection.peer, True)
        if self.session.role is None:
            self.session.refused("wrong token")
            self._why = "wrong token"
            self.write("refused: wrong token\n")
            return False
        return True

    def _python_allowed(self) -> bool:
        return self._may_eval and self.session.may("eval")

    def _converse(self) -> None:
        block: list[str] = []
        while True:
            try:
                self.write("... " if block else self._prompt())
                text = self._next_line()
                if text is None:
                    self._why = "quit" if not self.connection.eof else "end of input"
                    return
                block = self._take(text, block)
            except LineInterrupted:
                # It came when the line had just ended.
                self.write("\n")
                block = []
            except _Interrupt:
                self.write("\nKeyboardInterrupt\n")
                block = []

    def _prompt(self) -> str:
        return ">>> " if self._python_allowed() else "coro> "

    def _next_line(self) -> str | None:
        """The next line; None at the end of input.  Yields.  Raises _Interrupt for Ctrl-C."""
        if len(self._lines):
            # Typed ahead: lines that never wait would leave no room for other threads.
            self._pace.breathe()
            item = self._lines.pop()
        else:
            item = self._lines.pop()
            self._pace.restart()
        if item is _ENDED:
            return None
        if item is _INTERRUPTED:
            raise _Interrupt
        self._waiting_chars -= len(item)
        self._room.set()
        return item  # type: ignore[no-any-return]

    def _take(self, text: str, block: list[str]) -> list[str]:
        """Do what a line says; returns the block that is not complete yet."""
        if not block and not text.strip():
            return []
        if not block and text.lstrip().startswith(":"):
            self.session.remember(text)
            self._command(text.strip()[1:].strip())
            return []
        if not self._python_allowed():
            self.session.remember(text)
            self._command(text.strip())
            return []
        if not block and text.strip() in ("quit", "exit"):
            raise LeaveSession
        block = [*block, text]
        if sum(map(len, block)) > MAX_BLOCK_CHARS:
            self.write(f"a block may be {MAX_BLOCK_CHARS} characters long; this one was dropped\n")
            return []
        return self._python(block)

    def _python(self, block: list[str]) -> list[str]:
        source = "\n".join(block)
        compiled = self.evaluator.compile_source(source)
        if isinstance(compiled, Incomplete):
            return block
        self.session.remember(source)
        if isinstance(compiled, str):
            self.write(compiled)
            return []
        self._run(compiled, source)
        return []

    def _run(self, compiled: Compiled, source: str) -> None:
        try:
            outcome = run_code(self.session, self.evaluator, compiled, source)
        finally:
            if self.session.forgiven_interrupts:
                # The reader has not got so far, and what was typed before Ctrl-C must not run.
                self._drop_waiting()
            self.sink.flush()
        if outcome.error_text is not None:
            self.write(outcome.error_text)
        elif outcome.value_repr is not None:
            self.write(outcome.value_repr + "\n")

    def _command(self, text: str) -> None:
        name, rest = (*text.split(None, 1), "", "")[:2]
        try:
            if not name:
                raise CommandError("a command's name is missing; :help lists them")
            if name == "exit":
                name = "quit"
            implementation = find(name)
            arguments = parse_line(implementation.command, rest)
            if name == "quit":
                raise LeaveSession
            if name == "exit-daemon" and not arguments.get("yes") and self.session.may("operate"):
                arguments["yes"] = self._confirm("really end the daemon? (yes/no) ")
                if not arguments["yes"]:
                    raise CommandError("the daemon goes on")
            with running_line(self.session, f":{text}"):
                rows = run_command(self.session, implementation, arguments, f":{text}")
                self._show(implementation.command, arguments, next(rows), list(rows))
        except (CommandError, UsageError, NotAllowed) as error:
            self.write(f"{error}\n")
        except LineInterrupted as error:
            self.write(f"{error}\n")

    def _show(self, command: Command, arguments: dict[str, object], is_list: bool, rows: list[object]) -> None:
        """Write a result as plain lines, at an observer's pace."""
        window = self.connection.inbound.telnet.window_size
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
                self.write("".join(kept))
                kept.clear()
                length = 0
        self.write("".join(kept))

    def _confirm(self, question: str) -> bool:
        self.write(question)
        answer = self._next_line()
        if answer is None:
            # The prompt sees the end as well.
            self._lines.push_front(_ENDED)
            self.write("\n")
            return False
        return answer.strip().lower() in ("y", "yes")

    def _input(self, prompt: str) -> str:
        """What input() in a line does.  Raises EOFError at the end of input."""
        self.sink.write(prompt)
        self.sink.flush()
        text = self._next_line()
        if text is None:
            # The prompt sees the end as well.
            self._lines.push_front(_ENDED)
            raise EOFError("the session's input has ended")
        return text

    # -- output

    def write(self, text: str) -> None:
        """Send text.  Yields while the peer is slow; inside a finaliser it only queues.  Raises ConnectionLost."""
        if not text:
            return
        data = self.connection.inbound.encode(text)
        if scheduler.collecting or current() not in self.session.threads:
            self.connection.enqueue(data)
        else:
            if self.session.forgiven_interrupts or scheduler.clock() - scheduler.now > LONG_SLICE_NS:
                self._await_reader()
            self.connection.write(data)

    def _await_reader(self) -> None:
        """Have the reader read what came while a line kept the loop from turning.

        With telnet's interrupt comes its mark, and what is printed before the answer to that is lost.
        """
        for turns in range(round(MARK_PATIENCE_S / READER_PAUSE_S)):
            if turns >= 2 and not self.session.forgiven_interrupts:
                return
            sleep_relative(READER_PAUSE_S)
        # It was no interrupt after all; the next one is not to be taken for it.
        self.session.forgiven_interrupts = 0

    def _tell(self, text: str) -> None:
        self.connection.enqueue(self.connection.inbound.encode(text))


class _Interrupt(Interrupted):
    """Ctrl-C where no line runs."""
