"""What stands in for a daemon where a real one cannot show the case: silent, old, rude or broken ones.

Speaks the protocol of docs/protocol.md as far as it is told to, over a real Unix socket, from an OS thread.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Messages = Iterator[dict[str, Any] | bytes | None]
HELLO = {
    "protocol": 1,
    "name": "coro",
    "version": "0.1.0",
    "pid": 4242,
    "role": "eval",
    "argv": ["/srv/mx.py"],
    "started": 1.7e9,
    "uptime_s": 12.5,
    "python": "3.11.7",
    "eval": True,
    "session": 1,
    "commands": ["ps"],
}


class Refusal(Exception):
    """To be raised by an answering function."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Double:
    """A listener.

    values: method → the value of its result, or a function of the params that returns it, or raises Refusal.
    script: takes over for all methods but hello and help, if set: a generator function of the request that yields
        messages to send, bytes to send as they are, or None for "receive one", which it is sent.
    greeting: sent as soon as somebody connects.
    requests: everything received.  silent: never answers.  rude: closes at once.
    """

    def __init__(self, path: Path | tuple[str, int]) -> None:
        self.values: dict[str, Any] = {"hello": dict(HELLO), "help": []}
        self.script: Callable[[dict[str, Any]], Any] | None = None
        self.greeting = b""
        self.requests: list[dict[str, Any]] = []
        self.silent = self.rude = False
        self._listener = socket.socket(socket.AF_UNIX if isinstance(path, Path) else socket.AF_INET)
        self._listener.bind(str(path) if isinstance(path, Path) else path)
        self._listener.listen()
        name = self._listener.getsockname()
        self.target = name if isinstance(name, str) else f"{name[0]}:{name[1]}"
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="double")]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in [self._listener, *self._connections]:
            # Wakes whoever waits for it.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in [self._listener, *self._connections]:
            each.close()

    def hang_up(self) -> None:
        """Close all connections."""
        for each in self._connections:
            each.shutdown(socket.SHUT_RDWR)

    def methods(self) -> list[str]:
        """The names of the methods that were asked for, in order."""
        return [request["method"] for request in self.requests]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            if self.rude:
                connection.shutdown(socket.SHUT_RDWR)
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="double's connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            if self.greeting:
                connection.sendall(self.greeting)
            for line in lines:
                request = json.loads(line)
                self.requests.append(request)
                if not self.silent:
                    self._reply(connection, lines, request)

    def _reply(self, connection: socket.socket, lines: Any, request: dict[str, Any]) -> None:
        if self.script is not None and request["method"] not in ("hello", "help"):
            script = self.script(request)
            try:
                message = next(script)
            except StopIteration:
                return
            while True:
                try:
                    if message is None:
                        self.requests.append(json.loads(lines.readline()))
                        message = script.send(self.requests[-1])
                    else:
                        connection.sendall(message if isinstance(message, bytes) else encoded(message))
                        message = next(script)
                except StopIteration:
                    return
        connection.sendall(encoded(self._answer(request)))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        number = request.get("id")
        try:
            value = self.values[request["method"]]
            value = value(request["params"]) if callable(value) else value
        except KeyError:
            return error(number, -32601, f"there is no method {request['method']}")
        except Refusal as refusal:
            return error(number, refusal.code, str(refusal))
        return result(number, value)


def encoded(message: dict[str, Any]) -> bytes:
    """A message as a line."""
    return json.dumps(message).encode() + b"\n"


def result(number: object, value: object, **more: object) -> dict[str, Any]:
    """An answer."""
    return {"jsonrpc": "2.0", "id": number, "result": {"value": value, "answered_by": "loop", **more}}


def error(number: object, code: int, message: str) -> dict[str, Any]:
    """A refusal."""
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}
