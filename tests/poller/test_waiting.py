"""The contract of pollers: how long poll() waits, what ends it, and close()."""

import gc
import os
import signal
import threading
import time
from types import FrameType

import pytest

from coro.loop import LONGEST_POLL_NS
from coro.poller.base import READ, WRITE
from tests.poller.subjects import LIMIT_NS, Pair, Subject, in_child, is_open, not_fake, poll_for


@pytest.mark.parametrize("timeout_ns", [1, 1_000, 999_999, 1_000_000, 1_000_001, 1_900_000, 20_000_001])
def test_poll_waits_no_shorter_than_its_timeout(subject: Subject, pair: Pair, timeout_ns: int) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    before = subject.clock()

    assert subject.poll(timeout_ns) == {}
    assert timeout_ns <= subject.clock() - before < timeout_ns + LIMIT_NS


def test_poll_of_zero_does_not_wait(subject: Subject, pair: Pair) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    before = time.monotonic_ns()
    for _ in range(50):
        assert subject.poll(0) == {}

    assert time.monotonic_ns() - before < LIMIT_NS / 10


@pytest.mark.parametrize("timeout_ns", [None, LIMIT_NS * 1000, LONGEST_POLL_NS])
def test_poll_does_not_wait_for_what_is_ready(subject: Subject, pair: Pair, timeout_ns: int | None) -> None:
    subject.poller.add(pair[0].fileno())
    before = subject.clock()

    assert subject.poll(timeout_ns) == {pair[0].fileno(): WRITE}
    assert subject.clock() - before < LIMIT_NS


@not_fake
@pytest.mark.parametrize("timeout_ns", [None, LIMIT_NS * 2])
def test_poll_ends_when_something_becomes_ready(subject: Subject, pair: Pair, timeout_ns: int | None) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    sender = threading.Timer(0.02, pair[1].send, (b"x",))
    before = time.monotonic_ns()
    sender.start()
    try:
        assert subject.poll(timeout_ns) == {pair[0].fileno(): READ}
    finally:
        sender.join()
    assert time.monotonic_ns() - before < LIMIT_NS


def test_signal_does_not_make_poll_fail(subject: Subject, pair: Pair) -> None:
    handled: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        handled.append(number)

    subject.poller.rearm(pair[0].fileno(), READ)
    former = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        deadline = time.monotonic_ns() + LIMIT_NS
        while len(handled) < 3 and time.monotonic_ns() < deadline:
            assert subject.poll(10_000_000) == {}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)

    assert len(handled) >= 3


@not_fake
def test_exception_of_a_signal_handler_leaves_poll(subject: Subject, pair: Pair) -> None:

    def handler(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    subject.poller.rearm(pair[0].fileno(), READ)
    former = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        with pytest.raises(KeyboardInterrupt):
            subject.poll(LIMIT_NS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def test_closing_frees_what_the_poller_held(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    number = subject.poller.fileno()
    subject.poller.close()
    subject.poller.close()

    assert subject.poller.fileno() == -1
    if number >= 0:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


def test_closing_in_a_forked_child_closes_nothing_that_is_not_the_pollers(subject: Subject, pair: Pair) -> None:
    pollers = [subject.another()]
    pollers[0].add(pair[0].fileno())

    def strangers_live() -> bool:
        # They take the numbers that are free in the child.
        strangers = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
        poller = pollers.pop()
        poller.close()
        poller.close()
        assert poller.fileno() == -1
        # Nor does its finaliser.
        del poller
        gc.collect()
        return all(is_open(stranger) for stranger in strangers)

    assert in_child(strangers_live)
    pollers[0].close()


def test_forked_child_can_have_a_poller_of_its_own(subject: Subject, pair: Pair) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)

    def child_works() -> bool:
        subject.poller.close()
        own = subject.another()
        own.rearm(pair[0].fileno(), WRITE)
        return own.poll(0) == [(pair[0].fileno(), WRITE)]

    assert in_child(child_works)
    assert subject.poll() == {}
    pair[1].send(b"x")
    assert subject.poll() == {pair[0].fileno(): READ}


def test_pipe_that_another_os_thread_writes_to_again_and_again_ends_each_poll(subject: Subject) -> None:
    """What the loop's wake-up rests on: drained to the last byte, it is reported anew."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    subject.poller.rearm(reader, READ)
    try:
        for _ in range(20):
            assert subject.poll() == {}
            os_thread = threading.Thread(target=os.write, args=(writer, b"\0"))
            os_thread.start()
            os_thread.join()
            assert poll_for(subject, reader, READ) == READ
            assert os.read(reader, 100) == b"\0"
    finally:
        os.close(reader)
        os.close(writer)


def test_closing_leaves_a_parents_registrations_alone(subject: Subject, pair: Pair) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    pid = os.fork()
    if pid == 0:
        try:
            subject.poller.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    pair[1].send(b"x")

    assert subject.poll() == {pair[0].fileno(): READ}
