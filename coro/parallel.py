"""in_parallel(): several functions at once, and all their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from coro.exceptions import InParallelError
from coro.group import Crew, settle
from coro.runtime import spawn
from coro.scheduler import scheduler
from coro.thread import coro

__all__ = ["FAILURE", "SUCCESS", "in_parallel"]

# What InParallelError.result_list says of each function.
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"

Call = tuple[Callable[..., Any], Sequence[Any]]


def in_parallel(fun_arg_list: Sequence[Call]) -> list[Any]:
    """Execute several functions, each in a thread of its own, and wait until all have returned or raised.

    fun_arg_list: a list of (function, arguments) pairs, the arguments a tuple or list.
    Returns the list of their values, in order; [] for none.
    Raises InParallelError if one or more of them raised; TypeError before anything runs; YieldFromMain outside a
    thread.  Yields.

    A function that fails does not stop the others.  If the caller is interrupted, its threads are shut down, and
    when they have ended the interrupt goes on; what they raise then goes to the exception notifier.
    """
    _check(fun_arg_list)
    if not fun_arg_list:
        return []
    scheduler.current_thread("in_parallel()")
    crew = Crew()
    threads: list[coro] = []
    for function, arguments in fun_arg_list:
        thread = spawn(function, *arguments)
        thread.observers += 1
        crew.add(thread)
        threads.append(thread)
    interrupts = crew.join(crew)
    failures = [(thread, thread.error) for thread in threads if thread.error is not None]
    interrupt = settle(interrupts, failures)
    if interrupt is not None:
        try:
            raise interrupt
        finally:
            # The traceback refers to this frame, which must not refer back.
            del interrupt, interrupts, failures
    if failures:
        raise InParallelError([_result(thread) for thread in threads])
    return [thread.result_value for thread in threads]


def _result(thread: coro) -> tuple[str, Any]:
    error = thread.error
    if error is None:
        return SUCCESS, thread.result_value
    return FAILURE, (type(error), error, error.__traceback__)


def _check(fun_arg_list: object) -> None:
    """Raise TypeError for what is no list of (function, arguments) pairs."""
    if not isinstance(fun_arg_list, (list, tuple)):
        raise TypeError(f"in_parallel() needs a list of (function, arguments) pairs, got {fun_arg_list!r}")
    for index, pair in enumerate(fun_arg_list):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise TypeError(f"in_parallel()'s entry {index} must be a (function, arguments) pair, got {pair!r}")
        function, arguments = pair
        if not callable(function):
            raise TypeError(f"in_parallel()'s entry {index} needs a function, got {function!r}")
        if not isinstance(arguments, (list, tuple)):
            raise TypeError(
                f"in_parallel()'s entry {index} needs its arguments as a tuple or list, got {arguments!r}"
            )
