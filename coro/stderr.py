"""The process's real stderr, and the default hooks that print there.

Sessions and tests replace sys.stderr; what the runtime itself has to say goes to the descriptor that stderr had at
the start, so that it is seen whatever a session does.  Nothing here parks: a report must not change what runs.
"""

from __future__ import annotations

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


def write_stderr(text: str) -> None:
    """Write to the process's real stderr, whatever sys.stderr is now.  A closed one is no error."""
    # With stderr redirected as a whole (a daemon's log file, a test's capture) both are the same stream.
    stream = saved_stderr if saved_stderr is not None else sys.stderr
    if stream is None or stream.closed:
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        # The terminal is gone: there is nobody left to tell.
        return


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
