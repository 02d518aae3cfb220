"""What a JSON-RPC session says: message by message, each of them whole.

Several threads of a session have something to say; whoever speaks holds the mutex.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from coro.backdoor.connection import CLAIM_RETRY_S, ConnectionLost
from coro.backdoor.evaluation import LineInterrupted
from coro.backdoor.json_lines import RequestId
from coro.backdoor.own_faults import report_own_fault
from coro.backdoor.session import Session
from coro.loop import loop
from coro.sync import mutex
from coro.timed import sleep_relative
from coro.wire.encode import dumps

__all__ = ["Speech"]

PIECE_CHARS = 16_384
_NOTHING = object()


class Speech:
    """One session's side of the conversation."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection = session.connection
        self._mutex = mutex()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._mutex:
            # The sentinel keeps out from now on; if it is at it, it ends first.
            self._session.speaking = True
            try:
                while self._connection.claim.locked():
                    sleep_relative(CLAIM_RETRY_S)
                yield
            finally:
                self._session.speaking = False

    def send(self, data: bytes) -> None:
        """Send one message.  Yields while the peer is slow.  Raises ConnectionLost."""
        with self._alone():
            self._connection.write(data)

    def send_list(self, number: RequestId | None, schema: str, rows: Iterator[Any]) -> None:
        """Answer with a list, encoded and sent piece by piece: nothing of its whole size is ever kept.

        Interrupted half-way, or by a row that fails, the message is ended all the same, marked as truncated.
        Yields; raises as send(), and what `rows` raises before anything was sent.
        """
        # What goes wrong before the first row is an error, not half an answer.
        first = next(rows, _NOTHING)
        with self._alone():
            head = f'{{"jsonrpc":"2.0","id":{dumps(number)},"result":{{"schema":{dumps(schema)},"value":['
            kept = [head]
            if first is not _NOTHING:
                kept.append(dumps(first))
            tail = ""
            try:
                self._send_rows(rows, kept)
            except LineInterrupted:
                tail = ',"truncated":true'
            except ConnectionLost:
                raise
            except Exception as error:
                if kept and kept[0] is head:
                    raise
                # Half of the message is out: it must end, and an error cannot follow it.
                report_own_fault("a row of a list", error)
                tail = ',"truncated":true'
            kept.append(f'],"turn":{loop.iterations},"answered_by":"loop"{tail}}}}}\n')
            self._connection.write("".join(kept).encode())

    def _send_rows(self, rows: Iterator[Any], kept: list[str]) -> None:
        length = 0
        for row in rows:
            text = "," + dumps(row)
            kept.append(text)
            length += len(text)
            if length >= PIECE_CHARS:
                data = "".join(kept).encode()
                # Before it is written: an interrupt in write() finds the piece queued already.
                kept.clear()
                length = 0
                self._connection.write(data)
