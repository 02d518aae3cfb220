"""The shared secret of a backdoor that listens where the kernel cannot name the peer.

It comes from a file that only we can read, or from the environment; never from a command line, which everybody can
read.  Invariant: no message here holds a token or a part of one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping

__all__ = ["MAX_TOKEN_BYTES", "MIN_TOKEN_CHARACTERS", "TOKEN_VARIABLE", "load_token", "matches"]

MIN_TOKEN_CHARACTERS = 16
MAX_TOKEN_BYTES = 4096
TOKEN_VARIABLE = "CORO_TOKEN"


def load_token(
    token_file: str | os.PathLike[str] | None = None, environ: Mapping[str, str] = os.environ
) -> str | None:
    """The token of a file, else of the environment's CORO_TOKEN; None if there is neither.

    The file must be a regular one, no link, ours or root's, mode 0600 at most.  White space around the token is
    stripped; it must have 16 characters or more, printable ASCII without spaces, in 4096 bytes.
    Raises ValueError for a token that does not serve, OSError for a file that must not be used.  Reads the disk.
    """
    if token_file is not None:
        path = os.fspath(token_file)
        return _checked(_read(path), f"the token file {path}")
    given = environ.get(TOKEN_VARIABLE)
    return _checked(os.fsencode(given), f"the environment variable {TOKEN_VARIABLE}") if given else None


def matches(given: str | None, expected: str | None) -> bool:
    """Whether the token is the right one, in a time that tells nothing about it.  False if either is None."""
    if given is None or expected is None:
        return False
    # Hashed, so that not even its length shows; surrogates come from bytes that were no UTF-8.
    return hmac.compare_digest(_digest(given), _digest(expected))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _read(path: str) -> bytes:
    # Looked at before it is opened, for a clear message, and after, for the truth.
    if stat.S_ISLNK(os.lstat(path).st_mode):
        raise PermissionError(f"the token file {path} is a symbolic link; name the file itself")
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise PermissionError(f"the token file {path} is not a regular file")
        if found.st_uid not in (0, os.geteuid()):
            raise PermissionError(
                f"the token file {path} belongs to uid {found.st_uid}, not to root or uid {os.geteuid()}"
            )
        mode = stat.S_IMODE(found.st_mode)
        if mode & ~0o600:
            raise PermissionError(
                f"the token file {path} has mode {mode:04o}; others may use it, the limit is 0600"
            )
        return os.read(fd, MAX_TOKEN_BYTES + 1)
    finally:
        os.close(fd)


def _checked(token: bytes, where: str) -> str:
    if len(token) > MAX_TOKEN_BYTES:
        raise ValueError(f"{where} holds more than {MAX_TOKEN_BYTES} bytes")
    token = token.strip()
    if not all(0x21 <= byte <= 0x7E for byte in token):
        raise ValueError(f"{where} holds other than printable ASCII characters without spaces")
    if len(token) < MIN_TOKEN_CHARACTERS:
        raise ValueError(
            f"{where} holds a token of {len(token)} characters; {MIN_TOKEN_CHARACTERS} or more are needed"
        )
    return token.decode("ascii")
