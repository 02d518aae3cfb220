"""What has been typed while a line runs, without taking it out of the socket: Ctrl-C, telnet's IP, `cancel`.

For the sentinel: a line that spins keeps the session's reader from reading.  Called under the connection's claim.
Bytes alone do not tell: a telnet client's window may be three lines high.
"""

from __future__ import annotations

import copy
import socket

from coro.backdoor.connection import Connection
from coro.backdoor.inbound import RpcLine
from coro.backdoor.json_lines import RequestError, RequestId, parse_request
from coro.backdoor.lines import Interrupt
from coro.backdoor.telnet import TelnetEvent
from coro.wire.encode import DecodeError, loads_limited

__all__ = ["cancel_typed", "interrupts_typed"]

PEEK_BYTES = 65_536


def interrupts_typed(connection: Connection) -> int:
    """How many interrupts wait in a text session's socket.  Never blocks."""
    return sum(isinstance(item, Interrupt) or item is TelnetEvent.INTERRUPT for item in _peek(connection))


def cancel_typed(connection: Connection, number: RequestId | None) -> bool:
    """Whether a `cancel` of this request waits in a JSON-RPC session's socket.  Never blocks."""
    return any(isinstance(item, RpcLine) and _cancels(item.data, number) for item in _peek(connection))


def _peek(connection: Connection) -> list[object]:
    try:
        data = connection.sock.recv(PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return []
    # A copy goes on where the real parser stopped, which will read the same bytes later.
    return [*connection.backlog, *(copy.deepcopy(connection.inbound).feed(data) if data else [])]


def _cancels(data: bytes, number: RequestId | None) -> bool:
    if b'"cancel"' not in data:
        return False
    try:
        request = parse_request(loads_limited(data))
    except (DecodeError, RequestError):
        return False
    return request.method == "cancel" and number is not None and request.params.get("id") == number
