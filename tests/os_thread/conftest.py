"""OS threads of the pool end with the test that used them."""

import threading
from collections.abc import Iterator

import pytest

import coro
from coro.loop import loop
from coro.os_thread import default_pool
from tests.os_thread.waiting import bring_to_rest


@pytest.fixture(autouse=True)
def no_idle_os_threads() -> Iterator[None]:
    yield
    assert loop.outside_calls == 0
    bring_to_rest(default_pool)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that blocked calls wait for; open at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def notified() -> Iterator[list[tuple[str, BaseException]]]:
    """The (thread's name, exception) pairs that the exception notifier got."""
    got: list[tuple[str, BaseException]] = []
    former = coro.set_exception_notifier(lambda thread, error: got.append((thread.name, error)))
    yield got
    coro.set_exception_notifier(former)
