"""Which language a new connection speaks, by its first bytes; docs/protocol.md has the table.

Invariant: more bytes never change a decision.  Must not know sockets or sessions.
"""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["Language", "detect"]

Language = Literal["rpc", "http", "text", "tls", "refuse-http"]

_VERBS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE")
_TARGETS: Final = (b"/", b"*", b"http://", b"https://")
_REQUESTS: Final = (
    *(verb + b" " + target for verb in _VERBS for target in _TARGETS),
    b"PRI * HTTP/",
)


def detect(first: bytes, *, is_unix: bool) -> Language | None:
    """The language, or None while these bytes do not tell: then wait for more, 0.3 s at most, and take "text".

    first: all that was received so far.

    HTTP is a known method, one space and the start of a target: `GET = 3` and `POST is None` are Python, and text.
    Every method counts on a Unix socket too, so that a POST gets its 405.  The price: `GET / 2` as the very first
    line of a session is taken for HTTP.  Other methods go to the text session, whose lines are watched on TCP for
    as long as it lasts (coro.backdoor.lines). Telnet's IAC, like all else, is text.
    """
    if not first:
        return None
    if first[:1] == b"{":
        return "rpc"
    if first[:1] == b"\x16":
        return _tls_or_text(first)
    if first.startswith(_REQUESTS):
        return "http" if is_unix else "refuse-http"
    if any(request.startswith(first) for request in _REQUESTS):
        return None
    return "text"


def _tls_or_text(first: bytes) -> Language | None:
    if len(first) == 1:
        return None
    return "tls" if first[1:2] == b"\x03" else "text"
