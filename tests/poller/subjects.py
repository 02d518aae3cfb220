"""The pollers that the contract tests are run with, and what the tests ask of them."""

import errno
import os
import select
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from coro.poller import Poller
from coro.poller.base import URGENT
from coro.poller.epoll import EpollPoller
from coro.poller.kqueue import KqueuePoller
from coro.testing import FakeClock, FakePoller
from tests.poller.reference import PollPoller

ON_LINUX = hasattr(select, "epoll")
if ON_LINUX:
    # The simulation stands on Linux's epoll.
    from tests.poller.kevents import FREEBSD, MACOS, OPENBSD, Dialect
    from tests.poller.simulated_kqueue import Kernel

LIMIT_NS = 5_000_000_000

Pair = tuple[socket.socket, socket.socket]


@dataclass(frozen=True, slots=True)
class Subject:
    """A poller under test, and what may be asked of it.

    another: makes one more such poller.
    clock: the clock that its waits are measured with.
    is_kqueue: it sorts hang-ups in another way, and says with every READ that there may be urgent data.
    """

    poller: Poller
    another: Callable[[], Poller]
    clock: Callable[[], int] = time.monotonic_ns
    is_kqueue: bool = False

    def poll(self, timeout_ns: int | None = 0) -> dict[int, int]:
        """What one poll reports: key to events, without URGENT where that comes with every READ."""
        ready: dict[int, int] = {}
        for key, events in self.poller.poll(timeout_ns):
            ready[key] = ready.get(key, 0) | (events & ~URGENT if self.is_kqueue else events)
        return ready


def _real(another: Callable[[], Poller], *, is_kqueue: bool = False) -> Callable[[], Subject]:
    return lambda: Subject(another(), another, is_kqueue=is_kqueue)


def _fake() -> Subject:
    clock = FakeClock()

    def another() -> Poller:
        return FakePoller(clock, EpollPoller())

    return Subject(another(), another, clock)


def _simulated(dialect: "Dialect") -> Callable[[], Subject]:
    return _real(lambda: KqueuePoller(Kernel(dialect)), is_kqueue=True)


SUBJECTS: dict[str, Callable[[], Subject]] = {}
if ON_LINUX:
    SUBJECTS |= {
        "epoll": _real(EpollPoller),
        "fake over epoll": _fake,
        "kqueue as FreeBSD's": _simulated(FREEBSD),
        "kqueue as OpenBSD's": _simulated(OPENBSD),
        "kqueue as macOS's": _simulated(MACOS),
        "reference": _real(PollPoller),
    }
if hasattr(select, "kqueue"):
    SUBJECTS["kqueue"] = _real(KqueuePoller, is_kqueue=True)


def all_but(name: str) -> pytest.MarkDecorator:
    """Leave out the poller that cannot do what the test asks for."""
    return pytest.mark.parametrize("subject", [other for other in SUBJECTS if other != name], indirect=True)


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


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return False
    return True


def in_child(check: Callable[[], bool]) -> bool:
    """Whether `check()` is true in a forked child."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if check() else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def closed_number() -> int:
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number
