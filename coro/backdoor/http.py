"""As much of HTTP/1.1 (RFC 9112) as `/healthz` and `/metrics` need: requests without a body, and answers.

Strict where two readers of one stream could differ (request smuggling): no body, no folded header, no CR but
before LF, no space before a colon.  A lone LF ends a line (RFC 9112, section 2.2), so that a request can be typed
into `nc`.

Invariant: requests do not depend on how the stream was cut into pieces; memory is bounded.  Must not know what is
served.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

__all__ = [
    "MAX_HEADERS",
    "MAX_HEAD_BYTES",
    "MAX_WAITING_BYTES",
    "HttpError",
    "HttpParser",
    "HttpRequest",
    "response",
]

MAX_HEAD_BYTES: Final = 8192
MAX_HEADERS: Final = 100
# Received and not parsed: the requests that a client sent without waiting for answers.
MAX_WAITING_BYTES: Final = 131_072

# Possessive (*+) where a match would otherwise be retried from every byte: quadratic time, and memory for each one.
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_BLANK_LINES: Final = re.compile(rb"(?:\r?\n)*+")
_REQUEST_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9])\.([0-9])")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)")
_ABSOLUTE: Final = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class HttpError(Exception):
    """The request is refused: answer with `status` and `text`, and close the connection."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.

    method: "GET" or "HEAD".  path: begins with "/", without the query, percent signs as they came.
    keep_alive: the connection may serve another request.
    """

    method: str
    path: str
    keep_alive: bool


class HttpParser:
    """One connection's requests."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        # Where the search for the end of the head goes on.
        self._searched = 0
        self._ended = False

    def feed(self, data: bytes) -> HttpRequest | None:
        """Take what was received; returns the next request if it is complete.

        When one was returned, another may wait already: feed b"" before you receive more.
        Raises HttpError for what is no request or not allowed; then all that follows is discarded and None
        returned.
        """
        if self._ended:
            return None
        try:
            return self._next_request(data)
        except HttpError:
            self._ended = True
            self._waiting.clear()
            raise

    def _next_request(self, data: bytes) -> HttpRequest | None:
        waiting = self._waiting
        if len(waiting) + len(data) > MAX_WAITING_BYTES:
            raise HttpError(400, f"more than {MAX_WAITING_BYTES} bytes of requests wait for their answers")
        waiting += data
        # Blank lines before a request are nothing (RFC 9112, section 2.2).
        if (blank := _BLANK_LINES.match(waiting)) is not None:
            del waiting[: blank.end()]
        end = _END_OF_HEAD.search(waiting, max(0, self._searched - 3))
        if (len(waiting) if end is None else end.end()) > MAX_HEAD_BYTES:
            raise HttpError(431, f"a request may be {MAX_HEAD_BYTES} bytes long")
        if end is None:
            self._searched = len(waiting)
            return None
        head = waiting[: end.start()].decode("latin-1")
        del waiting[: end.end()]
        self._searched = 0
        return _parse_head(head)


def _parse_head(head: str) -> HttpRequest:
    first, *rest = (line.removesuffix("\r") for line in head.split("\n"))
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise HttpError(400, "the request line is malformed")
    method, target, major, minor = match.groups()
    if major != "1":
        raise HttpError(505, f"only HTTP/1.1 is spoken here, not HTTP/{major}.{minor}")
    headers = _parse_headers(rest)
    if method not in ("GET", "HEAD"):
        raise HttpError(405, "only GET and HEAD are allowed")
    if "content-length" in headers or "transfer-encoding" in headers:
        raise HttpError(400, "a request must not have a body")
    hosts = headers.get("host", [])
    if len(hosts) > 1 or (not hosts and minor != "0"):
        raise HttpError(400, f"a request has one Host header, got {len(hosts)}")
    return HttpRequest(method, _path(target), _keep_alive(headers, is_old=minor == "0"))


def _parse_headers(lines: list[str]) -> dict[str, list[str]]:
    """Names, in lower case, to values.  Raises HttpError."""
    if len(lines) > MAX_HEADERS:
        raise HttpError(431, f"a request may have {MAX_HEADERS} headers, got {len(lines)}")
    headers: dict[str, list[str]] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise HttpError(400, "a header is malformed")
        headers.setdefault(match[1].lower(), []).append(match[2].rstrip(" \t"))
    return headers


def _path(target: str) -> str:
    """The path of an origin-form or absolute-form target (RFC 9112, section 3.2).  Raises HttpError."""
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        target = target[absolute.end() :]
        if not target.startswith("/"):
            target = "/" + target
    if not target.startswith("/") or "#" in target:
        raise HttpError(400, "the request's target must be a path")
    return target.partition("?")[0]


def _keep_alive(headers: dict[str, list[str]], *, is_old: bool) -> bool:
    words = {word.strip(" \t").lower() for value in headers.get("connection", []) for word in value.split(",")}
    if "close" in words:
        return False
    return not is_old or "keep-alive" in words


def response(
    status: int,
    body: bytes,
    content_type: str,
    *,
    head_only: bool = False,
    close: bool = False,
    date: float | None = None,
) -> bytes:
    """A whole answer.

    head_only: to a HEAD request: the same headers, no body.  close: tell the client that the connection ends.
    date: now, in seconds since the epoch; None leaves the header out.
    Raises ValueError for a status that HTTP does not know or a content type that would break the header.
    """
    if not content_type.isascii() or not content_type.isprintable():
        raise ValueError(f"content type must be printable ASCII, got {content_type!r}")
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        f"Connection: {'close' if close else 'keep-alive'}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ]
    if status == 405:
        lines.append("Allow: GET, HEAD")
    if date is not None:
        lines.append(f"Date: {_date(date)}")
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head if head_only else head + body


def _date(seconds: float) -> str:
    """As RFC 9110, section 5.6.7; strftime would speak the daemon's language."""
    now = time.gmtime(seconds)
    day, month = _DAYS[now.tm_wday], _MONTHS[now.tm_mon - 1]
    return f"{day}, {now.tm_mday:02} {month} {now.tm_year:04} {now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} GMT"
