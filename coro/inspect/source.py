"""Lines of source files, and whether a file is newer than the process.

Unlike `linecache` it takes no lock, imports nothing and calls no loader, so it also serves an OS thread that looks
at a loop which is stuck inside an import; and it keeps a bounded number of files.
What `linecache` was given by hand, such as the lines typed at a prompt, is found there, by reading its dict only.
"""

from __future__ import annotations

import linecache
import os
import re
import stat
import sys
import time
from dataclasses import dataclass

from coro.inspect.process import STARTED

__all__ = ["SourceFiles", "source_files"]

# A file's time and size are asked for again after so long.
FRESH_NS = 1_000_000_000
MAX_FILES = 128
MAX_FILE_BYTES = 8 << 20
MAX_LINE_CHARACTERS = 1000
# The kernel's file times lag by a tick or two, and a process's start is known to a hundredth of a second.
NEWER_BY_S = 0.05
# PEP 263, in the first two lines.
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.MULTILINE)
_BOM = b"\xef\xbb\xbf"
# Codecs that need no import; the first 128 characters of any other are ASCII's in practice.
_LATIN = (b"latin-1", b"latin1", b"iso-8859-1", b"iso8859-1", b"iso-8859-15")


@dataclass(slots=True)
class _File:
    """One file.  lines: None if it cannot be read; signature: what stat() said when they were read."""

    asked_ns: int
    signature: tuple[int, int, int] | None
    lines: list[str] | None
    newer: bool


class SourceFiles:
    """Lines of files, re-read when they change.

    started: seconds since the epoch; a file that was changed later is `newer`.
    Usable by several OS threads at once: what is shared is replaced as a whole.
    """

    def __init__(self, started: float = STARTED) -> None:
        self.started = started
        self._files: dict[str, _File] = {}

    def line(self, name: str, number: int) -> tuple[str | None, bool]:
        """(line `number` of a file without its indentation, whether the file is newer than the process).

        The line is None if it cannot be read.  Reads the disk at most once a second for a file.  Does not yield.
        """
        file = self._files.get(name)
        now = time.monotonic_ns()
        if file is None or now - file.asked_ns >= FRESH_NS:
            file = self._look(name, file, now)
        if file.lines is None:
            return _typed_line(name, number), False
        if not 1 <= number <= len(file.lines):
            return None, file.newer
        return file.lines[number - 1].strip()[:MAX_LINE_CHARACTERS] or None, file.newer

    def _look(self, name: str, known: _File | None, now: int) -> _File:
        file = _File(now, None, None, False)
        for path in _paths(name):
            try:
                status = os.stat(path)
            except (OSError, ValueError):
                continue
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
                continue
            file.signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            file.newer = status.st_mtime > self.started + NEWER_BY_S
            same = known is not None and known.signature == file.signature
            file.lines = known.lines if same and known is not None else _read(path)
            break
        if name not in self._files and len(self._files) >= MAX_FILES:
            # The oldest goes; another OS thread may have been quicker.
            self._files.pop(next(iter(list(self._files))), None)
        self._files[name] = file
        return file


def _paths(name: str) -> list[str]:
    if not name or name.startswith("<"):
        return []
    if os.path.isabs(name):
        return [name]
    return [name, *(os.path.join(directory, name) for directory in list(sys.path) if isinstance(directory, str))]


def _read(path: str) -> list[str] | None:
    try:
        # Not to wait for whom nobody knows, should the file have become a FIFO meanwhile.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    try:
        chunks = []
        left = MAX_FILE_BYTES
        while left > 0 and (chunk := os.read(descriptor, min(left, 1 << 16))):
            chunks.append(chunk)
            left -= len(chunk)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return _decode(b"".join(chunks)).split("\n")


def _decode(data: bytes) -> str:
    cookie = _COOKIE.search(b"\n".join(data[:500].split(b"\n")[:2]))
    if cookie is not None and cookie[1].lower().replace(b"_", b"-") in _LATIN:
        return data.decode("latin-1")
    return data.removeprefix(_BOM).decode("utf-8", "replace")


def _typed_line(name: str, number: int) -> str | None:
    entry = linecache.cache.get(name)
    # (size, time, lines, full name); a lazy entry has one field, and would call a loader.
    if entry is None or len(entry) != 4 or not 1 <= number <= len(entry[2]):
        return None
    return str(entry[2][number - 1]).strip()[:MAX_LINE_CHARACTERS] or None


source_files = SourceFiles()
