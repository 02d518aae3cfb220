"""The pollers that the contract tests are run with."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from coro.poller import Poller
from coro.poller.epoll import EpollPoller
from coro.poller.kqueue import KqueuePoller
from coro.testing import FakeClock, FakePoller
from tests.poller import simulated_kqueue
from tests.poller.reference import PollPoller


@dataclass(frozen=True, slots=True)
class Subject:
    """A poller under test, and what may be asked of it.

    clock: the clock that its waits are measured with.
    is_kqueue: it sorts hang-ups in another way.
    """

    poller: Poller
    clock: Callable[[], int] = time.monotonic_ns
    is_kqueue: bool = False

    def poll(self, timeout_ns: int | None = 0) -> dict[int, int]:
        """What one poll reports: key to events."""
        ready: dict[int, int] = {}
        for key, events in self.poller.poll(timeout_ns):
            ready[key] = ready.get(key, 0) | events
        return ready


def _fake() -> Subject:
    clock = FakeClock()
    return Subject(FakePoller(clock, EpollPoller()), clock)


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "epoll": lambda: Subject(EpollPoller()),
    "fake over epoll": _fake,
    "kqueue, simulated": lambda: Subject(KqueuePoller(simulated_kqueue), is_kqueue=True),
    "reference": lambda: Subject(PollPoller()),
}


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    made = SUBJECTS[request.param]()
    yield made
    made.poller.close()
