"""A poller over select.poll(), as plain as can be: what the others do, spelled out.

It looks at levels and makes edges of them itself, so it sees only what it looks at: a level that falls and rises
again between two polls goes unseen.  The kernels do better, and so must the real pollers.
"""

import errno
import math
import os
import select
import stat
import time

from coro.poller.base import ERROR, HANGUP, READ, READ_HANGUP, URGENT, WRITE

# How often it looks whether a level has fallen, in nanoseconds.
_LOOK_NS = 2_000_000
_INVALID = 0x20


class PollPoller:
    """`coro.poller.base.Poller` over poll(2)."""

    def __init__(self) -> None:
        # What is asked for, and which of it has been reported since it last rose; by key.
        self._wanted: dict[int, int] = {}
        self._reported: dict[int, int] = {}
        # What was meant by a number: the device and the inode of the open file.
        self._files: dict[int, tuple[int, int]] = {}
        self._closed = False

    def add(self, fd: int) -> bool:
        return self._set(fd, READ | WRITE | URGENT | READ_HANGUP)

    def rearm(self, fd: int, events: int) -> bool:
        return self._set(fd, events | READ_HANGUP)

    def remove(self, fd: int) -> None:
        self._wanted.pop(fd, None)
        self._reported.pop(fd, None)
        self._files.pop(fd, None)

    def add_process(self, pid: int) -> int:
        key = os.pidfd_open(pid)
        self._wanted[key] = READ
        self._reported[key] = 0
        return key

    def remove_process(self, key: int) -> None:
        self.remove(key)
        os.close(key)

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        deadline = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        while True:
            ready = self._rising_edges()
            left = _LOOK_NS if deadline is None else deadline - time.monotonic_ns()
            if ready or left <= 0:
                return ready
            self._wait(min(left, _LOOK_NS))

    def close(self) -> None:
        self._closed = True
        self._wanted.clear()
        self._reported.clear()

    def fileno(self) -> int:
        return -1

    def _set(self, fd: int, wanted: int) -> bool:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        file = (status.st_dev, status.st_ino)
        known = fd in self._wanted and self._files.get(fd) == file
        self._files[fd] = file
        self._wanted[fd] = wanted
        self._reported[fd] = 0
        return known

    def _rising_edges(self) -> list[tuple[int, int]]:
        poll = select.poll()
        for key, wanted in self._wanted.items():
            poll.register(key, wanted)
        levels = dict(poll.poll(0))
        ready = []
        for key in list(self._wanted):
            level = levels.get(key, 0)
            if level & _INVALID:
                self.remove(key)
                continue
            if rising := level & ~self._reported[key]:
                ready.append((key, rising))
            self._reported[key] = level
        return ready

    def _wait(self, timeout_ns: int) -> None:
        poll = select.poll()
        for key, wanted in self._wanted.items():
            # Hang-ups are told of whether they are asked for or not.
            if not self._reported[key] & (HANGUP | ERROR):
                poll.register(key, wanted & ~self._reported[key])
        poll.poll(math.ceil(timeout_ns / 1_000_000))
