"""The token: where it comes from, and that nobody else could read it there.

Invariant: never from the command line, which every user of the machine can read in the list of processes.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from coro.console.failures import UsageFailure
from coro.wire.escape import printable

__all__ = ["token"]

_MAX_BYTES: Final = 4096


def token(token_file: str | None) -> str | None:
    """The token from the file, else from the file in $CORO_TOKEN_FILE, else $CORO_TOKEN; None if there is none.

    Raises UsageFailure if the file cannot be read, is empty, or may be read by others.
    """
    path = token_file or os.environ.get("CORO_TOKEN_FILE")
    if not path:
        return os.environ.get("CORO_TOKEN") or None
    shown = printable(path)
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageFailure(f"cannot read the token file {shown}: {getattr(error, 'strerror', error)}") from error
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077 or found.st_uid not in (os.geteuid(), 0):
        raise UsageFailure(
            f"the token file {shown} (mode {mode:04o}, uid {found.st_uid}) is open to others: "
            "it must be yours, with mode 0600"
        )
    try:
        first = text.decode().split("\n", 1)[0].strip()
    except UnicodeDecodeError:
        first = ""
    if not first or len(text) > _MAX_BYTES:
        raise UsageFailure(f"the token file {shown} must hold one line of text, {_MAX_BYTES} bytes at most")
    return first
