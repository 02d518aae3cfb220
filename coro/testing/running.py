"""Running a test's body under fake time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from coro.loop import loop
from coro.poller import default_poller
from coro.runtime import run as run_in_loop
from coro.scheduler import scheduler
from coro.testing.clock import FakeClock
from coro.testing.poller import FakePoller

__all__ = ["fake_time", "run"]

T = TypeVar("T")


@contextmanager
def fake_time(*, real_descriptors: bool = True) -> Iterator[FakeClock]:
    """Give loops that start inside the `with` block a fake clock, which the block gets.

    real_descriptors: True lets real sockets and pipes work; False has a poller in memory only, whose deadlocks
        raise NothingWillHappen.
    Raises RuntimeError when a loop is running.
    """
    if loop.running:
        raise RuntimeError("fake_time() cannot change the clock of a running loop")
    clock = FakeClock()
    former_clock, former_factory = scheduler.clock, loop.poller_factory
    scheduler.clock = clock
    scheduler.now = clock()
    loop.poller_factory = lambda: FakePoller(clock, default_poller() if real_descriptors else None)
    try:
        yield clock
    finally:
        scheduler.clock = former_clock
        scheduler.now = former_clock()
        loop.poller_factory = former_factory


def run(function: Callable[..., T], *args: Any, real_descriptors: bool = True, **kwargs: Any) -> T:
    """As coro.run(), under fake time: sleeping costs nothing, and every run takes the same course.

    real_descriptors: as for fake_time().
    """
    with fake_time(real_descriptors=real_descriptors):
        return run_in_loop(function, *args, **kwargs)
