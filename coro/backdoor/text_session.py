"""The text console: a Python prompt and colon commands, for telnet, nc and socat.

Two threads.  The reader takes input apart and answers at once what cannot wait: Ctrl-C, telnet's marks.  The
evaluator prompts, takes the lines one by one and runs them.  What is typed ahead waits in between, bounded by
number and size; when it is full the reader stops reading.

At the end of input what was typed still runs, ten seconds at most; a broken connection interrupts it.
"""

from __future__ import annotations

import os

from greenlet import GreenletExit

from coro.backdoor.connection import FLOOD_DUTY, FLOOD_SLICE_NS, ConnectionLost
from coro.backdoor.evaluation import LeaveSession
from coro.backdoor.inbound import InboundEvent, Refused
from coro.backdoor.interrupting import strikes
from coro.backdoor.lines import EndOfFile, Interrupt, LimitReached, Line
from coro.backdoor.pace import Pace
from coro.backdoor.peeking import interrupt_ahead
from coro.backdoor.session import Session
from coro.backdoor.telnet import TelnetEvent
from coro.backdoor.text_prompt import CtrlC, TextPrompt
from coro.exceptions import TimeoutError
from coro.fifo import fifo
from coro.runtime import current, spawn
from coro.scheduler import scheduler
from coro.sync import event
from coro.timed import sleep_relative

__all__ = ["TextSession"]

MAX_WAITING_CHARS = 1 << 20
# After telnet's interrupt its DO TIMING-MARK is on the way; what is printed before the answer is lost.
MARK_PATIENCE_S = 0.05
# A slice that lasted longer has kept the reader from an interrupt that may have come meanwhile.
LONG_SLICE_NS = 10_000_000
READER_PAUSE_S = 0.001
# How often a reader that waits for room looks for what cannot wait.
FULL_LOOK_S = 0.1
# Stands for Ctrl-C, and for the end of input, among the lines.
_INTERRUPTED = object()
_ENDED = object()


class TextSession:
    """The console of one connection; run() is its reader."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.connection = session.connection
        self.host = session.host
        self.prompt = TextPrompt(session, self)
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

    # -- the reader

    def run(self) -> str:
        """Read until the end; returns why it ended.  Yields."""
        self.session.show_prompt = self._show_prompt
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
                    self.drop_waiting()
                    self.session.refused(reason)
                self.connection.enqueue(self.connection.inbound.encode(f"{reason}\n"))
                self._why = reason
                raise ConnectionLost(reason)
            case _:
                return

    def _await_mark(self) -> None:
        if TelnetEvent.TIMING_MARK in tuple(self.connection.backlog):
            return
        try:
            following = self.connection.next_event(MARK_PATIENCE_S)
        except TimeoutError:
            return
        if following is not None:
            self.connection.backlog.appendleft(following)

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
        ahead = interrupt_ahead(connection, Pace(FLOOD_SLICE_NS, FLOOD_DUTY).breathe)
        if ahead is not None:
            # Whatever comes before it is dropped, as what waits.
            self._skip_through = ahead
            self.drop_waiting()
        if not connection.has_hung_up():
            return
        self._hung_up_ns = self._hung_up_ns or scheduler.clock()
        if scheduler.clock() - self._hung_up_ns >= self.host.limits.end_of_input * 1e9:
            raise ConnectionLost(f"ran on for {self.host.limits.end_of_input:g} s after the end of input")

    def _interrupted(self) -> None:
        self._skip_through = -1
        self.drop_waiting()
        if self.session.forgiven_interrupts:
            self.session.forgiven_interrupts -= 1
            line = self.session.line
            if line is None or line.reason is None or line.struck:
                return
            # The sentinel saw it, but the line gave way by itself before it was hit.
        if not self._interrupt("Ctrl-C"):
            self._push(_INTERRUPTED)

    def drop_waiting(self) -> None:
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
            if self.prompt.greet():
                self.prompt.converse()
            self._why = self._why or self.prompt.why
            self.prompt.sink.flush()
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
            self.prompt.evaluator.close()
            self._done.set()
            # The reader ends, also if it waits for room.
            self.drop_waiting()
            self.connection.drop(self._why or "quit")

    def _leave(self) -> None:
        self._why = "quit"
        try:
            self.write("bye\n")
        except ConnectionLost as lost:
            self._why = lost.reason

    def next_line(self) -> str | None:
        """The next line; None at the end of input.  Yields.  Raises CtrlC for Ctrl-C."""
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
            raise CtrlC
        self._waiting_chars -= len(item)
        self._room.set()
        return item  # type: ignore[no-any-return]

    def put_back_end(self) -> None:
        """The end of input was seen, and is to be seen again."""
        self._lines.push_front(_ENDED)

    # -- output

    def _show_prompt(self) -> None:
        """A stall is over, and the sentinel's prompt the last that was shown: show ours.  Does not yield."""
        asked = self.prompt.asked
        if not self.session.shows_stall or asked is None or self.connection.backlog or not self._lines.poppers:
            # What was typed meanwhile runs first, and then there is a prompt.  A line that is on its way to the
            # evaluator is not counted any more; then nobody waits for one.
            return
        self.session.shows_stall = False
        self._tell(f"\nthe loop turns again\n{asked}")

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
