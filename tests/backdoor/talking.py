"""What the tests of commands share: a text session over a plain socket, and the published schemas."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any

import jsonschema

from coro.wire import schemas

PROMPTS = (">>> ", "coro> ", "... ", "(yes/no) ", "token: ")


class Talk:
    """A text session.  greeting: what stood before the first prompt; prompt: the latest."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.prompt = ""
        self.greeting = self.read()

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.sock.close()

    def read(self) -> str:
        """What comes before the next prompt; all that is left if the session ends instead."""
        data = b""
        while True:
            text = data.decode("utf-8", "replace")
            for prompt in PROMPTS:
                if text.endswith(prompt):
                    self.prompt = prompt
                    return text.removesuffix(prompt)
            piece = self.sock.recv(65_536)
            if not piece:
                self.prompt = ""
                return text
            data += piece

    def type(self, line: str) -> None:
        self.sock.sendall(line.encode() + b"\n")

    def ask(self, line: str) -> str:
        """Type a line; returns what was answered."""
        self.type(line)
        return self.read()


def validate(name: str, value: Any) -> None:
    """Raise ValidationError unless the value, or each of a list, is as the published schema of this name says."""
    found = schemas.schema(name)
    validator = jsonschema.Draft202012Validator(found)
    validator.check_schema(found)
    for item in value if isinstance(value, list) else [value]:
        validator.validate(item)
