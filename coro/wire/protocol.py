"""The numbers and names of the protocol: versions, limits, error codes.  docs/protocol.md tells it as a whole.

Newline-delimited JSON-RPC 2.0 (jsonrpc.org/specification), one message a line, UTF-8.
"""

from __future__ import annotations

from typing import Final, Literal

__all__ = [
    "ERROR_NAMES",
    "MAX_JSON_DEPTH",
    "MAX_LINE_BYTES",
    "MAX_OUTPUT_BYTES",
    "MAX_SUBNEGOTIATION_BYTES",
    "PROBE_METHODS",
    "PROTOCOL_VERSION",
    "ROLES",
    "CANCELLED",
    "COMMAND_FAILED",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "LIMIT_REACHED",
    "METHOD_NOT_FOUND",
    "NOT_ALLOWED",
    "PARSE_ERROR",
    "STALLED",
    "Role",
    "role_allows",
]

# What a connection may ask for without taking one of the slots of sessions.
PROBE_METHODS: Final = ("hello", "check", "lag", "help")

# Raised when an old client would misunderstand a new daemon; new methods and new fields do not raise it.
PROTOCOL_VERSION: Final = 1

Role = Literal["observe", "operate", "eval"]
# Each role may do what those before it may.
ROLES: Final[tuple[Role, ...]] = ("observe", "operate", "eval")

# A request, or a line of the text console.  A reply has no limit.
MAX_LINE_BYTES: Final = 65_536
MAX_SUBNEGOTIATION_BYTES: Final = 512
MAX_JSON_DEPTH: Final = 32
# Output that waits for one session's reader.
MAX_OUTPUT_BYTES: Final = 1 << 20

# JSON-RPC's own codes.
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
# Ours, from the range that JSON-RPC leaves to servers.
COMMAND_FAILED: Final = -32000
NOT_ALLOWED: Final = -32001
LIMIT_REACHED: Final = -32002
STALLED: Final = -32003
CANCELLED: Final = -32004

ERROR_NAMES: Final[dict[int, str]] = {
    PARSE_ERROR: "parse error",
    INVALID_REQUEST: "invalid request",
    METHOD_NOT_FOUND: "method not found",
    INVALID_PARAMS: "invalid parameters",
    INTERNAL_ERROR: "internal error",
    COMMAND_FAILED: "command failed",
    NOT_ALLOWED: "not allowed",
    LIMIT_REACHED: "limit reached",
    STALLED: "the loop is stalled",
    CANCELLED: "cancelled",
}


def role_allows(role: Role, needed: Role) -> bool:
    """Whether a session with `role` may do what needs `needed`."""
    return ROLES.index(role) >= ROLES.index(needed)
