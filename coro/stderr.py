"""The process's real stderr, and the default hooks that print there.

Sessions and tests replace sys.stderr; what the runtime itself has to say goes to the descriptor that stderr had at
the start, so that it is seen whatever a session does.  Nothing here parks: a report must not change what runs.  Nor
does it wait for whoever reads stderr: a full pipe or a stopped terminal must not stop the daemon, so what does not
fit is dropped and counted.
"""

from __future__ import annotations

import os
import select
import sys
import time
import traceback
from typing import TextIO

from coro.state import ThreadState

__all__ = [
    "default_exception_notifier",
    "default_hook_failed",
    "default_latency_warning",
    "print_stderr",
    "saved_stderr",
    "write_stderr",
]

saved_stderr: TextIO | None = sys.__stderr__

# How long a reader may keep a text waiting, if he was not behind before.
_PATIENCE_MS = 20
# Texts that were dropped, as a whole or in part, since the last one that was written.
_dropped = 0


def write_stderr(text: str) -> None:
    """Write to the process's real stderr, whatever sys.stderr is now.  A closed one is no error.

    Does not yield, and does not block for more than 20 ms: if whoever reads stderr does not keep up, the rest of
    the text is dropped, and the next one that gets through says how many were.  Raises TypeError.
    """
    global _dropped
    if not isinstance(text, str):
        raise TypeError(f"write_stderr() needs a str, got {text!r}")
    # With stderr redirected as a whole (a daemon's log file, a test's capture) both are the same stream.
    stream = saved_stderr if saved_stderr is not None else sys.stderr
    if stream is None or stream.closed:
        return
    if _dropped:
        # What was dropped may have ended in the middle of a line.
        lost = "1 message is" if _dropped == 1 else f"{_dropped} messages are"
        text = f"\ncoro: {lost} lost: nobody read stderr\n{text}"
    try:
        try:
            descriptor = stream.fileno()
        except (AttributeError, OSError, ValueError):
            # No descriptor: something of the user's, in memory.
            stream.write(text)
            stream.flush()
        else:
            stream.flush()
            data = text.encode(getattr(stream, "encoding", None) or "utf-8", "backslashreplace")
            if not _pour(descriptor, data):
                _dropped += 1
                return
    except OSError:
        # The terminal is gone: there is nobody left to tell.
        return
    _dropped = 0


def _pour(descriptor: int, data: bytes) -> bool:
    """Write without waiting long; False if there was no room for all of it."""
    if not os.isatty(descriptor):
        return _pour_pieces(descriptor, data)
    # A terminal has room for some bytes, nobody knows how many: through a description of our own it does not block.
    own = os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        return _pour_pieces(own, data)
    except BlockingIOError:
        return False
    finally:
        os.close(own)


def _pour_pieces(descriptor: int, data: bytes) -> bool:
    deadline = time.monotonic() + (0 if _dropped else _PATIENCE_MS / 1000)
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while data:
        # What is broken is reported too: the write then says so.  A pipe that is ready has room for PIPE_BUF bytes.
        if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
            return False
        data = data[os.write(descriptor, data[: select.PIPE_BUF]) :]
    return True


def print_stderr(*values: object) -> None:
    """As print(), to the process's real stderr."""
    write_stderr(" ".join(str(value) for value in values) + "\n")


def default_exception_notifier(thread: ThreadState, error: BaseException) -> None:
    """Print an exception that no thread caught, with its traceback."""
    lines = "".join(traceback.format_exception(error))
    write_stderr(f"{thread!r} ended by an uncaught exception:\n{lines}")


def default_hook_failed(what: str, error: BaseException) -> None:
    """Print the failure of a hook of the user's."""
    lines = "".join(traceback.format_exception(error))
    write_stderr(f"coro: the {what} failed:\n{lines}")


def default_latency_warning(thread: ThreadState, ran_s: float, collector_s: float) -> None:
    """Print that a thread kept everybody else waiting."""
    pause = f", of which the garbage collector took {collector_s:.3f} s" if collector_s >= 0.001 else ""
    write_stderr(f"coro: high latency: {thread!r} ran for {ran_s:.3f} s without yielding{pause}\n")
