"""What a test asks for by its mark `coro`, and which tests can be given it."""

from __future__ import annotations

import inspect
import unittest
from dataclasses import dataclass, fields
from typing import Any, NoReturn

import pytest

__all__ = ["MARK", "Options", "options_of"]

MARK = "coro"
_LEFTOVERS = ("fail", "shutdown", "allow")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the mark.

    fake_clock: whether the loop has a fake clock, as coro.testing.run().
    real_descriptors: whether real descriptors work under the fake clock.
    timeout: seconds by the loop's clock for the test, and for each set-up and clean-up of its fixtures; None for no
        limit.
    leftovers: "fail" fails a test that leaves something behind; "shutdown" shuts its threads down first, and fails
        it if that does not end them or something else is left; "allow" looks at nothing.
    """

    fake_clock: bool = False
    real_descriptors: bool = True
    timeout: float | None = None
    leftovers: str = "fail"


def options_of(item: pytest.Item) -> Options | None:
    """The options of a marked test; None for one that is not marked.

    A mark of a class or module holds for its tests; what a test's own mark says goes before.
    Fails the test, with an explanation, if it cannot run as a thread or if its mark asks for what there is not.
    """
    marks = list(item.iter_markers(MARK))
    if not marks:
        return None
    _refuse_what_cannot_run(item)
    known = [field.name for field in fields(Options)]
    wanted: dict[str, Any] = {}
    for mark in reversed(marks):
        if mark.args:
            _refuse(f"takes keyword arguments only, got {', '.join(map(repr, mark.args))}")
        for name in mark.kwargs:
            if name not in known:
                _refuse(f"has no option {name!r}; it has {', '.join(known)}")
        wanted.update(mark.kwargs)
    options = Options(**wanted)
    _check(options)
    return options


def _refuse_what_cannot_run(item: pytest.Item) -> None:
    if not isinstance(item, pytest.Function):
        _refuse(f"is for test functions; this is a {type(item).__name__}")
    if item.cls is not None and issubclass(item.cls, unittest.TestCase):
        _refuse(
            f"is not for {item.cls.__name__}, a unittest.TestCase, which runs its tests itself: make it a plain "
            "class, or call coro.testing.run() in the test",
        )
    function = inspect.unwrap(item.obj)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        _refuse(
            "is for plain functions; this is an `async def`: threads of coro block instead of awaiting, so write "
            "`def`, or take the mark away for an asyncio plugin to run it",
        )


def _check(options: Options) -> None:
    for name in ("fake_clock", "real_descriptors"):
        value = getattr(options, name)
        if not isinstance(value, bool):
            _refuse(f"needs True or False as {name}, got {value!r}")
    if not options.real_descriptors and not options.fake_clock:
        _refuse("needs fake_clock=True where real_descriptors=False")
    timeout = options.timeout
    if timeout is not None and (
        not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not 0 < timeout < float("inf")
    ):
        _refuse(f"needs more than 0 seconds or None as timeout, got {timeout!r}")
    if options.leftovers not in _LEFTOVERS:
        _refuse(f"needs one of {', '.join(map(repr, _LEFTOVERS))} as leftovers, got {options.leftovers!r}")


def _refuse(why: str) -> NoReturn:
    pytest.fail(f"the mark {MARK!r} {why}", pytrace=False)
