"""The pollers that the contract tests are run with, and what the tests ask of them."""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from coro.poller import Poller
from coro.poller.epoll import EpollPoller
from coro.poller.kqueue import KqueuePoller
from coro.testing import FakeClock, FakePoller
from tests.poller import simulated_kqueue
from tests.poller.reference import PollPoller

LIMIT_NS = 5_000_000_000

Pair = tuple[socket.socket, socket.socket]


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


def all_but(name: str) -> pytest.MarkDecorator:
    """Leave out the poller that cannot do what the test asks for."""
    return pytest.mark.parametrize("subject", [other for other in SUBJECTS if other != name], indirect=True)


# It takes regular files, and is not asked for urgent data.
not_kqueue = all_but("kqueue, simulated")
# It moves its clock instead of waiting.
not_fake = all_but("fake over epoll")
# It sees only what it looks at.
not_reference = all_but("reference")


def fill(sock: socket.socket) -> None:
    try:
        while True:
            sock.send(bytes(65536))
    except BlockingIOError:
        return


def drain(sock: socket.socket) -> None:
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return


def poll_for(subject: Subject, key: int, bits: int) -> int:
    """Poll until all of `bits` were reported for `key`; returns all that was."""
    got = 0
    deadline = time.monotonic_ns() + LIMIT_NS
    while got & bits != bits:
        assert time.monotonic_ns() < deadline, f"only {got:#x} of {bits:#x} was reported"
        got |= subject.poll(1_000_000).get(key, 0)
    return got


def closed_number() -> int:
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number
