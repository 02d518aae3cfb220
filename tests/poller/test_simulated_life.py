"""The simulation of kqueue(2): what ends a registration, and the queue.

Each docstring says what the manuals say.
"""

import os
import socket

import pytest

from tests.poller.filters import EVFILT_READ, EVFILT_WRITE
from tests.poller.kevents import EV_ADD, EV_CLEAR, EV_DELETE, EV_ENABLE, FREEBSD, MACOS
from tests.poller.queues import Queue
from tests.poller.simulated_kqueue import Kqueue
from tests.poller.subjects import Pair, in_child, is_open


def test_closing_a_descriptor_drops_its_events(queue: Queue, pair: Pair) -> None:
    """close(2) removes the events that refer to the descriptor."""
    number = pair[0].fileno()
    queue.change(number, EVFILT_WRITE)
    pair[0].close()

    assert queue.events() == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        queue.change(number, EVFILT_WRITE, EV_DELETE)


def test_duplicate_keeps_no_event_alive(queue: Queue, pair: Pair) -> None:
    """Events belong to the number: a duplicate of the descriptor neither has them nor keeps them."""
    number = pair[0].fileno()
    duplicate = os.dup(number)
    try:
        queue.change(number, flags=EV_ADD | EV_CLEAR)
        with pytest.raises(FileNotFoundError):
            queue.change(duplicate, flags=EV_DELETE)
        pair[0].close()
        pair[1].send(b"x")

        assert queue.events() == []
    finally:
        os.close(duplicate)


def test_number_that_means_something_else_has_no_events(queue: Queue, pair: Pair) -> None:
    number = pair[0].fileno()
    queue.change(number, EVFILT_READ, EV_ADD | EV_CLEAR)
    duplicate = os.dup(number)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            os.dup2(other.fileno(), number)
        pair[1].send(b"to the duplicate")
        assert queue.events() == []
        with pytest.raises(FileNotFoundError):
            queue.change(number, flags=EV_ENABLE)
    finally:
        os.close(duplicate)


def test_number_whose_file_came_back_has_no_events_once_the_queue_is_told(queue: Queue, pair: Pair) -> None:
    number = pair[0].fileno()
    queue.change(number, EVFILT_WRITE, EV_ADD | EV_CLEAR)
    duplicate = os.dup(number)
    os.close(number)
    os.dup2(duplicate, number)
    os.close(duplicate)
    queue.kernel.closed_number(number)

    assert queue.events() == []
    with pytest.raises(FileNotFoundError):
        queue.change(number, EVFILT_WRITE, EV_ENABLE)


def test_closed_queue_refuses_everything(queue: Queue) -> None:
    number = queue.kernel.fileno()
    queue.kernel.close()
    queue.kernel.close()

    assert queue.kernel.closed
    with pytest.raises(ValueError, match="closed kqueue"):
        queue.events()
    with pytest.raises(ValueError, match="closed kqueue"):
        queue.kernel.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_forked_child_does_not_inherit_the_queue(queue: Queue, pair: Pair) -> None:
    """The number is free in the child; the parent's queue is untouched."""
    queue.change(pair[0].fileno(), EVFILT_WRITE)
    number = queue.kernel.fileno()

    assert in_child(lambda: not is_open(number))
    assert len(queue.events()) == 1


def test_python_knows_of_the_fork_from_3_12_1_on() -> None:
    queue = Kqueue(FREEBSD)

    def refuses() -> bool:
        try:
            queue.control(None, 1, 0)
        except ValueError:
            return queue.closed
        return False

    assert in_child(refuses)
    queue.close()


def test_older_python_closes_whatever_got_the_number() -> None:
    queue = Kqueue(MACOS)
    number = queue.fileno()

    def hits_a_stranger() -> bool:
        while (stranger := os.open(os.devnull, os.O_RDONLY)) < number:
            continue
        assert stranger == number
        queue.close()
        return not is_open(number)

    assert in_child(hits_a_stranger)
    queue.close()
