"""Lines of text from plain bytes, for a text session: telnet's, nc's and socat's line ends, a tty's few keys.

LF, CR LF, CR NUL and a lone CR end a line.  Backspace and DEL remove a character, Ctrl-U the line, Ctrl-C
interrupts, Ctrl-D at the start of a line is the end.  Another NUL is dropped.

Invariant: the events do not depend on how the stream was cut into pieces; at most one line is kept, and the time is
linear in what arrives.  Must not know telnet's commands, sessions or sockets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from coro.wire.protocol import MAX_LINE_BYTES

__all__ = [
    "EndOfFile",
    "Foreign",
    "Interrupt",
    "LimitReached",
    "Line",
    "LineEvent",
    "LineReader",
    "looks_like_http",
    "looks_like_tls",
]


@dataclass(frozen=True, slots=True)
class Line:
    """A line, without its end.  What is not UTF-8 stands in it as `\\xff`."""

    text: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Ctrl-C.  What was typed of the line is gone, as at a tty; lines that were complete before it are not."""


@dataclass(frozen=True, slots=True)
class EndOfFile:
    """Ctrl-D at the start of a line."""


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The line has become longer than `limit` bytes.  It is discarded up to its end."""

    limit: int


@dataclass(frozen=True, slots=True)
class Foreign:
    """The peer speaks another protocol.  The last event: all that follows is discarded."""

    protocol: Literal["http", "tls"]


LineEvent = Line | Interrupt | EndOfFile | LimitReached | Foreign

# Frozen, so one of each serves: a flood of line ends makes no flood of objects.
_EMPTY_LINE: Final = Line("")
_INTERRUPT: Final = Interrupt()
_END_OF_FILE: Final = EndOfFile()

_NUL, _CTRL_C, _CTRL_D, _BACKSPACE, _LF, _CR, _CTRL_U, _TLS, _DELETE = b"\x00\x03\x04\x08\n\r\x15\x16\x7f"
_SPECIAL: Final = re.compile(rb"[\x00\x03\x04\x08\n\r\x15\x16\x7f]")

# Possessive (++, *+): a line made for it would otherwise be matched in quadratic time, seconds for 64 KiB.
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_REQUEST_LINE: Final = re.compile(rf"{_TOKEN}[ \t]++\S++[ \t]++HTTP/[0-9]", re.IGNORECASE)
_REQUEST_LINE_START: Final = re.compile(rf"{_TOKEN}[ \t]++(/|\*|https?://)\S*+\Z", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"(?:Host:[ \t]*+\S*+[ \t]*+\Z"
    r"|(?:User-Agent|Accept-(?:Encoding|Language|Charset)|Content-(?:Type|Length)|Transfer-Encoding"
    r"|Upgrade-Insecure-Requests|Sec-(?:Fetch|CH|WebSocket|GPC)[A-Za-z-]*|X-Requested-With|X-Forwarded-[A-Za-z]+"
    r"|Access-Control-Request-[A-Za-z-]+|Proxy-Connection):)",
    re.IGNORECASE,
)


def looks_like_http(line: str) -> bool:
    """Whether a line, without its end, may come from an HTTP client.  Does not yield.

    True for `TOKEN target HTTP/digit`, whatever the method, and for headers at the start of the line that every
    browser sends.  All but Host have a hyphen, which no target of a Python annotation has.  `Host:` counts if one
    word or nothing follows, since a host has no space in it.  So `host: str = "x"` is Python, but `host: str` at
    the left margin and `x = HTTP/1` are taken for HTTP: where this is asked, running a web page's code would be
    worse than ending a session.
    """
    return bool(_REQUEST_LINE.match(line) or _HEADER.match(line))


def looks_like_tls(data: bytes) -> bool:
    """Whether a connection that begins with these bytes wants TLS: a handshake record of any version."""
    return data[:2] == b"\x16\x03"


class LineReader:
    """One connection's lines.

    refuse_web: on TCP: a line that looks like HTTP, or begins with 0x16 as TLS does, is no Line but Foreign.
    foreign: the protocol of that event, None before.
    """

    def __init__(self, *, limit: int = MAX_LINE_BYTES, refuse_web: bool = False) -> None:
        self.foreign: Literal["http", "tls"] | None = None
        self._limit = limit
        self._refuse_web = refuse_web
        self._line = bytearray()
        # The line was too long: drop what comes, up to its end.
        self._discarding = False
        # A CR ended the last line: an LF or NUL belongs to it.
        self._after_cr = False

    def feed(self, data: bytes) -> list[LineEvent]:
        """Take plain data; returns what it means, in order.  Raises nothing."""
        events: list[LineEvent] = []
        position, end = 0, len(data)
        while position < end and self.foreign is None:
            match = _SPECIAL.search(data, position)
            stop = end if match is None else match.start()
            if stop > position:
                self._after_cr = False
                self._append(data[position:stop], events)
            if match is not None and self.foreign is None:
                self._special(data[stop], events)
            position = stop + 1
        return events

    def erase_character(self) -> None:
        """Remove the last character of the line that is being typed, as backspace does."""
        line = self._line
        if not line:
            return
        # The start of the last character: before its continuation bytes, if it has as many as its first byte
        # allows.
        start = len(line) - 1
        while start > 0 and len(line) - start < 4 and line[start] & 0xC0 == 0x80:
            start -= 1
        if len(line) - start > _length_of_character(line[start]):
            start = len(line) - 1
        del line[start:]

    def erase_line(self) -> None:
        """Forget the line that is being typed, as Ctrl-U does; also one that is being discarded."""
        self._line.clear()
        self._discarding = False

    def end_of_file(self) -> list[LineEvent]:
        """What Ctrl-D, or telnet's EOF, means now: EndOfFile at the start of a line, else nothing."""
        return [] if self._line or self._discarding or self.foreign else [_END_OF_FILE]

    def finish(self) -> str | None:
        """The connection has ended: the line that lacks its end, None if there is none.  Forgets it.

        With refuse_web, one that looks like HTTP is not returned; `foreign` is set.
        """
        text = self._take()
        if text and self._refuse_web and looks_like_http(text):
            self.foreign = "http"
            return None
        return text or None

    def _take(self) -> str:
        text = self._line.decode("utf-8", "backslashreplace")
        self._line.clear()
        return text

    def _append(self, data: bytes, events: list[LineEvent]) -> None:
        if self._discarding:
            return
        room = self._limit - len(self._line)
        self._line += data[:room]
        if len(data) <= room:
            return
        if self._refuse_web and _REQUEST_LINE_START.match(self._take()):
            self._end("http", events)
            return
        self._line.clear()
        self._discarding = True
        events.append(LimitReached(self._limit))

    def _special(self, byte: int, events: list[LineEvent]) -> None:
        after_cr, self._after_cr = self._after_cr, byte == _CR
        if byte in (_LF, _CR, _NUL):
            if byte != _CR and (after_cr or byte == _NUL):
                return
            self._end_line(events)
        elif byte == _CTRL_C:
            self.erase_line()
            events.append(_INTERRUPT)
        elif byte == _CTRL_D:
            events += self.end_of_file()
        elif byte == _CTRL_U:
            self.erase_line()
        elif byte == _TLS:
            if self._refuse_web and not self._line and not self._discarding:
                self._end("tls", events)
            else:
                self._append(b"\x16", events)
        else:
            self.erase_character()

    def _end_line(self, events: list[LineEvent]) -> None:
        if self._discarding:
            self._discarding = False
            return
        if not self._line:
            events.append(_EMPTY_LINE)
            return
        text = self._take()
        if self._refuse_web and looks_like_http(text):
            self._end("http", events)
        else:
            events.append(Line(text))

    def _end(self, protocol: Literal["http", "tls"], events: list[LineEvent]) -> None:
        self.foreign = protocol
        self._line.clear()
        events.append(Foreign(protocol))


def _length_of_character(first: int) -> int:
    """How many bytes a UTF-8 character has that begins with this byte; 1 for one that cannot begin any."""
    if 0xC2 <= first < 0xE0:
        return 2
    if 0xE0 <= first < 0xF0:
        return 3
    return 4 if 0xF0 <= first < 0xF5 else 1
