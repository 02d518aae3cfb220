"""Waking the loop out of its poll, from a signal handler or from another OS thread.

A pipe: the loop polls one end; a byte written to the other wakes it.  The interpreter's C-level signal handler
writes to the same end (`signal.set_wakeup_fd`), so a signal wakes the poll even before its Python handler ran.  An
eventfd would not do: the interpreter writes single bytes, an eventfd takes eight at a time.

One pipe serves all loops of a process, one after the other: an OS thread may be about to write at the moment when a
loop ends, and its byte must not land in whatever gets the number next.

Invariant: after notify() the loop's end is readable until drain().  A full pipe already says "wake up".
"""

from __future__ import annotations

import errno
import os

__all__ = ["Wakeup"]

# The kernel may want a page for the byte.  A lost notification would leave the loop asleep.
_ATTEMPTS = 10


class Wakeup:
    """A self-pipe.  notify() may be called from any OS thread and from signal handlers."""

    __slots__ = ("_receiver", "_sender")

    def __init__(self) -> None:
        self._receiver, self._sender = os.pipe()
        try:
            os.set_blocking(self._receiver, False)
            os.set_blocking(self._sender, False)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """The descriptor that the loop polls for reading; -1 once it is closed."""
        return self._receiver

    def signal_fileno(self) -> int:
        """The descriptor to hand to signal.set_wakeup_fd()."""
        return self._sender

    def notify(self) -> None:
        """Wake the loop.  Never blocks; safe from any OS thread, and after close()."""
        for _ in range(_ATTEMPTS):
            try:
                os.write(self._sender, b"\0")
                return
            except BlockingIOError:
                # Full of earlier notifications: the loop will wake up all the same.
                return
            except OSError as error:
                if error.errno != errno.ENOMEM:
                    # Closed: nobody is left to be woken.
                    return

    def drain(self) -> None:
        """Take in all notifications."""
        try:
            while len(os.read(self._receiver, 4096)) == 4096:
                pass
        except OSError:
            # Empty.  Whatever else it may be, the loop must go on listening: the next notification tries again.
            return

    def close(self) -> None:
        """Close both ends.  Closing twice is harmless."""
        receiver, sender = self._receiver, self._sender
        self._receiver = self._sender = -1
        if receiver >= 0:
            try:
                os.close(receiver)
            finally:
                os.close(sender)
