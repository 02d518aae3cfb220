"""The process's real stderr, and the default hooks that print there.

Sessions and tests replace sys.stderr; what the runtime itself has to say goes to the descriptor that stderr had at
the start, so that it is seen whatever a session does.  Nothing here parks: a report must not change what runs.  Nor
does it wait for whoever reads stderr: a full pipe or a stopped terminal must not stop the daemon, so what does not
fit is dropped and counted.
"""

from __future__ import annotations

import select
import sys
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

# A pipe that can be written takes this many bytes at least (PIPE_BUF), so a write of that many does not block.
_PIECE_CHARACTERS = 1000
# How long a reader that was not behind so far may take.
_PATIENCE_MS = 20
# Texts that were dropped since the last one that was written whole.
_dropped = 0


def write_stderr(text: str) -> None:
    """Write to the process's real stderr, whatever sys.stderr is now.  A closed one is no error.

    Does not yield, and does not block: if whoever reads stderr does not keep up, the text is dropped, and the next
    one that gets through says how many were.
    """
    global _dropped
    # With stderr redirected as a whole (a daemon's log file, a test's capture) both are the same stream.
    stream = saved_stderr if saved_stderr is not None else sys.stderr
    if stream is None or stream.closed:
        return
    if _dropped:
        text = f"coro: {_dropped} messages are lost: nobody read stderr\n{text}"
    try:
        for start in range(0, len(text), _PIECE_CHARACTERS):
            if not _takes_more(stream):
                _dropped += 1
                return
            stream.write(text[start : start + _PIECE_CHARACTERS])
            stream.flush()
    except OSError:
        # The terminal is gone: there is nobody left to tell.
        return
    _dropped = 0


def _takes_more(stream: TextIO) -> bool:
    """Whether a small write would not block."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):
        # No descriptor: something of the user's, in memory.
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    # What is broken is reported too: the write then says so.
    return bool(poll.poll(0 if _dropped else _PATIENCE_MS))


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
