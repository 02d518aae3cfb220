"""The wake-up descriptor: readable after notify(), until drain()."""

import os
import select
import signal
import threading
from collections.abc import Iterator

import pytest

from coro.wakeup import Wakeup


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    made = Wakeup()
    yield made
    made.close()


def readable(wakeup: Wakeup, timeout_s: float = 0) -> bool:
    return bool(select.select([wakeup.fileno()], [], [], timeout_s)[0])


def test_notify_makes_it_readable_until_it_is_drained(wakeup: Wakeup) -> None:
    assert not readable(wakeup)
    wakeup.notify()
    assert readable(wakeup)
    assert readable(wakeup)
    wakeup.drain()
    assert not readable(wakeup)


def test_notify_never_blocks_and_drain_takes_in_all(wakeup: Wakeup) -> None:
    for _ in range(20_000):
        wakeup.notify()
    wakeup.drain()
    assert not readable(wakeup)
    wakeup.notify()
    assert readable(wakeup)


@pytest.mark.parametrize("count", [4095, 4096, 4097, 8192])
def test_drain_takes_in_any_number_of_bytes(wakeup: Wakeup, count: int) -> None:
    os.write(wakeup.signal_fileno(), bytes(count))
    wakeup.drain()

    assert not readable(wakeup)


def test_drain_of_nothing_returns(wakeup: Wakeup) -> None:
    wakeup.drain()

    assert not readable(wakeup)


def test_notify_from_another_os_thread_ends_a_wait(wakeup: Wakeup) -> None:
    notifier = threading.Timer(0.01, wakeup.notify)
    notifier.start()
    try:
        assert readable(wakeup, 10)
    finally:
        notifier.join()


def test_interpreters_signal_handler_writes_to_it(wakeup: Wakeup) -> None:
    former_handler = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    former_fd = signal.set_wakeup_fd(wakeup.signal_fileno(), warn_on_full_buffer=False)
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.set_wakeup_fd(former_fd)
        signal.signal(signal.SIGUSR1, former_handler)

    assert readable(wakeup)


def test_notify_after_close_does_nothing() -> None:
    wakeup = Wakeup()
    descriptors = wakeup.fileno(), wakeup.signal_fileno()
    wakeup.close()

    wakeup.notify()

    for fd in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
