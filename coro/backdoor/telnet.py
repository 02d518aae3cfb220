"""The server's side of telnet, without a socket: bytes in, plain data and events out, replies beside them.

RFC 854 (commands), 855 (options), 860 (timing mark), 1073 (window size), 1091 (terminal type), 1143 (negotiation
that never loops).  A peer that never sends a command, such as `nc`, is never sent one.

We offer no option at all.  Not ECHO and not SUPPRESS-GO-AHEAD: with these a client would leave its line mode and
send every key at once.  Of the client's we accept the window's size and the terminal's type.  We never switch off
what we have asked for, so of RFC 1143's states WANTNO and the queue bits cannot occur.

Invariant: what `feed` returns does not depend on how the stream was cut into pieces; memory is bounded whatever
arrives.  Must not know lines, sessions or sockets.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from coro.wire.protocol import MAX_SUBNEGOTIATION_BYTES

__all__ = ["MAX_ANSWERS", "MAX_REPLY_BYTES", "Telnet", "TelnetEvent"]

# RFC 854, and RFC 1184 for EOF, SUSP and ABORT.
_EOF, _SUSP, _ABORT, _EOR, _SE, _NOP, _DM, _BRK, _IP, _AO, _AYT, _EC, _EL, _GA, _SB = range(236, 251)
_WILL, _WONT, _DO, _DONT, _IAC = range(251, 256)
# Options.
_TIMING_MARK: Final = 6
_TERMINAL_TYPE: Final = 24
_WINDOW_SIZE: Final = 31
_ACCEPTED: Final = (_WINDOW_SIZE, _TERMINAL_TYPE)
# RFC 1091.
_IS, _SEND = 0, 1

# So often in a session one option of one side is answered; then we are silent.  RFC 1143 answers every WILL for a
# refused option with DONT, which a sane peer takes as final: it asks once, or a few times by hand.  Silence leaves
# the option off, which is what the refusal said, and bounds all answers of a session to 12 KiB.
MAX_ANSWERS: Final = 8
# Replies that nobody has taken yet.  Only a storm of AYT or DO TIMING-MARK within one `feed` gets there: these
# cannot be left unanswered one by one (a client waits for its mark), so the session ends.
MAX_REPLY_BYTES: Final = 8192
_MAX_TERMINAL_TYPE_CHARS: Final = 40

_YES_TEXT: Final = b"\r\n[yes]\r\n"
_OUTPUT_SPECIAL: Final = re.compile(rb"\r\n|\n|\r|\xff")
_OUTPUT_ESCAPES: Final = {b"\r\n": b"\r\n", b"\n": b"\r\n", b"\r": b"\r\0", b"\xff": b"\xff\xff"}
_TERMINAL_NAME: Final = re.compile(rb"[!-~]+")


class TelnetEvent(Enum):
    """What a client's command means to a session.

    INTERRUPT: IP, BREAK or ABORT.  ABORT_OUTPUT: AO, discard the output that waits.
    ERASE_CHARACTER, ERASE_LINE: edit the line that is being typed.  END_OF_FILE: as Ctrl-D.
    TIMING_MARK: DO TIMING-MARK came; the answer is in the replies already and must be sent before any later output,
        since a telnet client discards everything before it.
    WINDOW_SIZE, TERMINAL_TYPE: `Telnet.window_size` or `.terminal_type` was set.
    LIMIT: `Telnet.limit` says which; the last event of the stream, all that follows is discarded.
    """

    INTERRUPT = auto()
    ABORT_OUTPUT = auto()
    ERASE_CHARACTER = auto()
    ERASE_LINE = auto()
    END_OF_FILE = auto()
    TIMING_MARK = auto()
    WINDOW_SIZE = auto()
    TERMINAL_TYPE = auto()
    LIMIT = auto()


_EVENTS: Final = {
    _IP: TelnetEvent.INTERRUPT,
    _BRK: TelnetEvent.INTERRUPT,
    _ABORT: TelnetEvent.INTERRUPT,
    _AO: TelnetEvent.ABORT_OUTPUT,
    _EC: TelnetEvent.ERASE_CHARACTER,
    _EL: TelnetEvent.ERASE_LINE,
    _EOF: TelnetEvent.END_OF_FILE,
}


class _State(Enum):
    """Where in the stream we are."""

    DATA = auto()
    COMMAND = auto()  # IAC came
    OPTION = auto()  # IAC and WILL, WONT, DO or DONT
    SUBNEGOTIATION = auto()  # IAC SB
    SUBNEGOTIATION_COMMAND = auto()  # IAC in a subnegotiation
    ENDED = auto()  # a limit was reached


class _Option(Enum):
    """RFC 1143's state of an option on the peer's side."""

    NO = auto()
    WANT_YES = auto()
    YES = auto()


class Telnet:
    """One connection's telnet.

    speaks_telnet: the peer has sent a command.  It is asked for its options then, and output ends lines in CR LF.
    window_size: (columns, rows), 0 where the client does not say; None before it has told.
    terminal_type: in lower case, such as "xterm"; None before the client has told.
    limit: which limit was reached, a sentence for the user; None if none was.
    """

    def __init__(self) -> None:
        self.speaks_telnet = False
        self.window_size: tuple[int, int] | None = None
        self.terminal_type: str | None = None
        self.limit: str | None = None
        self._state = _State.DATA
        self._verb = 0
        self._subnegotiation = bytearray()
        self._peer = dict.fromkeys(_ACCEPTED, _Option.NO)
        self._type_was_asked = False
        # How often (ours?, option) was answered.
        self._answers: dict[tuple[bool, int], int] = {}
        self._replies = bytearray()
        # Of the running feed.
        self._plain = bytearray()
        self._items: list[bytes | TelnetEvent] = []

    def feed(self, data: bytes) -> list[bytes | TelnetEvent]:
        """Take what was received; returns plain data and events in the order of the stream.

        Two pieces of plain data never stand side by side.  Raises nothing: what breaks the rules is ignored, what
        is too much is a LIMIT event.  Send `take_replies()` afterwards, before any output of your own.
        """
        position, end = 0, len(data)
        while position < end and self._state is not _State.ENDED:
            if self._state is _State.DATA:
                position = self._read_data(data, position)
            elif self._state is _State.SUBNEGOTIATION:
                position = self._read_subnegotiation(data, position)
            else:
                self._read_byte(data[position])
                position += 1
        self._flush()
        items, self._items = self._items, []
        return items

    def take_replies(self) -> bytes:
        """What is to be sent to the peer as it is; b"" for nothing.  They are forgotten here."""
        replies = bytes(self._replies)
        self._replies.clear()
        return replies

    def encode_output(self, data: bytes) -> bytes:
        """Make text fit to be sent: 0xFF is doubled.

        For a peer that speaks telnet, LF and CR LF become CR LF, and a lone CR becomes CR NUL (RFC 854, page 11);
        for others line ends stay as they are.
        """
        if self.speaks_telnet:
            return _OUTPUT_SPECIAL.sub(lambda match: _OUTPUT_ESCAPES[match[0]], data)
        return data.replace(b"\xff", b"\xff\xff")

    # The stream.

    def _flush(self) -> None:
        if self._plain:
            self._items.append(bytes(self._plain))
            self._plain.clear()

    def _emit(self, event: TelnetEvent) -> None:
        self._flush()
        self._items.append(event)

    def _end(self, text: str) -> None:
        self.limit = text
        self._state = _State.ENDED
        self._subnegotiation.clear()
        self._emit(TelnetEvent.LIMIT)

    def _read_data(self, data: bytes, position: int) -> int:
        iac = data.find(_IAC, position)
        if iac < 0:
            self._plain += data[position:]
            return len(data)
        self._plain += data[position:iac]
        self._state = _State.COMMAND
        return iac + 1

    def _read_byte(self, byte: int) -> None:
        if self._state is _State.OPTION:
            self._state = _State.DATA
            self._negotiate(self._verb, byte)
            self._greet()
        elif self._state is _State.COMMAND:
            self._state = _State.DATA
            self._command(byte)
        elif byte == _IAC:
            self._collect(b"\xff")
        elif byte == _SE:
            self._state = _State.DATA
            self._end_subnegotiation(bytes(self._subnegotiation))
            self._greet()
        else:
            # Not closed by SE: forget it and obey the command, which may be the user's Ctrl-C.
            self._state = _State.DATA
            self._command(byte)

    def _command(self, byte: int) -> None:
        """One byte after IAC.  NOP, GA, DM, EOR, SUSP, a stray SE and what is unknown are ignored.

        DM needs nothing done: with SO_OOBINLINE it stands at its place in the stream, and the commands before it
        were obeyed when they came.
        """
        if byte == _IAC:
            self._plain.append(_IAC)
            return
        if byte < _EOF:
            return
        if byte == _SB:
            self._subnegotiation.clear()
            self._state = _State.SUBNEGOTIATION
        elif byte > _SB:
            self._verb = byte
            self._state = _State.OPTION
        else:
            if byte == _AYT:
                self._reply(_YES_TEXT)
            elif byte in _EVENTS:
                self._emit(_EVENTS[byte])
            self._greet()

    # Subnegotiation.

    def _read_subnegotiation(self, data: bytes, position: int) -> int:
        iac = data.find(_IAC, position)
        end = len(data) if iac < 0 else iac
        self._collect(data[position:end])
        if iac < 0 or self._state is _State.ENDED:
            return end
        self._state = _State.SUBNEGOTIATION_COMMAND
        return iac + 1

    def _collect(self, data: bytes) -> None:
        self._state = _State.SUBNEGOTIATION
        if len(self._subnegotiation) + len(data) > MAX_SUBNEGOTIATION_BYTES:
            self._end(f"a telnet subnegotiation may be {MAX_SUBNEGOTIATION_BYTES} bytes long")
        else:
            self._subnegotiation += data

    def _end_subnegotiation(self, content: bytes) -> None:
        if not content or self._peer.get(content[0]) is not _Option.YES:
            return
        if content[0] == _WINDOW_SIZE and len(content) == 5:
            self.window_size = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
            self._emit(TelnetEvent.WINDOW_SIZE)
        elif content[0] == _TERMINAL_TYPE and content[1:2] == bytes([_IS]):
            name = content[2:]
            if len(name) <= _MAX_TERMINAL_TYPE_CHARS and _TERMINAL_NAME.fullmatch(name):
                self.terminal_type = name.decode("ascii").lower()
                self._emit(TelnetEvent.TERMINAL_TYPE)

    # Negotiation.

    def _greet(self) -> None:
        """After the peer's first command: ask for what we accept, unless it has been settled by that command."""
        if self.speaks_telnet or self._state is _State.ENDED:
            return
        self.speaks_telnet = True
        for option in _ACCEPTED:
            if self._peer[option] is _Option.NO:
                self._peer[option] = _Option.WANT_YES
                self._reply(bytes([_IAC, _DO, option]))

    def _negotiate(self, verb: int, option: int) -> None:
        if verb == _DO and option == _TIMING_MARK:
            # No state: each mark is answered (RFC 860).
            self._reply(bytes([_IAC, _WILL, _TIMING_MARK]))
            if self._state is not _State.ENDED:
                self._emit(TelnetEvent.TIMING_MARK)
        elif verb == _DO:
            self._answer(_WONT, option)
        elif verb == _WILL:
            self._peer_offers(option)
        elif verb == _WONT:
            self._peer_declines(option)
        # DONT: on our side everything is off already, and RFC 1143 has no answer to that.

    def _peer_offers(self, option: int) -> None:
        state = self._peer.get(option)
        if state is None:
            self._answer(_DONT, option)
            return
        if state is _Option.YES or (state is _Option.NO and not self._answer(_DO, option)):
            return
        self._peer[option] = _Option.YES
        if option == _TERMINAL_TYPE and not self._type_was_asked:
            self._type_was_asked = True
            self._reply(bytes([_IAC, _SB, _TERMINAL_TYPE, _SEND, _IAC, _SE]))

    def _peer_declines(self, option: int) -> None:
        state = self._peer.get(option)
        if state is None or state is _Option.NO:
            return
        self._peer[option] = _Option.NO
        if state is _Option.YES:
            self._answer(_DONT, option)

    def _answer(self, verb: int, option: int) -> bool:
        """Answer the peer, at most MAX_ANSWERS times for the same option; says whether it was done."""
        key = (verb == _WONT, option)
        count = self._answers.get(key, 0)
        if count == MAX_ANSWERS:
            return False
        self._answers[key] = count + 1
        self._reply(bytes([_IAC, verb, option]))
        return True

    def _reply(self, reply: bytes) -> None:
        if self._state is _State.ENDED:
            return
        if len(self._replies) + len(reply) > MAX_REPLY_BYTES:
            self._end(f"too many telnet commands at once: their answers may be {MAX_REPLY_BYTES} bytes long")
            return
        self._replies += reply
