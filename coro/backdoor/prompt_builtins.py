"""The names that mean something else at the prompt: input, help, exit, quit, breakpoint.

They stand in a copy of the builtins that only a session's own code sees; the daemon's code keeps the real ones.
A function made at the prompt may later run in the daemon's own threads: there each of them does what the real one
does.  So none of them holds a session; each looks up the line that calls it.
"""

from __future__ import annotations

import builtins
import pydoc
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from coro.backdoor.routing import running_route

__all__ = ["LeaveSession", "OWN_BUILTINS", "refresh"]


class LeaveSession(BaseException):
    """The line called exit() or quit(): the session is to be left, the daemon goes on."""


class _Leave:
    """exit and quit."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"{self._name}() leaves this session; the daemon goes on"

    def __call__(self, code: object = None) -> NoReturn:
        if running_route() is not None:
            raise LeaveSession
        raise SystemExit(code)


class _Help:
    """help: what pydoc would show, without a pager; without an argument, its prompt."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "help(x) explains x, help() asks what; :help lists the console's commands"

    def __call__(self, *request: Any) -> None:
        if running_route() is None:
            pydoc.help(*request)
            return
        # Some topics go to the pager whatever the output is, and the real one would start `less` at the daemon's
        # terminal.  The plain one writes to sys.stdout, so it is right for everybody who meets it meanwhile.
        module: Any = pydoc
        former = module.pager
        module.pager = _plain_pager
        try:
            pydoc.Helper(sys.stdin, sys.stdout)(*request)
        finally:
            if module.pager is _plain_pager and former is not _plain_pager:
                module.pager = former


def _plain_pager(text: str, title: str = "") -> None:
    sys.stdout.write(pydoc.plain(text))


def _input(prompt: object = "", /) -> str:
    """Ask whoever sits at this session for a line.  Waits; raises EOFError at the end of its input."""
    route = running_route()
    return _real_input(prompt) if route is None else route.read_line(str(prompt))


def _breakpoint(*arguments: Any, **options: Any) -> Any:
    """Refused at the prompt: a debugger would stop every thread of the daemon."""
    if running_route() is None:
        return _real_breakpoint(*arguments, **options)
    raise RuntimeError(
        "breakpoint() is refused here: a debugger would stop every thread of the daemon. "
        "`:where ID` shows where a thread stands; print() in the code tells more"
    )


_input.__name__ = _input.__qualname__ = "input"
_breakpoint.__name__ = _breakpoint.__qualname__ = "breakpoint"
_real_input = builtins.input
_real_breakpoint = builtins.breakpoint

OWN_BUILTINS: dict[str, Callable[..., Any]] = {
    "breakpoint": _breakpoint,
    "exit": _Leave("exit"),
    "help": _Help(),
    "input": _input,
    "quit": _Leave("quit"),
}


def refresh(names: dict[str, Any]) -> None:
    """Bring a session's copy of the builtins up to date before a line.

    What was deleted from the real builtins stays in the copy, so that a session survives `del builtins.print`.
    """
    names.update(vars(builtins))
    names.update(OWN_BUILTINS)
