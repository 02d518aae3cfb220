"""Newline-delimited JSON-RPC 2.0: lines from bytes, and a request from what a line decodes to.

Decoding itself, with its limits on depth and digits, is `coro.wire.encode.loads_limited`.

Invariant: lines do not depend on how the stream was cut into pieces; at most one line is kept, and the time is
linear in what arrives.  Must not know the methods, sessions or sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from coro.wire.protocol import INVALID_PARAMS, INVALID_REQUEST, MAX_LINE_BYTES

__all__ = [
    "MAX_ID_CHARS",
    "MAX_METHOD_CHARS",
    "JsonLines",
    "LineTooLong",
    "Request",
    "RequestError",
    "RequestId",
    "parse_request",
]

RequestId = int | str

MAX_ID_CHARS: Final = 256
MAX_METHOD_CHARS: Final = 128
_MAX_ID: Final = 2**63 - 1


class LineTooLong(Exception):
    """A line is longer than the limit.  lines: the complete ones that came before it in the same piece."""

    def __init__(self, limit: int, lines: list[bytes]) -> None:
        super().__init__(f"a request may be {limit} bytes long")
        self.limit = limit
        self.lines = lines


class JsonLines:
    """One connection's lines."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._line = bytearray()
        self._ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was received; returns the lines that are complete, without LF or CR LF, blank ones left out.

        Raises LineTooLong as soon as a line is longer than the limit, its CR counted; once, since then all is
        discarded.
        """
        lines: list[bytes] = []
        position = 0
        while not self._ended:
            stop = data.find(b"\n", position)
            end = len(data) if stop < 0 else stop
            if len(self._line) + end - position > self._limit:
                self._ended = True
                self._line.clear()
                raise LineTooLong(self._limit, lines)
            self._line += data[position:end]
            if stop < 0:
                break
            if line := self.finish():
                lines.append(line)
            position = stop + 1
        return lines

    def finish(self) -> bytes | None:
        """The connection has ended: the line that lacks its end, None if there is none.  Forgets it."""
        line = bytes(self._line).removesuffix(b"\r")
        self._line.clear()
        return None if not line or line.isspace() else line


class RequestError(Exception):
    """What was sent is no request.  code: JSON-RPC's; id: the request's, None if it has no valid one."""

    def __init__(self, code: int, message: str, id: RequestId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id


@dataclass(frozen=True, slots=True)
class Request:
    """One request.  id: None for a notification."""

    id: RequestId | None
    method: str
    params: dict[str, Any]

    @property
    def is_notification(self) -> bool:
        """Whether no answer is expected."""
        return self.id is None


def parse_request(message: object) -> Request:
    """Check what one line decoded to.  Members that JSON-RPC does not know are ignored.

    Raises RequestError: INVALID_PARAMS if only the parameters are wrong, else INVALID_REQUEST.
    """
    if isinstance(message, list):
        raise RequestError(INVALID_REQUEST, "batches are not supported: send one request object a line")
    if not isinstance(message, dict):
        raise RequestError(INVALID_REQUEST, f"a request is an object, not {_kind(message)}")
    # First, so that the refusals that follow carry it.
    id = _checked_id(message["id"]) if "id" in message else None
    if message.get("jsonrpc") != "2.0":
        raise RequestError(INVALID_REQUEST, 'a request has "jsonrpc": "2.0"', id)
    method = message.get("method")
    if not isinstance(method, str) or not 0 < len(method) <= MAX_METHOD_CHARS:
        raise RequestError(
            INVALID_REQUEST, f"a request's method is a string of 1 to {MAX_METHOD_CHARS} characters", id
        )
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise RequestError(INVALID_PARAMS, f"params is an object, not {_kind(params)}", id)
    return Request(id, method, params)


def _checked_id(id: object) -> RequestId:
    if isinstance(id, str):
        if len(id) > MAX_ID_CHARS:
            raise RequestError(INVALID_REQUEST, f"an id may be {MAX_ID_CHARS} characters long, got {len(id)}")
        return id
    # bool is an int to Python, not to JSON.
    if isinstance(id, int) and not isinstance(id, bool):
        if not -_MAX_ID - 1 <= id <= _MAX_ID:
            raise RequestError(INVALID_REQUEST, "an id that is a number must fit into 64 bits")
        return id
    raise RequestError(INVALID_REQUEST, f"an id is a string or a whole number, not {_kind(id)}")


def _kind(value: object) -> str:
    """What JSON calls a decoded value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"
