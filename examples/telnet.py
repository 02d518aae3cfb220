"""The telnet protocol without a socket: bytes go in, text and answers come out.

A telnet client mixes commands into what its user types.  Each begins with the byte 255, IAC; a 255 that is
meant as such is sent twice.  Commands agree on options, such as who echoes what is typed: WILL and WONT say
what the sender does, DO and DONT ask the peer.  RFC 854 and 855 describe this; RFC 857 (ECHO), 858 (SGA), 860
(timing mark) and 1073 (window size) the options used here.

A Telnet object is fed with pieces of the stream, cut anywhere, and takes the commands out.  Each option has one
of three states for each side, and only a change of state is answered, so that two polite peers never answer
each other for ever (the idea of RFC 1143).  A peer that speaks no telnet at all, such as nc, never sends a 255:
nothing happens.

It works for both ends: a server offers ECHO and SGA and asks for NAWS, a client allows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

# Commands.
IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
ARE_YOU_THERE, INTERRUPT_PROCESS, BREAK = 246, 244, 243

# Options.  A server that WILL ECHO and suppress go-ahead (SGA) makes telnet send each key at once.
ECHO, SGA, TIMING_MARK, NAWS = 1, 3, 6, 31

LONGEST_SUBNEGOTIATION_BYTES = 512
# A peer that asks and does not read gets no more answers than this.
MOST_ANSWERS_BYTES = 4096


class Option(Enum):
    """What two peers have agreed on, for one option of one side."""

    OFF = "off"
    ASKED = "asked"
    ON = "on"


class State(Enum):
    """Where in the stream the next byte stands."""

    TEXT = "text"
    COMMAND = "after IAC"
    OPTION = "after IAC DO"
    DETAIL = "inside a subnegotiation"
    DETAIL_COMMAND = "after IAC inside a subnegotiation"


class Telnet:
    """One end of a telnet connection.

    allowed: options that we do if the peer asks for them.
    allowed_to_peer: options that the peer may do if it offers them.
    own_size: (columns, rows), told to a peer that asks for our window size.
    window_size: the peer's (columns, rows), None until it tells; a 0, which means "unknown", is kept as 0.
    commands: plain commands that arrived, such as INTERRUPT_PROCESS; whoever looks at them clears the list.
    """

    def __init__(
        self,
        allowed: Iterable[int] = (),
        allowed_to_peer: Iterable[int] = (),
        own_size: tuple[int, int] | None = None,
    ) -> None:
        self.own_size = own_size
        self.window_size: tuple[int, int] | None = None
        self.commands: list[int] = []
        self._allowed = {DO: frozenset(allowed), WILL: frozenset(allowed_to_peer)}
        # By the verb that the peer switches it on with: DO for our options, WILL for the peer's own.
        self._options: dict[tuple[int, int], Option] = {}
        self._answers = bytearray()
        self._text = bytearray()
        self._state = State.TEXT
        self._verb = 0
        self._detail = bytearray()

    def offer(self, *options: int) -> None:
        """Say that we WILL do these, unless the peer objects."""
        for option in options:
            self._options[DO, option] = Option.ASKED
            self._answer(WILL, option)

    def ask(self, *options: int) -> None:
        """Ask the peer to DO these."""
        for option in options:
            self._options[WILL, option] = Option.ASKED
            self._answer(DO, option)

    def take_answers(self) -> bytes:
        """What is to be sent to the peer now; b"" for nothing."""
        answers = bytes(self._answers)
        self._answers.clear()
        return answers

    def receive(self, data: bytes) -> bytes:
        """Take in a piece of the stream; returns the text in it."""
        if self._state is State.TEXT and IAC not in data:
            return data
        for byte in data:
            self._step(byte)
        text = bytes(self._text)
        self._text.clear()
        return text

    def _step(self, byte: int) -> None:
        match self._state:
            case State.TEXT if byte == IAC:
                self._state = State.COMMAND
            case State.TEXT:
                self._text.append(byte)
            case State.COMMAND:
                self._begin(byte)
            case State.OPTION:
                self._state = State.TEXT
                self._negotiate(self._verb, byte)
            case State.DETAIL if byte == IAC:
                self._state = State.DETAIL_COMMAND
            case State.DETAIL:
                self._add_detail(byte)
            case State.DETAIL_COMMAND if byte == IAC:
                self._state = State.DETAIL
                self._add_detail(byte)
            case State.DETAIL_COMMAND if byte == SE:
                self._state = State.TEXT
                self._end_detail()
            case State.DETAIL_COMMAND:
                # Nothing else may stand here: the subnegotiation was cut off, and this is the next command.
                self._begin(byte)

    def _begin(self, command: int) -> None:
        """The byte after an IAC."""
        self._state = State.TEXT
        if command == IAC:
            self._text.append(IAC)
        elif command in (DO, DONT, WILL, WONT):
            self._verb = command
            self._state = State.OPTION
        elif command == SB:
            self._detail.clear()
            self._state = State.DETAIL
        else:
            self.commands.append(command)

    def _add_detail(self, byte: int) -> None:
        # What is too long to be meant is not kept, but read to its end.
        if len(self._detail) < LONGEST_SUBNEGOTIATION_BYTES:
            self._detail.append(byte)

    def _end_detail(self) -> None:
        if len(self._detail) == 5 and self._detail[0] == NAWS:
            columns_high, columns_low, rows_high, rows_low = self._detail[1:]
            self.window_size = (columns_high << 8 | columns_low, rows_high << 8 | rows_low)

    def _negotiate(self, verb: int, option: int) -> None:
        is_ours = verb in (DO, DONT)
        yes, no = (WILL, WONT) if is_ours else (DO, DONT)
        switch = DO if is_ours else WILL
        before = self._options.get((switch, option), Option.OFF)
        if verb in (DO, WILL):
            if option == TIMING_MARK and is_ours:
                # No option that stays on: the mark says that all before it has been read.
                self._answer(WILL, option)
                return
            if before is Option.OFF:
                if option not in self._allowed[switch]:
                    self._answer(no, option)
                    return
                self._answer(yes, option)
            self._options[switch, option] = Option.ON
            if is_ours and option == NAWS and before is not Option.ON:
                self._tell_size()
        else:
            if before is Option.ON:
                self._answer(no, option)
            self._options[switch, option] = Option.OFF

    def _answer(self, verb: int, option: int) -> None:
        if len(self._answers) < MOST_ANSWERS_BYTES:
            self._answers += bytes((IAC, verb, option))

    def _tell_size(self) -> None:
        if self.own_size is None:
            return
        columns, rows = self.own_size
        size = columns.to_bytes(2, "big") + rows.to_bytes(2, "big")
        self._answers += bytes((IAC, SB, NAWS)) + size.replace(b"\xff", b"\xff\xff") + bytes((IAC, SE))
