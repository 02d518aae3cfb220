"""The messages of the JSON-RPC language, as bytes; for the loop's sessions and for the sentinel."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from coro.backdoor.json_lines import Request, RequestId
from coro.backdoor.session import Session
from coro.loop import loop
from coro.wire.encode import dumps
from coro.wire.protocol import PROTOCOL_VERSION

__all__ = ["VERSION", "answer", "describe", "failure", "hello_value", "notification"]


def _version() -> str:
    try:
        return version("coro")
    except PackageNotFoundError:
        return "unknown"


# Read once: the package on disk may be another one later.
VERSION = _version()


def answer(number: RequestId | None, schema: str | None, value: Any, answered_by: str = "loop") -> bytes:
    """The answer to a request; schema: None for the methods that are no commands."""
    result = {
        "schema": schema or "coro.value/1",
        "value": value,
        "turn": loop.iterations,
        "answered_by": answered_by,
    }
    return (dumps({"jsonrpc": "2.0", "id": number, "result": result}) + "\n").encode()


def failure(number: RequestId | None, code: int, message: str) -> bytes:
    """The refusal of a request."""
    return (dumps({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}) + "\n").encode()


def notification(method: str, params: dict[str, Any]) -> bytes:
    """A message that nobody asked for."""
    return (dumps({"jsonrpc": "2.0", "method": method, "params": params}) + "\n").encode()


def hello_value(session: Session, commands: list[str]) -> dict[str, Any]:
    """What hello answers."""
    host = session.host
    return {
        "protocol": PROTOCOL_VERSION,
        "name": "coro",
        "version": VERSION,
        "pid": host.pid,
        "role": session.role,
        "argv": host.argv,
        "started": host.started,
        "uptime_s": host.uptime_s(),
        "python": platform.python_version(),
        "eval": host.eval_allowed and session.may("eval"),
        "session": session.number,
        "commands": commands,
    }


def describe(request: Request) -> str:
    """A request in a few words, for the audit and `sessions`."""
    words = [request.method]
    words += [f"{name}={value!r}" for name, value in request.params.items() if name != "token"]
    return " ".join(words)
