"""Compact stacks: one line, one bracket per frame, as Shrapnel prints them.

    [server/session.py read_line|88] [server/session.py run|41]

And `where()`: where a thread stands, in the interpreter's usual long form.
"""

from __future__ import annotations

import os
import sys
import traceback
from types import FrameType, TracebackType

__all__ = ["frame_text", "stack_string", "traceback_data", "traceback_string"]


def _place(frame: FrameType, line: int | None) -> tuple[str, str, int]:
    directory, name = os.path.split(frame.f_code.co_filename)
    parent = os.path.basename(directory)
    return f"{parent}/{name}" if parent else name, frame.f_code.co_name, line or 0


def _bracket(places: list[tuple[str, str, int]]) -> str:
    return "[" + "] [".join(f"{name} {function}|{line}" for name, function, line in places) + "]"


def stack_string(f: FrameType | None = None) -> str:
    """The stack of a frame in one line, innermost first; of the caller if `f` is None."""
    if f is not None and not isinstance(f, FrameType):
        raise TypeError(f"stack_string() needs a frame or None, got {f!r}")
    frame = sys._getframe(1) if f is None else f
    places = []
    while frame is not None:
        places.append(_place(frame, frame.f_lineno))
        frame = frame.f_back  # type: ignore[assignment]
    return _bracket(places)


def traceback_data(
    t: type[BaseException] | None = None,
    v: BaseException | None = None,
    tb: TracebackType | None = None,
) -> tuple[tuple[str, str, int], str, str, str]:
    """((file, function, line) of the innermost frame, type, value, all frames in one line) of an exception.

    Without arguments, of the exception that is being handled; raises ValueError if there is none.
    """
    if t is None:
        t, v, tb = sys.exc_info()
    elif not (isinstance(t, type) and issubclass(t, BaseException)):
        raise TypeError(f"traceback_data() needs an exception's class, got {t!r}")
    if t is None:
        raise ValueError("there is no exception to describe: call traceback_data() in an except block")
    places = []
    while tb is not None:
        places.append(_place(tb.tb_frame, tb.tb_lineno))
        tb = tb.tb_next
    innermost = places[-1] if places else ("", "", 0)
    return innermost, str(t), str(v), _bracket(places)


def traceback_string(
    t: type[BaseException] | None = None,
    v: BaseException | None = None,
    tb: TracebackType | None = None,
) -> str:
    """traceback_data() as one line of text."""
    (name, function, line), kind, value, places = traceback_data(t, v, tb)
    return repr((f"{name} {function}|{line}", kind, value, places))


def frame_text(frame: FrameType) -> str:
    """The stack of a frame as the interpreter prints it, outermost first."""
    return "".join(traceback.format_stack(frame))
