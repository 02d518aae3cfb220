"""What the tests of sockets and servers share: pairs of connected ones, and an end for all of them."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

import coro
from coro import leftovers

T = TypeVar("T")


@pytest.fixture(autouse=True)
def settings_of_a_new_process() -> Iterator[None]:
    """Set the hooks and limits back to their defaults, before and after."""
    _set_defaults()
    yield
    _set_defaults()


def _set_defaults() -> None:
    coro.set_exception_notifier(None)
    coro.set_latency_warning(0)
    coro.set_selfishness(4)
    coro.set_exit_grace(leftovers.DEFAULT_GRACE_S)
    coro.set_print_exit_string(False)


@pytest.fixture
def own() -> Iterator[Callable[[T], T]]:
    """Give a function that takes a socket (or anything with close()) and closes it after the test."""
    owned: list[Any] = []

    def keep(thing: T) -> T:
        owned.append(thing)
        return thing

    yield keep
    for thing in reversed(owned):
        thing.close()


@pytest.fixture
def failures() -> Iterator[list[BaseException]]:
    """Collect what ends threads, instead of printing it; what is left in it fails the test."""
    found: list[BaseException] = []
    coro.set_exception_notifier(lambda thread, error: found.append(error))
    yield found
    coro.set_exception_notifier(None)
    assert not found
