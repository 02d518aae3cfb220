"""How an exception of a typed line is told: the traceback without the console's own frames.

The text is bounded whatever was raised: deep recursion, long chains, texts without end.  Making it may run code of
the user's (__str__, __notes__), so it may fail or be interrupted; the caller then falls back to `brief_text`.
"""

from __future__ import annotations

import os
import traceback
from traceback import FrameSummary, StackSummary, TracebackException
from types import TracebackType
from typing import Final

from coro.backdoor.safe_repr import cut, describe_error

__all__ = ["MAX_ERROR_BYTES", "brief_text", "error_text", "syntax_error_text"]

MAX_ERROR_BYTES: Final = 65_536

# Of a deeper stack so many calls are shown, from the outermost and from the innermost end.
_OUTERMOST: Final = 20
_INNERMOST: Final = 100
# A chain of causes and contexts is told up to this many exceptions.
_MAX_CHAIN: Final = 50

# A trailing separator, so that a neighbour with a longer name is not taken for it.
_CONSOLE: Final = os.path.join(os.path.dirname(__file__), "")
_RUNTIME: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def error_text(error: BaseException, *, end_at_the_wait: bool = False) -> str:
    """The traceback of an exception with its causes, ended by a newline; at most MAX_ERROR_BYTES long.

    end_at_the_wait: leave out the runtime's innermost frames as well: for a wait that was interrupted.
    Reads source files.  Runs code of the exception's classes; raises what it raises, and what interrupts it.
    """
    told = TracebackException(
        type(error), error, error.__traceback__, limit=-_INNERMOST, max_group_width=10, compact=True
    )
    _restore_beginning(told.stack, error.__traceback__)
    hidden = _RUNTIME if end_at_the_wait else _CONSOLE
    frames = told.stack
    while frames and frames[-1].filename.startswith(hidden):
        del frames[-1]
    _hide(told)
    return cut("".join(told.format()), MAX_ERROR_BYTES)


def syntax_error_text(error: BaseException, source: str) -> str:
    """What is wrong with a source that does not compile: no stack, the line, a caret."""
    if isinstance(error, SyntaxError) and error.text is None and error.lineno is not None:
        lines = source.splitlines()
        if 1 <= error.lineno <= len(lines):
            # The compiler's later stages look for the line in a file, and there is none.
            error.text = lines[error.lineno - 1]
    return cut("".join(traceback.format_exception_only(type(error), error)), MAX_ERROR_BYTES)


def brief_text(error: BaseException, failure: BaseException | None = None) -> str:
    """One line, for an exception whose traceback cannot be made because of `failure`.  Raises no Exception."""
    text = describe_error(error)
    if failure is not None:
        text += f" (its traceback cannot be made: {describe_error(failure)})"
    return text + "\n"


def _restore_beginning(stack: StackSummary, tb: TracebackType | None) -> None:
    """Put the outermost calls before the innermost ones, to which the stack was limited."""
    length = 0
    frame = tb
    while frame is not None:
        length += 1
        frame = frame.tb_next
    missing = length - len(stack)
    if missing > 0:
        beginning = traceback.extract_tb(tb, limit=min(missing, _OUTERMOST))
        missing -= len(beginning)
        if missing:
            beginning.append(FrameSummary(f"<{missing} more calls>", 0, "…", lookup_line=False, line=""))
        stack[:0] = beginning


def _hide(told: TracebackException) -> None:
    """Take the console's own frames out of an exception, and of all that it is chained to."""
    waiting = [told]
    seen = 0
    while waiting:
        exception = waiting.pop()
        seen += 1
        stack = exception.stack
        stack[:] = [frame for frame in stack if not frame.filename.startswith(_CONSOLE)]
        for name in ("__cause__", "__context__"):
            chained = getattr(exception, name)
            if chained is None:
                continue
            if seen >= _MAX_CHAIN:
                setattr(exception, name, None)
            else:
                waiting.append(chained)
        waiting += getattr(exception, "exceptions", None) or ()
