"""Waking the loop out of its poll, from a signal handler or from another OS thread.

A socket pair: the loop polls one end; a byte written to the other wakes it.  The interpreter's C-level signal
handler writes to the same end (`signal.set_wakeup_fd`), so a signal wakes the poll even before its Python
handler ran.  An eventfd would not do: the interpreter writes single bytes, an eventfd takes eight at a time.

Invariant: after notify() the loop's end is readable until drain().  A full pipe already says "wake up".
"""

from __future__ import annotations

import socket

__all__ = ["Wakeup"]


class Wakeup:
    """A self-pipe.  notify() may be called from any OS thread and from signal handlers."""

    __slots__ = ("_receiver", "_sender")

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def fileno(self) -> int:
        """The descriptor that the loop polls for reading."""
        return self._receiver.fileno()

    def signal_fileno(self) -> int:
        """The descriptor to hand to signal.set_wakeup_fd()."""
        return self._sender.fileno()

    def notify(self) -> None:
        """Wake the loop.  Never blocks; safe from any OS thread, and after close()."""
        try:
            self._sender.send(b"\0")
        except BlockingIOError:
            # Full of earlier notifications: the loop will wake up all the same.
            return
        except OSError:
            # Closed: the loop has ended, and nobody is left to be woken.
            return

    def drain(self) -> None:
        """Take in all notifications."""
        try:
            while len(self._receiver.recv(4096)) == 4096:
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close both ends."""
        self._receiver.close()
        self._sender.close()
