"""What the loop asks of a poller, and the event bits they share.

The bits have epoll's values, so that on Linux an event needs no translation on its way; kqueue translates.

Invariant: a poller knows descriptors and numbers only, neither threads nor sockets.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["ERROR", "HANGUP", "NANOSECONDS", "READ", "READ_HANGUP", "URGENT", "WRITE", "Poller"]

READ = 0x001
URGENT = 0x002
WRITE = 0x004
ERROR = 0x008
HANGUP = 0x010
READ_HANGUP = 0x2000

NANOSECONDS = 1_000_000_000


class Poller(Protocol):
    """Readiness of descriptors and ends of processes, by key.

    A descriptor's key is its number.  `add_process` makes a key of its own for a process.
    """

    def add(self, fd: int) -> bool:
        """Register a descriptor edge-triggered for everything: read, write, urgent data, hang-up.

        Its present readiness is reported by the next poll().  A registration that is there already is renewed.
        What the kernel cannot tell of urgent data is reported as URGENT: it says that there may be some.
        Returns whether the kernel knew the open file under this number already.
        Raises PermissionError (EPERM) for what cannot be polled, such as a regular file; OSError (EBADF) for a
        closed descriptor.
        """

    def rearm(self, fd: int, events: int) -> bool:
        """Ask for `events` (READ | WRITE | URGENT) of a descriptor, and have its present readiness reported again.

        Works on registered and unregistered descriptors alike.  Returns and raises as add().
        """

    def remove(self, fd: int) -> None:
        """Forget a descriptor.  One that is not registered, or closed already, is ignored."""

    def add_process(self, pid: int) -> int:
        """Watch for the end of a process; READ is reported for the key that is returned.

        Raises ProcessLookupError when there is no such process.
        """

    def remove_process(self, key: int) -> None:
        """Stop watching the process behind this key and free what the watch held."""

    def poll(self, timeout_ns: int | None) -> list[tuple[int, int]]:
        """Wait for ready descriptors.

        timeout_ns: nanoseconds, rounded up to the kernel's resolution; 0 polls, None waits for ever.
        Returns (key, events) pairs, in no order; a key may come twice, its events then count together.
        Raises OSError as the system call, except EINTR, which returns [].
        Does not yield: only the loop calls it.
        """

    def close(self) -> None:
        """Free the kernel's object.  Registrations of a parent process that shares it are left alone."""

    def fileno(self) -> int:
        """The descriptor of the kernel's object, or -1."""
