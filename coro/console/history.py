"""What was typed in earlier sessions, per user, in $XDG_STATE_HOME/coro/history.

Each entry is its lines, each behind a "+", after a line with the time behind a "#", as in prompt_toolkit's file.
Lines that begin with a blank are not kept, as in a shell: for secrets.

Invariant: the file is closed to others.  History is a comfort: whatever is wrong with the disk is told once and
changes nothing else.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable
from typing import Final

from prompt_toolkit.history import History

__all__ = ["KEPT_BYTES", "MAX_BYTES", "UserHistory", "history_path"]

# Larger than this, the file is cut to its last KEPT_BYTES when a session begins.
MAX_BYTES: Final = 1 << 20
KEPT_BYTES: Final = 1 << 19


def history_path() -> str:
    """Where the file is (XDG Base Directory Specification: ~/.local/state by default)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.expanduser("~/.local/state")
    return os.path.join(state, "coro", "history")


class UserHistory(History):
    """The history file as prompt_toolkit wants it.

    warn: called once, with a sentence, when something is wrong with the file.
    """

    def __init__(self, path: str, warn: Callable[[str], None]) -> None:
        super().__init__()
        self._path = path
        self._warn = warn
        self._warned = False

    def load_history_strings(self) -> Iterable[str]:
        """The entries, newest first."""
        try:
            # NONBLOCK: a FIFO there must not hold up the first prompt.
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                found = os.fstat(fd)
                size = found.st_size
                if not stat.S_ISREG(found.st_mode):
                    # A device may have no end.
                    return []
                if size > MAX_BYTES:
                    file.seek(size - KEPT_BYTES)
                    # The first entry is most likely cut.
                    data = file.read().partition(b"\n\n")[2]
                    self._replace(data)
                else:
                    data = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            self._fault(error)
            return []
        return reversed(_entries(data.decode(errors="replace")))

    def store_string(self, string: str) -> None:
        """Append an entry."""
        if string.startswith(" ") or not string.strip():
            return
        lines = "".join(f"+{line}\n" for line in string.split("\n"))
        entry = f"\n# {time.strftime('%Y-%m-%d %H:%M:%S')}\n{lines}"
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
            try:
                data = entry.encode(errors="replace")
                # In one write: two sessions at the same time do not mix their lines.
                if os.write(fd, data) < len(data):
                    raise OSError(0, "the disk is full")
            finally:
                os.close(fd)
        except OSError as error:
            self._fault(error)

    def _replace(self, data: bytes) -> None:
        """Write the file anew, at once."""
        new = f"{self._path}.{os.getpid()}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(data)
            os.replace(new, self._path)
        except BaseException:
            os.unlink(new)
            raise

    def _fault(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"the history is not kept: {self._path}: {error.strerror or error}")


def _entries(text: str) -> list[str]:
    """The entries of the file's text, oldest first; whatever else stands there is passed over."""
    entries: list[str] = []
    lines: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.startswith("+"):
            lines.append(line[1:])
        elif lines:
            entries.append("\n".join(lines))
            lines = []
    return entries
