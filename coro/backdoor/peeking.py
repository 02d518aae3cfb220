"""What has been typed and not been read, without taking it out of the socket: Ctrl-C, telnet's IP, `cancel`.

For the sentinel: a line that spins keeps the session's reader from reading; and for a reader that waits for room.
Bytes alone do not tell: a telnet client's window may be three lines high.
"""

from __future__ import annotations

import copy
import re
import socket
from collections.abc import Callable

from coro.backdoor.connection import READ_SIZE_BYTES, Connection
from coro.backdoor.inbound import InboundEvent, RpcLine
from coro.backdoor.json_lines import RequestError, RequestId, parse_request
from coro.backdoor.lines import Interrupt
from coro.backdoor.telnet import TelnetEvent
from coro.wire.encode import DecodeError, loads_limited

__all__ = ["cancel_typed", "interrupt_ahead", "interrupts_typed"]

PEEK_BYTES = 65_536
# Without one of these there is no interrupt: Ctrl-C, and the second bytes of telnet's ABORT, BREAK and IP.
_MAY_INTERRUPT = re.compile(rb"[\x03\xee\xf3\xf4]")


def interrupts_typed(connection: Connection) -> int:
    """How many interrupts wait in a text session's backlog and socket.

    For the holder of the claim; never blocks.
    """
    found = sum(map(_is_interrupt, tuple(connection.backlog)))
    data = _peek(connection)
    if _MAY_INTERRUPT.search(data):
        # A copy goes on where the real parser stopped, which will read the same bytes later.
        found += sum(map(_is_interrupt, copy.deepcopy(connection.inbound).feed(data)))
    return found


def cancel_typed(connection: Connection, number: RequestId | None) -> bool:
    """Whether a `cancel` of this request waits in a JSON-RPC session.  As interrupts_typed()."""
    waiting = list(connection.backlog)
    data = _peek(connection)
    if data:
        waiting += copy.deepcopy(connection.inbound).feed(data)
    return any(isinstance(item, RpcLine) and _cancels(item.data, number) for item in waiting)


def interrupt_ahead(connection: Connection, breathe: Callable[[], object]) -> int | None:
    """Before which of all the bytes that the connection receives the last interrupt comes that is unread; or None.

    Counted as `received_bytes`, in whole reads: all lines of earlier reads were typed before it.
    breathe: is called after each 4096 bytes, and may yield.  Called without the claim, by the session's reader.
    """
    if not connection.claim.acquire(False):
        # The sentinel is at it, so something is being read.
        return None
    try:
        if any(map(_is_interrupt, tuple(connection.backlog))):
            return connection.received_bytes
        data = _peek(connection)
        if not _MAY_INTERRUPT.search(data):
            return None
        received = connection.received_bytes
        inbound = copy.deepcopy(connection.inbound)
    finally:
        connection.claim.release()
    last = None
    for start in range(0, len(data), READ_SIZE_BYTES):
        if any(map(_is_interrupt, inbound.feed(data[start : start + READ_SIZE_BYTES]))):
            last = received + start
        breathe()
    return last


def _is_interrupt(item: InboundEvent) -> bool:
    return item is TelnetEvent.INTERRUPT or isinstance(item, Interrupt)


def _peek(connection: Connection) -> bytes:
    try:
        return connection.sock.recv(PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return b""


def _cancels(data: bytes, number: RequestId | None) -> bool:
    if b'"cancel"' not in data:
        return False
    try:
        request = parse_request(loads_limited(data))
    except (DecodeError, RequestError):
        return False
    return request.method == "cancel" and number is not None and request.params.get("id") == number
