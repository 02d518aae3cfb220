"""Running one line or command of a session: where it can be interrupted, and how it is audited.

The same for the text console and for JSON-RPC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from coro.backdoor.commands import CommandError, Implementation
from coro.backdoor.commands.registry import plain_result
from coro.backdoor.error_text import error_text
from coro.backdoor.evaluation import Compiled, Evaluator, LineInterrupted, Outcome
from coro.backdoor.interrupting import Line, strikes
from coro.backdoor.pace import Pace
from coro.backdoor.session import Session
from coro.scheduler import scheduler
from coro.wire.encode import to_plain

__all__ = ["NotAllowed", "needed_role", "run_code", "run_command", "running_line"]


class NotAllowed(Exception):
    """The session's role does not allow it."""


@contextmanager
def running_line(session: Session, text: str, evaluator: Evaluator | None = None) -> Iterator[Line]:
    """While this lasts, `text` runs in the current thread and can be interrupted.

    What interrupts it after its end is withdrawn.
    """
    thread = scheduler.current_thread("running a line")
    line = Line(thread, text, evaluator)
    session.line = strikes.lines[thread] = line
    session.connection.busy = True
    try:
        yield line
    finally:
        strikes.lines.pop(thread, None)
        session.line = None
        session.connection.busy = False
        _withdraw(line)


def _withdraw(line: Line) -> None:
    thread = line.thread
    for waiting in tuple(thread.interrupts or ()):
        if isinstance(waiting, LineInterrupted):
            scheduler.withdraw(thread, waiting)


def run_code(session: Session, evaluator: Evaluator, compiled: Compiled, text: str) -> Outcome:
    """Run Python, audited before it begins (it may end the process) and after its end.  Yields as the code does.

    Raises LeaveSession, Shutdown.
    """
    session.audit(text, "started")
    outcome = "left"
    began = scheduler.clock()
    try:
        with running_line(session, text, evaluator) as line:
            result = evaluator.run(compiled)
        outcome = "ok" if result.error_text is None else "interrupted" if line.reason else "raised"
        return result
    finally:
        session.audit(text, outcome, began)


def needed_role(implementation: Implementation, parameters: dict[str, Any]) -> str:
    """The role that a command needs with these parameters: showing the settings needs less than changing them."""
    if implementation.command.name == "set" and parameters.get("value") is None:
        return "observe"
    return implementation.command.role


def run_command(
    session: Session, implementation: Implementation, parameters: dict[str, Any], text: str
) -> Iterator[Any]:
    """Carry a command out and hand out its result in JSON's types: one item, or those of a list one by one.

    The first item says which: True for a list.  Yields to other threads.
    Raises CommandError (whatever the command raised, told in it), NotAllowed, LineInterrupted, Shutdown.
    """
    outcome = "failed"
    began = scheduler.clock()
    try:
        if not session.may(needed_role(implementation, parameters)):  # type: ignore[arg-type]
            outcome = "refused"
            raise NotAllowed(f"{implementation.command.name} needs the role {implementation.command.role}")
        result = _guarded(implementation, session, parameters)
        if isinstance(result, list):
            yield True
            convert: Callable[[Any], Any] = to_plain if implementation.is_builtin else plain_result
            for item in Pace().walk(result):
                yield convert(item)
        else:
            yield False
            yield to_plain(result) if implementation.is_builtin else plain_result(result)
        outcome = "ok"
    except LineInterrupted:
        outcome = "interrupted"
        raise
    finally:
        session.audit(text, outcome, began)


def _guarded(implementation: Implementation, session: Session, parameters: dict[str, Any]) -> Any:
    line = session.line
    if line is not None and line.thread is scheduler.current and not implementation.is_builtin:
        line.in_application = True
    try:
        return implementation.run(session, parameters)
    except CommandError:
        raise
    except PermissionError as error:
        if implementation.is_builtin:
            raise NotAllowed(str(error)) from None
        raise CommandError(error_text(error).rstrip()) from error
    except Exception as error:
        # The command's own fault answers its session; it cannot hurt the daemon.
        raise CommandError(error_text(error).rstrip()) from error
    finally:
        if line is not None:
            line.in_application = False
