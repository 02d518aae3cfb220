"""The pytest plugin: tests that are marked `coro` run in a thread, in a loop of their own.

    @pytest.mark.coro(fake_clock=True)
    def test_the_cache_forgets_after_an_hour(): ...

The test itself and its function-scoped fixtures, their clean-up included, run in one thread of one loop.  Wider
fixtures, and all that pytest does, run outside of it, while the loop stands still.  When the last of it has been
cleaned up, the loop ends, and what is left over fails the test.

`pytest_coro` loads this when it meets the first marked test.  Nothing here touches tests without the mark.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from coro.testing.clock import FakeClock
from coro.testing.marked import options_of
from coro.testing.running_test import RunningTest

__all__ = ["fake_clock", "pytest_fixture_setup", "pytest_pyfunc_call", "pytest_runtest_setup"]

# pytest's own fixtures that hold nothing of the loop's and no descriptor: nobody waits for their clean-up.
_HOLD_NOTHING = frozenset(("caplog", "capsys", "capsysbinary", "monkeypatch", "recwarn", "tmp_path", "tmpdir"))

# The test whose loop is open; there is one loop in a process.
_running: RunningTest | None = None


def fake_clock() -> FakeClock | None:
    """The fake clock of the test that runs; None if it has none."""
    return None if _running is None else _running.loop.clock


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse what cannot run as a thread, before any of its fixtures is made."""
    options_of(item)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Make the function-scoped fixtures of a marked test in its thread."""
    __tracebackhide__ = True
    if fixturedef.scope != "function":
        if _running is None:
            return (yield)
        # A wider fixture that a test asks for in its course: what it holds is not the test's.
        with _running.making_something_wider():
            return (yield)
    test = _test_of(request.node)
    if test is None:
        return (yield)
    former: Callable[..., Any] = fixturedef.func
    former_addfinalizer = fixturedef.addfinalizer
    is_pytests = str(getattr(former, "__module__", "")).startswith("_pytest.")
    holds_nothing = is_pytests and fixturedef.argname in _HOLD_NOTHING

    def addfinalizer(finalizer: Callable[[], object]) -> None:
        test.has_clean_up = test.has_clean_up or not holds_nothing
        former_addfinalizer(finalizer)

    fixturedef.func = _made_in_thread(test, _bound(former, request.instance))  # type: ignore[misc]
    fixturedef.addfinalizer = addfinalizer  # type: ignore[method-assign]
    try:
        return (yield)
    finally:
        fixturedef.func = former  # type: ignore[misc]
        del fixturedef.addfinalizer


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a marked test in its thread."""
    __tracebackhide__ = True
    test = _test_of(pyfuncitem)
    if test is None:
        return (yield)
    function = pyfuncitem.obj

    @functools.wraps(function)
    def run_in_thread(**arguments: Any) -> Any:
        __tracebackhide__ = True
        return test.call(functools.partial(function, **arguments), "call")

    pyfuncitem.obj = run_in_thread
    try:
        result = yield
    finally:
        pyfuncitem.obj = function
    if not test.has_clean_up:
        test.end("call")
    return result


def _test_of(item: pytest.Item) -> RunningTest | None:
    """The running test, which begins now if it has not; None without the mark."""
    global _running
    if _running is not None and _running.item is item:
        return _running
    options = options_of(item)
    if options is None:
        return None
    _running = RunningTest(item, options, _has_ended)
    return _running


def _has_ended() -> None:
    global _running
    _running = None


def _bound(function: Callable[..., Any], instance: object) -> Callable[..., Any]:
    """A fixture that is a method, bound to the instance that its test runs on."""
    owner = getattr(function, "__self__", None)
    if instance is not None and owner is not None and isinstance(instance, type(owner)):
        return function.__func__.__get__(instance)  # type: ignore[attr-defined,no-any-return]
    return function


def _made_in_thread(test: RunningTest, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function like a fixture's, which runs in the thread of the test."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        # Somebody else's, or an error that pytest reports.
        return function
    if not inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def make(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return test.call(functools.partial(function, *args, **kwargs), "setup")

        return make

    @functools.wraps(function)
    def make_and_clean_up(*args: Any, **kwargs: Any) -> Iterator[Any]:
        __tracebackhide__ = True
        generator = function(*args, **kwargs)
        phase = "setup"
        # pytest itself complains of a fixture that yields never, or twice.
        while values := test.call(functools.partial(_next_of, generator), phase):
            phase = "teardown"
            yield values[0]

    return make_and_clean_up


def _next_of(generator: Iterator[Any]) -> tuple[Any, ...]:
    """What a generator yields next, as a tuple of one; () at its end."""
    __tracebackhide__ = True
    for value in generator:
        return (value,)
    return ()
