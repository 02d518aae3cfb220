"""The tests of the core change what holds for the whole process; every test finds it as a new process would."""

import io
import socket
from collections.abc import Iterator

import pytest

import coro
from coro import leftovers
from coro import stderr as stderr_module
from coro.loop import loop
from coro.poller import default_poller
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.testing import FakePoller
from tests.core.pipes import Pipe
from tests.core.ticking import TickingClock


@pytest.fixture(autouse=True)
def settings_of_a_new_process() -> Iterator[None]:
    """Set the hooks and limits back to their defaults, before and after."""
    _set_defaults()
    yield
    _set_defaults()
    if loop.running:
        # The test that left it so has failed; those that follow need not.
        loop.close()


def _set_defaults() -> None:
    coro.set_exception_notifier(None)
    coro.set_latency_hook(None)
    coro.set_latency_warning(1)
    coro.set_selfishness(4)
    coro.set_exit_grace(leftovers.DEFAULT_GRACE_S)
    coro.set_print_exit_string(False)
    coro.install_signal_handlers = True


@pytest.fixture(autouse=True)
def failed_assertions_of_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in one of whose threads an assertion failed: its exception only ended the thread."""
    failures: list[BaseException] = []
    default_notifier = stderr_module.default_exception_notifier

    def notify(thread: ThreadState, error: BaseException) -> None:
        if isinstance(error, (AssertionError, pytest.fail.Exception)):
            failures.append(error)
        default_notifier(thread, error)

    monkeypatch.setattr(stderr_module, "default_exception_notifier", notify)
    yield
    if failures:
        raise failures[0]


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the runtime writes to the process's real stderr."""
    stream = io.StringIO()
    monkeypatch.setattr("coro.stderr.saved_stderr", stream)
    return stream


@pytest.fixture
def ticking_clock(monkeypatch: pytest.MonkeyPatch) -> TickingClock:
    """Have loops run by a clock that moves 1 µs with every reading: the same course in every run."""
    clock = TickingClock(1_000)
    monkeypatch.setattr(scheduler, "clock", clock)
    monkeypatch.setattr(scheduler, "now", clock())
    monkeypatch.setattr(loop, "poller_factory", lambda: FakePoller(clock, default_poller()))
    return clock


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        yield left, right
