"""What is handed to a kqueue and comes back from it, and in what the systems that have one differ."""

import errno
from dataclasses import dataclass
from typing import Any

from tests.poller.filters import EVFILT_READ, Kind

EVFILT_PROC = -5
EV_ADD = 0x0001
EV_DELETE = 0x0002
EV_ENABLE = 0x0004
EV_DISABLE = 0x0008
EV_ONESHOT = 0x0010
EV_CLEAR = 0x0020
# Python has no name for these two.
EV_RECEIPT = 0x0040
EV_DISPATCH = 0x0080
EV_ERROR = 0x4000
EV_EOF = 0x8000
NOTE_EXIT = 0x80000000

# What EV_ADD gives an event for as long as it lives.
NATURE = EV_ONESHOT | EV_CLEAR | EV_DISPATCH


@dataclass(frozen=True, slots=True)
class Dialect:
    """In what the systems differ.

    enable_reports: EV_ENABLE of an event that is enabled reports present readiness again.
    zombies_are_reported: a process that has ended may be registered, and is reported; elsewhere it is ESRCH.
    pipes_go_both_ways: the read end of a pipe takes EVFILT_WRITE, and reports room; elsewhere it never reports.
    no_filter: what a device that cannot be watched is refused with.
    forgets_at_fork: Python's queue object knows in a forked child that it has no queue (3.12.1 and later).
    """

    enable_reports: bool
    zombies_are_reported: bool
    pipes_go_both_ways: bool
    no_filter: int
    forgets_at_fork: bool


FREEBSD = Dialect(True, True, False, errno.ENODEV, True)
OPENBSD = Dialect(False, False, True, errno.EINVAL, True)
# With Python 3.11.
MACOS = Dialect(True, False, True, errno.EINVAL, False)


class Kevent:
    """As `select.kevent`."""

    def __init__(
        self,
        ident: Any,
        filter: int = EVFILT_READ,
        flags: int = EV_ADD,
        fflags: int = 0,
        data: int = 0,
        udata: int = 0,
    ) -> None:
        number = ident if isinstance(ident, int) else ident.fileno()
        if number < 0:
            raise OverflowError("can't convert negative value to unsigned int")
        self.ident, self.filter, self.flags, self.fflags = number, filter, flags & 0xFFFF, fflags & 0xFFFFFFFF
        self.data, self.udata = data, udata

    def __repr__(self) -> str:
        return (
            f"<kevent ident={self.ident} filter={self.filter} flags={self.flags:#x}"
            f" fflags={self.fflags:#x} data={self.data}>"
        )


class Knote:
    """A registration: an (ident, filter) pair of one queue.

    queued: it waits to be retrieved.  active: it has been triggered, though it may be disabled.
    """

    def __init__(self, change: Kevent, serial: int, kind: Kind | None = None) -> None:
        self.ident = change.ident
        self.filter = change.filter
        self.nature = change.flags & NATURE
        self.udata = change.udata
        self.serial = serial
        self.kind = kind
        self.enabled = True
        self.active = False
        # Once a socket's filter has seen the end, its events say so for as long as they live.
        self.eof = False
        # Of EVFILT_PROC: the descriptor of the process, -1 once it was given back.
        self.process = -1
        # Of a file: where it ended when it was last looked at.
        self.end = -1

    @property
    def is_file(self) -> bool:
        return self.kind is not None and self.kind.name == "vnode"
