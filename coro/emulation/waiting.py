"""Waiting for descriptors beside others who wait for the same ones.

Plain Python allows any number of OS threads to wait for one descriptor; the loop's table has room for one reader
and one writer.  Whoever finds the place taken waits at a gate (`coro.emulation.gate`).

Where the caller is no thread of the loop (another OS thread, the loop's own greenlet), may_park() is False, and the
original system calls serve.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Callable, Mapping
from typing import Any

from coro.clock import seconds_to_ticks, ticks_per_sec
from coro.descriptors import descriptors
from coro.emulation.gate import NO_GATE, forget, open_gate
from coro.emulation.patching import original
from coro.exceptions import ClosedError, SimultaneousError, TimeoutError
from coro.guests import current_step
from coro.poller.base import READ, WRITE
from coro.scheduler import scheduler
from coro.socket.base import in_thread
from coro.timed import sleep_relative, sleep_until, timeout_error

__all__ = [
    "TimeLeft",
    "close_waited",
    "give_way",
    "pause_briefly",
    "poll_now",
    "poll_until",
    "wait_at_gate",
    "wait_briefly_in_steps",
    "wait_fd",
    "wait_in_os_thread",
]

_poll = original("select", "poll")
_close = os.close

# As poll(2) and epoll(7) have them on Linux, and poll(2) everywhere else that we know.
_POLL_READ = select.POLLIN | select.POLLPRI
_POLL_WRITE = select.POLLOUT
# Without a gate, the kernel is asked again after a pause that doubles.
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05
_FOREVER_S = 1e9
# As sys.getswitchinterval().
_LONG_SLICE_NS = 5_000_000


class TimeLeft:
    """What is left of a timeout over several waits."""

    __slots__ = ("_deadline", "_seconds")

    def __init__(self, seconds: float | None) -> None:
        """Begin a timeout of `seconds`; None for ever."""
        self._seconds = seconds
        self._deadline = None if seconds is None else scheduler.clock() + seconds_to_ticks(seconds)

    def seconds(self) -> float | None:
        """Seconds that are left, 0 or more; None for ever."""
        if self._deadline is None:
            return None
        return max(0.0, (self._deadline - scheduler.clock()) / ticks_per_sec)

    def over(self) -> bool:
        """Whether nothing is left."""
        return self._deadline is not None and scheduler.clock() >= self._deadline


def give_way() -> None:
    """Let the others run if the caller has run for long without waiting; for operations that are not to wait.

    Plain code takes it that nothing happens between two of them: a pool asks whether a connection is idle still and
    then uses it; print() writes a line in pieces.  The interpreter, too, lets others run after 5 ms only.
    """
    if scheduler.clock() - scheduler.now > _LONG_SLICE_NS and not scheduler.collecting and in_thread():
        scheduler.yield_slice()


def poll_now(fd: int, events: int) -> int:
    """What the kernel says of a descriptor now, in poll(2)'s bits; 0 for "not ready".  Does not yield."""
    poller = _poll()
    poller.register(fd, events)
    ready = poller.poll(0)
    return ready[0][1] if ready else 0


def wait_fd(fd: int, events: int, timeout: float | None = None) -> None:
    """Park until a descriptor may be ready for `events` (READ | WRITE), whoever else waits for it.

    timeout: seconds, None for ever.  What cannot be polled, such as a regular file, is always ready.
    Yields.  Raises coro.TimeoutError, OSError (EBADF).  An interrupted caller stops waiting and loses nothing.
    """
    try:
        descriptors.wait(fd, events, timeout)
    except SimultaneousError:
        wait_at_gate({fd: _poll_bits(events)}, timeout)
    except ClosedError:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None
    except OSError as error:
        if error.errno in NO_GATE:
            # It is an epoll, and the kernel nests no more of them.
            _wait_by_pauses({fd: _poll_bits(events)}, timeout)
        elif error.errno != errno.EPERM:
            raise


def wait_briefly_in_steps(wait: Callable[[float | None], None], timeout: float | None = None) -> None:
    """Call `wait(timeout)`; but in the middle of an asyncio task's step, where parking is refused, it may take a
    moment.

    For pipes and children: that a program runs another for some milliseconds is no fault of its.
    Yields.  Raises YieldFromMain, which names the task, when the step's limit is over; and as `wait`.
    """
    step = current_step()
    if step is None:
        wait(timeout)
        return
    enough = timeout is not None and timeout <= step.limit_s
    with step.suspended():
        try:
            wait(timeout if enough else step.limit_s)
            return
        except TimeoutError:
            if enough:
                raise
    step(scheduler.current_thread("waiting for a pipe or a child process"))


def _poll_bits(events: int) -> int:
    """READ and WRITE in poll(2)'s bits."""
    return (_POLL_READ if events & READ else 0) | (_POLL_WRITE if events & WRITE else 0)


def close_waited(fd: int) -> None:
    """Close a descriptor that was waited for; the loop forgets it first."""
    forget(fd)
    _close(fd)


def wait_in_os_thread(fd: int, events: int, timeout: float | None) -> None:
    """Wait for a descriptor in an OS thread that is not the loop's, blocking it.

    Raises coro.TimeoutError, OSError (EBADF).
    """
    poller = _poll()
    poller.register(fd, _poll_bits(events))
    ready = poller.poll(None if timeout is None else timeout * 1000)
    if not ready:
        raise timeout_error(timeout or 0)
    if ready[0][1] & select.POLLNVAL:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def wait_at_gate(wanted: Mapping[int, int], timeout: float | None = None) -> None:
    """Park until one of several descriptors may be ready.

    wanted: descriptor -> poll(2)'s bits.  timeout: seconds, None for ever.
    Yields.  Raises coro.TimeoutError, OSError (EBADF).  An interrupted caller stops waiting and loses nothing.
    """
    try:
        gate = open_gate(wanted)
        try:
            gate.wait(timeout)
        finally:
            gate.give_back()
    except OSError as error:
        if error.errno not in NO_GATE:
            raise
        _wait_by_pauses(wanted, timeout)


def poll_until(poller: Any, wanted: Mapping[int, int], timeout: float | None) -> list[tuple[int, int]]:
    """Park until an original poll object has something to report; returns that, or [] when the time is over.

    wanted: what is registered with it, descriptor -> events.  timeout: seconds, None for ever.
    A descriptor that is closed meanwhile is not ready: to the kernel, too, a wait goes on with those that it began
    with.
    Yields.  An interrupted caller stops waiting and loses nothing.
    """
    left = TimeLeft(timeout)
    open_still = dict(wanted)
    while True:
        over = False
        try:
            if open_still:
                _wait_at_gate_or_briefly(open_still, left.seconds())
            else:
                rest = left.seconds()
                sleep_relative(_FOREVER_S if rest is None else rest)
        except TimeoutError:
            over = True
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
        found = []
        for fd, events in poller.poll(0):
            if events & select.POLLNVAL:
                open_still.pop(fd, None)
            else:
                found.append((fd, events))
        if found or over or left.over():
            return found


def _wait_at_gate_or_briefly(wanted: Mapping[int, int], timeout: float | None) -> None:
    """As wait_at_gate(); in the middle of an asyncio task's step briefly, if it is for pipes only."""
    if current_step() is not None and all(stat.S_ISFIFO(os.fstat(fd).st_mode) for fd in wanted):
        wait_briefly_in_steps(lambda limit: wait_at_gate(wanted, limit), timeout)
    else:
        wait_at_gate(wanted, timeout)


def pause_briefly(left: TimeLeft) -> None:
    """Sleep for a moment: before the kernel is asked again for what it calls ready, and the caller does not."""
    rest = left.seconds()
    sleep_relative(_LONGEST_PAUSE_S if rest is None else min(_LONGEST_PAUSE_S, rest))


def _wait_by_pauses(wanted: Mapping[int, int], timeout: float | None) -> None:
    left = TimeLeft(timeout)
    poller = _poll()
    for fd, events in wanted.items():
        poller.register(fd, events)
    pause = _FIRST_PAUSE_S
    while not poller.poll(0):
        if left.over():
            raise timeout_error(timeout or 0)
        rest = left.seconds()
        sleep_until(scheduler.clock() + seconds_to_ticks(pause if rest is None else min(pause, rest)))
        pause = min(2 * pause, _LONGEST_PAUSE_S)
