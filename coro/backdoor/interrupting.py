"""Interrupting a thread that does not give the loop a chance to interrupt it.

A thread that waits is interrupted by the loop.  One that spins, or sits in a system call, keeps the loop from
turning: then a signal is sent to the loop's OS thread, whose handler raises in whatever runs there, provided that
this is the very thread that was meant.

Facts about the world that shaped this file:
- Python runs signal handlers in the main OS thread only, between two bytecodes of whichever greenlet runs.  A loop
  in another OS thread cannot be helped this way.
- SIGURG is ignored by default, and nothing but out-of-band data raises it, so it is spare in nearly every daemon.
- pthread_kill() ends a system call with EINTR, which `_thread.interrupt_main` does not.
- A C call that never returns to the interpreter (and keeps the GIL) sees no handler.

Invariant: the handler raises only if the running thread is wanted, its code is the user's, and not the runtime's.
"""

from __future__ import annotations

import signal
import threading
import weakref
from types import FrameType
from typing import Any

from coro.backdoor.evaluation import Evaluator, LineInterrupted
from coro.exceptions import Interrupted
from coro.loop import loop
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["REPEAT_S", "Line", "Strikes", "strikes"]

# The signal comes again so often, until the thread has given in: user code may catch it, or the runtime defer it.
REPEAT_S = 0.05

_RUNTIME_PREFIX = __name__.partition(".")[0] + "."
_SIGNAL = signal.SIGURG


class Line:
    """A line of a session's, or a command, while it runs.

    evaluator: what runs its Python; None for a command.
    in_application: a command of the application's own runs, which the signal may hit; one of ours it may not.
    reason: why it is to end; None while it may run.  struck: the signal has raised in it.
    """

    __slots__ = ("began_ns", "evaluator", "in_application", "reason", "struck", "text", "thread")

    def __init__(self, thread: ThreadState, text: str, evaluator: Evaluator | None = None) -> None:
        self.thread = thread
        self.text = text
        self.evaluator = evaluator
        self.began_ns = scheduler.clock()
        self.reason: str | None = None
        self.struck = False
        self.in_application = False

    @property
    def armed(self) -> bool:
        """Whether code of the user's runs, so that the signal may hit it."""
        return self.in_application or (self.evaluator is not None and self.evaluator.code_is_running)


class Strikes:
    """Which threads are to be interrupted by the signal.  There is one, `strikes`.

    Written by the loop's OS thread and the sentinel; each write is one operation on a dict.
    """

    def __init__(self) -> None:
        # Lines that run now, by thread.
        self.lines: dict[ThreadState, Line] = {}
        # Threads of the daemon that somebody asked to interrupt while they held up the loop: one exception each.
        self.wanted: dict[ThreadState, BaseException] = {}
        self.installed = False
        self._former: Any = None
        # For whom it was installed: the backdoors that are open.
        self._users: weakref.WeakSet[Any] = weakref.WeakSet()

    # -- the signal

    def install(self, user: Any) -> str | None:
        """Take the signal, until all users have called uninstall(); returns None, or why that cannot be."""
        if not self.installed:
            if threading.current_thread() is not threading.main_thread():
                return "the loop does not run in the main OS thread, so code that spins cannot be interrupted"
            former = signal.getsignal(_SIGNAL)
            if former not in (signal.SIG_DFL, signal.SIG_IGN):
                return (
                    f"{_SIGNAL.name} has a handler already ({former!r}), so code that spins cannot be interrupted"
                )
            signal.signal(_SIGNAL, self._strike)
            self._former = former
            self.installed = True
        self._users.add(user)
        return None

    def uninstall(self, user: Any) -> None:
        """This user needs the signal no more; after the last one it is given back.

        Unless somebody else has taken it meanwhile.  Outside the main OS thread, where that is not allowed, the
        handler stays, and does nothing.
        """
        self._users.discard(user)
        if self._users or not self.installed or threading.current_thread() is not threading.main_thread():
            return
        self.installed = False
        self.wanted.clear()
        # Equal, not identical: a bound method is made anew at each look.
        if signal.getsignal(_SIGNAL) == self._strike:
            signal.signal(_SIGNAL, self._former)

    def send(self) -> bool:
        """Have the handler run in the loop's OS thread.  Safe from any OS thread; False if nothing can be sent."""
        if not self.installed or not loop.running:
            return False
        signal.pthread_kill(scheduler.os_thread_ident, _SIGNAL)
        return True

    def _strike(self, signum: int, frame: FrameType | None) -> None:
        thread = scheduler.current
        if thread is None or frame is None:
            return
        line = self.lines.get(thread)
        exception: BaseException
        if line is not None and line.reason is not None:
            if not line.armed or _is_runtime(frame):
                return
            line.struck = True
            exception = LineInterrupted(line.reason)
        elif thread in self.wanted:
            if _is_runtime(frame):
                return
            exception = self.wanted.pop(thread)
        else:
            return
        try:
            raise exception
        finally:
            # The traceback refers to this frame.
            del exception, thread, frame, line

    # -- lines

    def interrupt_line(self, line: Line, reason: str) -> None:
        """Interrupt a line.  In the loop: the loop turns, so the line's thread waits or is runnable."""
        line.reason = reason
        thread = line.thread
        if (line.armed or line.evaluator is None) and thread is not scheduler.current and not thread.dead:
            scheduler.interrupt(thread, LineInterrupted(reason))

    def interrupt_thread(self, thread: ThreadState, exception: BaseException | None = None) -> None:
        """Have the running thread interrupted by the signal.  From the sentinel; send() does the rest."""
        self.wanted[thread] = Interrupted("interrupted from the backdoor") if exception is None else exception


def _is_runtime(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return type(name) is str and (name.startswith(_RUNTIME_PREFIX) or name == _RUNTIME_PREFIX[:-1])


strikes = Strikes()
