"""One connection to a daemon, speaking the protocol of docs/protocol.md: requests, answers, notifications.

Invariant: everything that waits has a deadline on the monotonic clock, or a limit to the silence that it bears, or
waits for a second descriptor beside, so that no silent daemon can hang the client.  What it does not know (other
notifications, answers to requests given up long ago, further fields) it ignores, so that an old daemon and a new
client get along.

State: `_received` holds what came after the last whole line; `_scanned` of its bytes are known to hold no LF.
`_heard` is when anything came last, `_progressed` whether the daemon said that it is at work.
Must not know terminals, commands or how the connection was made.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from coro.console.failures import CommandFailure, ConnectionLost, Garbage, NoAnswer, NotReached, UsageFailure
from coro.wire.protocol import MAX_LINE_BYTES, PROTOCOL_VERSION

__all__ = ["Answer", "Client", "Message", "deadline_after"]

Message = dict[str, Any]
# The `result` of an answer: value, and mostly schema, turn and answered_by.
Answer = dict[str, Any]

_CHUNK_BYTES: Final = 1 << 16


def deadline_after(timeout: float | None) -> float | None:
    """The moment on the monotonic clock that lies `timeout` seconds ahead; None for never."""
    return None if timeout is None else time.monotonic() + timeout


def _ignore(method: str, params: Message) -> None:
    pass


class Client:
    """A connected socket, and what has come over it.

    where: the target as the user knows it, for messages.
    notified: called with (method, params) for each notification that comes while an answer is waited for.
    """

    def __init__(self, connection: socket.socket, where: str) -> None:
        connection.setblocking(False)
        self.where = where
        self.notified: Callable[[str, Message], None] = _ignore
        self._connection = connection
        self._received = bytearray()
        self._scanned = 0
        self._heard = time.monotonic()
        self._progressed = False
        self._last_id = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor, for whoever waits for several; -1 once closed."""
        return self._connection.fileno()

    def close(self) -> None:
        """End the connection; the daemon interrupts what still runs for it.  May be repeated."""
        self._connection.close()

    # -- out

    def hello_message(self, name: str, token: str | None = None) -> Message:
        """The greeting, to be sent first.  name: "program/version" of this client."""
        params: Message = {"protocol": PROTOCOL_VERSION, "client": name}
        if token is not None:
            params["token"] = token
        return self.request("hello", params)

    def request(self, method: str, params: Message | None = None) -> Message:
        """A request with an id of its own, not sent yet."""
        self._last_id += 1
        return {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params or {}}

    def send(self, *messages: Message, deadline: float | None) -> None:
        """Send the messages, in one write where the kernel takes it.

        Raises UsageFailure if one is longer than the protocol allows, NoAnswer at the deadline, ConnectionLost if
        close() was called.  That the other end has closed is no error here: the reason may wait to be received.
        """
        lines = [json.dumps(message, separators=(",", ":")).encode() + b"\n" for message in messages]
        for line in lines:
            if len(line) > MAX_LINE_BYTES:
                raise UsageFailure(f"the request has {len(line)} bytes; the daemon takes {MAX_LINE_BYTES} at most")
        data = memoryview(b"".join(lines))
        while data:
            try:
                data = data[self._connection.send(data) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline, None)
            except (BrokenPipeError, ConnectionResetError):
                return
            except OSError as error:
                raise ConnectionLost(f"{self.where}: {error.strerror or error}") from error

    # -- in

    def receive(self, deadline: float | None, beside: int | None = None) -> Message | None:
        """The next message; None when the descriptor `beside` is readable first.

        What has come already is returned even after the deadline.
        Raises NoAnswer at the deadline, ConnectionLost at the end of the stream, Garbage for what is no message.
        """
        while (line := self._next_line()) is None:
            if not self._fill() and not self._wait(select.POLLIN, deadline, beside):
                return None
        return self._message(line)

    def receive_nowait(self) -> Message | None:
        """The next message if it has come, else None.  Raises as receive()."""
        while (line := self._next_line()) is None:
            if not self._fill():
                return None
        return self._message(line)

    def answer_to(self, request: Message, deadline: float | None) -> Answer:
        """Wait for the answer to a request that was sent; notifications go to `notified` meanwhile.

        Raises CommandFailure for an error, and as receive().
        """
        while True:
            message = self.receive(deadline)
            assert message is not None
            answer = self.take(message, request)
            if answer is not None:
                return answer

    def take(self, message: Message, request: Message) -> Answer | None:
        """The result, if this message answers the request; else pass it on, if it is a notification, and None.

        Raises CommandFailure if the message is an error, to this request or to the connection as a whole.
        """
        if "method" in message:
            if "id" not in message:
                self._progressed |= message["method"] == "progress"
                params = message.get("params")
                self.notified(str(message["method"]), params if isinstance(params, dict) else {})
            return None
        error = message.get("error")
        # An error without an id speaks of the connection: too many sessions, a line that was not understood.
        if message.get("id") != request["id"] and (message.get("id") is not None or error is None):
            return None
        if error is not None:
            raise failure_of(error)
        result = message.get("result")
        if not isinstance(result, dict) or "value" not in result:
            raise Garbage(f"{self.where} answered without a value: it does not speak this protocol")
        return result

    def call(self, method: str, params: Message | None = None, timeout: float | None = None) -> Answer:
        """Send a request and wait for its answer, `timeout` seconds at most.  Raises as send() and answer_to()."""
        request = self.request(method, params)
        deadline = deadline_after(timeout)
        self.send(request, deadline=deadline)
        with self._given_up_together(request):
            return self.answer_to(request, deadline)

    def call_patiently(self, method: str, params: Message | None, silence: float | None) -> Answer:
        """As call(), however long it takes, as long as something comes every `silence` seconds; None for ever.

        A daemon that works on an answer sends pieces of it, or notifications of its progress, several times a
        second.
        """
        request = self.request(method, params)
        self._heard = time.monotonic()
        self._progressed = False
        deadline = deadline_after(silence)
        self.send(request, deadline=deadline)
        with self._given_up_together(request):
            while True:
                try:
                    return self.answer_to(request, deadline)
                except NoAnswer:
                    # Only a deadline ends so.
                    assert silence is not None
                    deadline = self._heard + silence
                    if deadline > time.monotonic():
                        continue
                    if not (self._progressed or self._received):
                        # A word of the sentinel, say, but none about this request.
                        raise
                    raise NoAnswer(f"{self.where} was at work, then said nothing for {silence:g} s") from None

    @contextmanager
    def _given_up_together(self, request: Message) -> Iterator[None]:
        """Who stops waiting for an answer, by Ctrl-C or at the deadline, has the daemon stop working on it.

        Only for a request that was sent as a whole: nothing can follow half of one.
        """
        try:
            yield
        except (KeyboardInterrupt, NoAnswer):
            self._cancel(request)
            raise

    def _cancel(self, request: Message) -> None:
        """Tell the daemon to give a request up, if it takes that at once."""
        try:
            self.send(self.request("cancel", {"id": request["id"]}), deadline=time.monotonic())
        except NotReached:
            # It is stuck or gone; then the end of the connection must do.
            return

    # -- bytes

    def _next_line(self) -> bytes | None:
        end = self._received.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._received)
            return None
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        self._scanned = 0
        return line

    def _fill(self) -> bool:
        """Take what has come; False if nothing has."""
        try:
            data = self._connection.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ConnectionLost(f"{self.where}: {error.strerror or error}") from error
        if not data:
            raise ConnectionLost(f"{self.where} closed the connection without an answer")
        self._received += data
        self._heard = time.monotonic()
        return True

    def _wait(self, events: int, deadline: float | None, beside: int | None) -> bool:
        """Wait until the connection is ready; False when `beside` is readable first."""
        poll = select.poll()
        poll.register(self._connection, events)
        if beside is not None:
            poll.register(beside, select.POLLIN)
        timeout_ms = None
        if deadline is not None:
            # Round up: waking early would spin until the deadline.
            timeout_ms = max(0, int((deadline - time.monotonic()) * 1000) + 1)
        ready = poll.poll(timeout_ms)
        if not ready:
            raise NoAnswer(f"{self.where} took the connection but did not answer in time")
        return any(fd != beside for fd, _ in ready)

    def _message(self, line: bytes) -> Message:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise Garbage(f"{self.where} answered {line[:40]!r}: it does not speak this protocol")
        return message


def failure_of(error: object) -> CommandFailure:
    """The exception for an answer's `error`, however odd that is."""
    from coro.wire.escape import printable

    if not isinstance(error, dict):
        return CommandFailure(0, printable(str(error)))
    code = error.get("code")
    return CommandFailure(
        code if isinstance(code, int) else 0, printable(str(error.get("message", "no reason given")))
    )
