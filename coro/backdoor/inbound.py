"""What arrives on a connection, from bytes to events: the language is found out, and then parsed.

Without a socket, so that the loop's threads and the sentinel can both go on where the other stopped.

Invariant: `feed` raises nothing; what breaks the rules becomes an event.  Must not know sessions or sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coro.backdoor.http import HttpError, HttpParser, HttpRequest
from coro.backdoor.json_lines import JsonLines, LineTooLong
from coro.backdoor.language import Language, detect
from coro.backdoor.lines import Line, LineEvent, LineReader, looks_like_http
from coro.backdoor.telnet import Telnet, TelnetEvent

__all__ = ["Inbound", "InboundEvent", "Refused", "RpcLine"]

# Text that is not decided yet: longer than any verb.
_MAX_UNDECIDED_BYTES = 64


@dataclass(frozen=True, slots=True)
class RpcLine:
    """One line of the JSON-RPC language, not decoded."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """What came cannot be served.  The last event.

    foreign: another protocol was tried where it is not allowed; all that was typed before is to be discarded.
    """

    reason: str
    foreign: bool = False


InboundEvent = RpcLine | Refused | HttpRequest | HttpError | LineEvent | TelnetEvent


class Inbound:
    """One connection's input.

    language: None until the first bytes, or a silence, have told it.
    """

    def __init__(self, *, is_unix: bool) -> None:
        self.is_unix = is_unix
        self.language: Literal["rpc", "http", "text"] | None = None
        self.telnet = Telnet()
        self.lines = LineReader(refuse_web=not is_unix)
        self._first = bytearray()
        self._json = JsonLines()
        self._http = HttpParser()
        self._ended = False

    def feed(self, data: bytes) -> list[InboundEvent]:
        """Take what was received; returns what it means, in order."""
        if self._ended:
            return []
        if self.language is None:
            self._first += data
            found = detect(bytes(self._first[:_MAX_UNDECIDED_BYTES]), is_unix=self.is_unix)
            if found is None:
                return []
            return self._settle(found)
        return self._parse(data)

    def silence(self) -> list[InboundEvent]:
        """Nothing has come for a while: the peer waits for a prompt, so it speaks text."""
        return self._settle("text") if self.language is None and not self._ended else []

    def finish(self) -> list[InboundEvent]:
        """The stream has ended: what was typed without a line's end still counts."""
        if self._ended:
            return []
        found = self.silence() if self.language is None else []
        if self.language == "rpc":
            line = self._json.finish()
            return [] if line is None else [RpcLine(line)]
        if self.language != "text":
            return found
        text = self.lines.finish()
        if self.lines.foreign is not None:
            return [self._refuse_foreign(self.lines.foreign)]
        return found if text is None else [*found, Line(text)]

    def encode(self, text: str) -> bytes:
        """Text for the peer, as bytes."""
        data = text.encode("utf-8", "backslashreplace")
        return self.telnet.encode_output(data) if self.language != "rpc" else data

    def replies(self) -> bytes:
        """What telnet has to answer, to be sent before anything else; b"" for nothing."""
        return self.telnet.take_replies()

    def _settle(self, language: Language) -> list[InboundEvent]:
        first = bytes(self._first)
        self._first.clear()
        if language == "tls":
            return [self._refuse_foreign("tls")]
        if language == "refuse-http":
            return [self._refuse_foreign("http")]
        self.language = language
        return self._parse(first) if first else []

    def _parse(self, data: bytes) -> list[InboundEvent]:
        if self.language == "rpc":
            return self._parse_rpc(data)
        if self.language == "http":
            return self._parse_http(data)
        return self._parse_text(data)

    def _parse_rpc(self, data: bytes) -> list[InboundEvent]:
        try:
            lines = self._json.feed(data)
        except LineTooLong as error:
            self._ended = True
            return [*map(RpcLine, error.lines), Refused(str(error))]
        if not self.is_unix:
            for line in lines:
                # A request of ours begins with a brace; a browser's cannot.
                if not line.startswith(b"{") and looks_like_http(line.decode("utf-8", "replace")):
                    return [self._refuse_foreign("http")]
        return [RpcLine(line) for line in lines]

    def _parse_http(self, data: bytes) -> list[InboundEvent]:
        events: list[InboundEvent] = []
        try:
            request = self._http.feed(data)
            while request is not None:
                events.append(request)
                request = self._http.feed(b"")
        except HttpError as error:
            self._ended = True
            events.append(error)
        return events

    def _parse_text(self, data: bytes) -> list[InboundEvent]:
        events: list[InboundEvent] = []
        for item in self.telnet.feed(data):
            if isinstance(item, bytes):
                events += self.lines.feed(item)
            elif item is TelnetEvent.ERASE_CHARACTER:
                self.lines.erase_character()
            elif item is TelnetEvent.ERASE_LINE:
                self.lines.erase_line()
            elif item is TelnetEvent.END_OF_FILE:
                events += self.lines.end_of_file()
            elif item is TelnetEvent.INTERRUPT:
                self.lines.erase_line()
                events.append(item)
            elif item is TelnetEvent.LIMIT:
                self._ended = True
                events.append(Refused(self.telnet.limit or "too much telnet"))
            else:
                events.append(item)
            if self.lines.foreign is not None:
                # Whatever came before in this piece is not run either.
                return [self._refuse_foreign(self.lines.foreign)]
        return events

    def _refuse_foreign(self, protocol: str) -> Refused:
        self._ended = True
        return Refused(f"{protocol.upper()} is not spoken here", foreign=True)
