"""/etc/hosts: the names that a machine knows by itself.

Read again when it has changed, which is looked for at every question: a file of the local disk, in the page cache.
"""

from __future__ import annotations

import os
import socket

__all__ = ["HostsFile"]


class HostsFile:
    """The names and addresses of one file; one that cannot be read is empty.

    path: of the file; it has lines of an address and its names, the first of which is the canonical one.
    """

    def __init__(self, path: str | os.PathLike[str] = "/etc/hosts") -> None:
        self.path = path
        self._version: tuple[int, ...] | None = None
        # (address, its names, in lower case for comparing and as written)
        self._lines: list[tuple[str, list[str], list[str]]] = []

    def __repr__(self) -> str:
        return f"<hosts file {os.fspath(self.path)!r}>"

    def find_name(self, name: str, family: int) -> tuple[str, list[str], list[str]] | None:
        """(canonical name, other names, addresses) of a host; None if it is not in the file.

        family: AF_INET or AF_INET6; 0 for both.  Does not yield.
        """
        self._refresh()
        wanted = name.lower().rstrip(".")
        lines = [line for line in self._lines if wanted in line[1] and family in (0, _family(line[0]))]
        if not lines:
            return None
        canonical = lines[0][2][0]
        others = [known for line in lines for known in line[2] if known != canonical]
        return canonical, list(dict.fromkeys(others)), list(dict.fromkeys(line[0] for line in lines))

    def find_address(self, address: str) -> tuple[str, list[str]] | None:
        """(canonical name, other names) of an address, written as inet_ntop() does; None if it is not there."""
        self._refresh()
        for known, _, names in self._lines:
            if known == address:
                return names[0], names[1:]
        return None

    def _refresh(self) -> None:
        try:
            status = os.stat(self.path)
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            if version == self._version:
                return
            with open(self.path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except FileNotFoundError:
            self._version, self._lines = None, []
            return
        except OSError:
            # No descriptor left, say: what was read before is better than nothing.
            return
        self._version = version
        self._lines = [line for line in map(_parse, text.splitlines()) if line is not None]


def _parse(line: str) -> tuple[str, list[str], list[str]] | None:
    address, *names = line.partition("#")[0].split() or [""]
    family = _family(address)
    if not names or family == 0:
        return None
    return socket.inet_ntop(family, socket.inet_pton(family, address)), [n.lower() for n in names], names


def _family(address: str) -> int:
    """The family of a numeric address, 0 for what is none."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
            return family
        except (OSError, ValueError):
            continue
    return 0
