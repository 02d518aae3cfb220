"""Running what is typed: compile a piece of Python, run it in the daemon's names, tell value or traceback.

A piece runs in the coroutine thread that calls run(), and may block there.  Whatever it raises ends there, but for
what tells the session itself to end: LeaveSession, Shutdown, GreenletExit.

Running code may also be interrupted from outside by a signal handler that raises at any bytecode.  It may do so
only while `code_is_running` is set, which is during the user's own code: exec, repr, __str__.  On CPython 3.11 and
3.12 such a raise can escape the innermost `try`, and it may come again while the first one is being handled; so
run() guards _attempt(), which guards _execute(), and what escapes from one is caught by the next.

Knows nothing of sockets and languages: output goes to a Sink, input comes from a function.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from greenlet import GreenletExit

from coro.backdoor import routing
from coro.backdoor.compiling import INCOMPLETE, SHOW, Compiled, Incomplete, PieceCompiler
from coro.backdoor.error_text import brief_text, error_text
from coro.backdoor.prompt_builtins import LeaveSession, refresh
from coro.backdoor.routing import Route, Sink
from coro.backdoor.safe_repr import MAX_REPR_BYTES, describe_error, safe_repr
from coro.exceptions import Interrupted, Shutdown
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = [
    "INCOMPLETE",
    "Compiled",
    "Evaluator",
    "Incomplete",
    "LeaveSession",
    "LineInterrupted",
    "Outcome",
    "default_namespace",
]

# Bound now: a line may replace builtins.exec, as it may replace anything.
_exec: Final = builtins.exec

# What a session's own builtins carry, so that one session does not take those of another for the real ones.
_MARK: Final = "__coro_session__"


class LineInterrupted(Interrupted):
    """The running line was interrupted.

    reason: by whom or what, such as "Ctrl-C" or "the eval limit of 1 s".
    """

    # Tracebacks name the class; where it is defined is nobody's business.
    __module__ = "coro"

    def __init__(self, reason: str = "Ctrl-C") -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"interrupted by {self.reason}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a piece did.

    value_repr: of its last expression; None for none, for None, and when it raised.
    error_text: the traceback, ended by a newline; None if it did not raise.
    seconds: how long it took, waits included.
    """

    value_repr: str | None
    error_text: str | None
    seconds: float


@dataclass(slots=True)
class _Job:
    """One run.  has_value: whether the piece reached its last expression."""

    code: CodeType
    has_value: bool = False
    value: Any = None
    value_repr: str | None = None
    error_text: str | None = None


def default_namespace() -> dict[str, Any]:
    """A copy of the names of `__main__`, as Shrapnel's backdoor: lines see the daemon's names and add their own."""
    return dict(vars(sys.modules["__main__"]))


def _no_input(prompt: str) -> str:
    raise EOFError("this session has no input")


class Evaluator:
    """The Python prompt of one session.

    namespace: the names; may be shared by several sessions.
    names: the builtins as the session's code sees them, `_` among them.
    thread: the thread that runs a piece now; None between pieces.
    code_is_running: code of the user's runs, or waits, in `thread`; only then may a signal handler raise there.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        sink: Sink,
        *,
        read_line: Callable[[str], str] = _no_input,
        label: str = "session",
        max_repr_bytes: int = MAX_REPR_BYTES,
    ) -> None:
        """namespace: a real dict.  sink: where output goes.

        read_line: what input() calls, with the prompt.  label: names the session in tracebacks, `<label, line 7>`.
        """
        self.namespace = namespace
        self.names: dict[str, Any] = {}
        self.thread: ThreadState | None = None
        self.code_is_running = False
        self._sink = sink
        self._read_line = read_line
        self._label = label
        self._max_repr_bytes = max_repr_bytes
        self._compiler = PieceCompiler(label)
        # What `_` is in this session; None is never kept there, so it stands for nothing yet.
        self._last: Any = None
        self._job: _Job | None = None
        refresh(self.names)

    # -- compiling

    def compile_source(self, text: str, *, interactive: bool = True) -> Compiled | Incomplete | str:
        """Compile a piece; INCOMPLETE if more lines are needed, the text of the error if there is one.

        interactive: as typed line by line: a block ends with an empty line, and every expression outside a function
            shows its value, not only the last one.
        A warning of the compiler's goes to the session: then it may yield, and raise what interrupts that.
        """
        thread = scheduler.current_thread("compile_source()")
        former = routing.enter(thread, Route(self._sink, self._read_line))
        try:
            return self._compiler.compile(text, interactive=interactive)
        finally:
            routing.leave(thread, former)

    def close(self) -> None:
        """Let go of the sources and the last value; functions made in the session may live on in the daemon."""
        self._compiler.close()
        self._last = None
        for name in ("_", SHOW):
            self.names.pop(name, None)

    # -- running

    def run(self, compiled: Compiled) -> Outcome:
        """Run a compiled piece in the current thread, and tell what it did.

        Yields as the piece does.  Every exception of the piece ends here and is told, interrupts of the thread
        included; only LeaveSession, Shutdown and GreenletExit are raised.  An interrupt meant for a frame of
        the caller's own, such as a timeout around run(), ends here as well.
        """
        thread = scheduler.current_thread("run()")
        job = _Job(compiled.code)
        began = scheduler.clock()
        former_builtins = self._own_builtins()
        former_route = routing.enter(thread, Route(self._sink, self._read_line))
        self.thread = thread
        self._job = job
        try:
            self._attempt(job)
        except (LeaveSession, Shutdown, GreenletExit):
            raise
        except BaseException as error:
            # An interrupt that came while another failure was told.
            self.code_is_running = False
            job.error_text = job.error_text or brief_text(error)
        finally:
            self.code_is_running = False
            self.thread = self._job = None
            routing.leave(thread, former_route)
            self._put_back_builtins(former_builtins)
            _withdraw_interrupts(thread)
        if job.error_text is not None:
            job.value_repr = None
        return Outcome(job.value_repr, job.error_text, (scheduler.clock() - began) / 1e9)

    def _attempt(self, job: _Job) -> None:
        """Run, and describe what it raised."""
        try:
            self._execute(job)
        except (LeaveSession, Shutdown, GreenletExit):
            self.code_is_running = False
            raise
        except BaseException as error:
            self.code_is_running = False
            failure = error
        else:
            return
        try:
            self._describe(job, failure)
        except (Shutdown, GreenletExit):
            raise
        except BaseException as error:
            self.code_is_running = False
            job.error_text = brief_text(failure, error)
        finally:
            # The traceback refers to this frame; this breaks the circle.
            del failure

    def _execute(self, job: _Job) -> None:
        """The user's code: the only place, with _describe(), where a signal handler may raise."""
        self.code_is_running = True
        try:
            _exec(job.code, self.namespace)
            if job.has_value:
                job.value_repr = safe_repr(job.value, max_bytes=self._max_repr_bytes)
        finally:
            self.code_is_running = False

    def _describe(self, job: _Job, error: BaseException) -> None:
        if isinstance(error, SystemExit):
            job.error_text = f"{describe_error(error)} (use :exit-daemon to end the daemon)\n"
            return
        self.code_is_running = True
        try:
            job.error_text = error_text(error, end_at_the_wait=isinstance(error, LineInterrupted))
        finally:
            self.code_is_running = False

    def _show(self, value: Any, is_last: bool = False) -> None:
        """What an expression outside a function calls with its value."""
        if value is None:
            return
        self._last = self.names["_"] = value
        if is_last and self._job is not None:
            self._job.value = value
            self._job.has_value = True
        else:
            self._sink.write(safe_repr(value, max_bytes=self._max_repr_bytes) + "\n")

    # -- the builtins

    def _own_builtins(self) -> Any:
        """Have the namespace's code see this session's builtins; returns what stood there."""
        former = self.namespace.get("__builtins__", builtins)
        if isinstance(former, dict) and _MARK in former:
            # Another session's line runs in the same namespace, and will not put back what is not its own.
            former = builtins
        refresh(self.names)
        self.names[_MARK] = self._label
        self.names[SHOW] = self._show
        if self._last is not None:
            self.names["_"] = self._last
        self.namespace["__builtins__"] = self.names
        return former

    def _put_back_builtins(self, former: Any) -> None:
        if self.namespace.get("__builtins__") is self.names:
            self.namespace["__builtins__"] = former


def _withdraw_interrupts(thread: ThreadState) -> None:
    """The line has ended: no interrupt of it may hit what the thread does next."""
    for interrupt in tuple(thread.interrupts or ()):
        if isinstance(interrupt, LineInterrupted):
            scheduler.withdraw(thread, interrupt)
