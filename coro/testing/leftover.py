"""What a test leaves behind: threads, timers and descriptors, in words.

A Baseline remembers what was there before; only what has come since is left over.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import traceback

from coro.clock import ticks_per_sec
from coro.descriptors import descriptors
from coro.loop import loop
from coro.scheduler import scheduler
from coro.state import ThreadState, function_name
from coro.testing.places import place_of
from coro.thread import coro
from coro.timed import timers
from coro.timers import Timer

__all__ = ["Baseline", "describe_thread", "open_descriptors", "stack_text", "state_text", "who_is"]

# A directory of the process's open descriptors, on Linux, macOS and the BSDs.
_OPEN_DESCRIPTORS = "/dev/fd"
_PACKAGE = __name__.partition(".")[0] + "."


class Baseline:
    """The threads, timers and descriptors of a moment, to tell later ones from."""

    def __init__(self) -> None:
        self.threads = set(scheduler.all_threads)
        self._timers = timers.pending()
        self.descriptors = open_descriptors()

    def describe_threads(self, threads: list[ThreadState]) -> list[str]:
        """A line for each thread."""
        return [
            describe_thread(thread)
            + (" (it was made before the test; a loop ends with its test)" if thread.id in self.threads else "")
            for thread in threads
        ]

    def describe_timers(self) -> list[str]:
        """A line for each timer that was armed since."""
        return [
            _describe_timer(timer)
            for timer in timers.pending()
            if not any(timer is earlier for earlier in self._timers)
        ]

    def describe_descriptors(self) -> list[str]:
        """A line for each descriptor that was opened since, and for each handler of one."""
        left = [f"descriptor {fd} ({_describe_descriptor(fd)})" for fd in sorted(self.descriptors_left())]
        for fd, descriptor in sorted(descriptors.table.items()):
            handler = descriptor.handler
            if handler is not None and handler != loop.woken:
                left.append(f"handler of descriptor {fd} ({function_name(handler)})")
        return left

    def descriptors_left(self) -> set[int]:
        """The descriptors that were opened since."""
        return open_descriptors() - self.descriptors


def open_descriptors() -> set[int]:
    """The numbers of the process's open descriptors; none where the system does not tell."""
    try:
        names = os.listdir(_OPEN_DESCRIPTORS)
    except OSError:
        return set()
    # The listing has seen its own descriptor, which is closed by now.
    return {fd for fd in map(int, names) if _is_open(fd)}


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError as error:
        if error.errno == errno.EBADF:
            return False
        raise
    return True


def who_is(thread: ThreadState) -> str:
    """A thread's number and name, and who made it where."""
    if not isinstance(thread, coro):
        return f"thread #{thread.id}"
    return f"thread #{thread.id} {thread.name!r}, made at {thread.spawn_line or 'an unknown place'}"


def describe_thread(thread: ThreadState) -> str:
    """Who a thread is, and where it stands, in one line."""
    return f"{who_is(thread)}, {state_text(thread)}"


def state_text(thread: ThreadState) -> str:
    """What a thread does, and where it stands."""
    if not thread.started:
        return "has not run yet" if thread.scheduled else "was never started"
    state = "is runnable" if thread.scheduled else f"waits ({thread.waiting_for})"
    frame = thread.get_frame() if isinstance(thread, coro) else None
    return f"{state} {place_of(frame)}"


def stack_text(thread: ThreadState) -> str:
    """The stack of a thread, outermost call first, without the calls of the runtime at its ends."""
    frame = thread.get_frame() if isinstance(thread, coro) else None
    stack = [*traceback.walk_stack(frame)] if frame is not None else []
    theirs = [not str(entry.f_globals.get("__name__", "")).startswith(_PACKAGE) for entry, _ in stack]
    if True not in theirs:
        return ""
    first, last = theirs.index(True), len(theirs) - theirs[::-1].index(True)
    return "".join(traceback.StackSummary.extract(iter(stack[first:last][::-1])).format())


def _describe_timer(timer: Timer) -> str:
    seconds = (timer[0] - scheduler.clock()) / ticks_per_sec
    action, argument = timer[2], timer[3]
    call = f"{function_name(action)}({'' if argument is None else repr(argument)})"
    return f"timer, due in {seconds:.3f} s, that calls {call}"


def _describe_descriptor(fd: int) -> str:
    """What a descriptor stands for, as far as the system tells."""
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISSOCK(mode):
            return _describe_socket(fd)
        if stat.S_ISFIFO(mode):
            return "pipe"
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError as error:
        return f"of unknown kind: {error}"


def _describe_socket(fd: int) -> str:
    # A duplicate: closing the object must not close what is looked at.
    with socket.socket(fileno=os.dup(fd)) as duplicate:
        text = f"{duplicate.family.name} socket"
        for word, ask in (("at", duplicate.getsockname), ("to", duplicate.getpeername)):
            try:
                address = ask()
            except OSError:
                # Not bound, or not connected: then there is none to tell.
                continue
            if address:
                text += f" {word} {address!r}"
        return text
