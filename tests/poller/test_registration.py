"""The contract of pollers: add(), rearm(), remove(), and what they refuse."""

import errno
import os
import socket
import tempfile

import pytest

from coro.poller.base import READ, WRITE
from tests.poller.subjects import (
    Pair,
    Subject,
    closed_number,
    drain,
    fill,
    not_kqueue,
    not_reference,
)


def test_add_reports_present_readiness(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())

    assert subject.poll() == {pair[0].fileno(): READ | WRITE}


def test_add_reports_what_comes_later(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    assert subject.poll() == {pair[0].fileno(): WRITE}
    pair[1].send(b"x")

    assert subject.poll()[pair[0].fileno()] & READ


def test_added_descriptor_that_nobody_touches_is_reported_once(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    assert subject.poll()

    assert [subject.poll() for _ in range(3)] == [{}, {}, {}]


def test_descriptor_that_was_drained_is_reported_when_it_is_ready_again(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    subject.poll()
    drain(pair[0])
    assert subject.poll() == {}
    pair[1].send(b"y")

    assert subject.poll()[pair[0].fileno()] & READ


@not_reference
def test_descriptor_that_was_drained_and_is_ready_again_between_two_polls_is_reported(
    subject: Subject, pair: Pair
) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    subject.poll()
    drain(pair[0])
    pair[1].send(b"y")

    assert subject.poll()[pair[0].fileno()] & READ


def test_full_descriptor_is_reported_when_there_is_room_again(subject: Subject, pair: Pair) -> None:
    fill(pair[0])
    subject.poller.add(pair[0].fileno())
    assert subject.poll() == {}
    drain(pair[1])

    assert subject.poll() == {pair[0].fileno(): WRITE}


def test_adding_again_reports_present_readiness_again(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    subject.poll()
    subject.poller.add(pair[0].fileno())

    assert subject.poll() == {pair[0].fileno(): READ | WRITE}


def test_number_that_came_back_while_a_duplicate_kept_it_registered_can_be_added(
    subject: Subject, pair: Pair
) -> None:
    number = pair[0].fileno()
    subject.poller.add(number)
    subject.poll()
    duplicate = os.dup(number)
    os.close(number)
    os.dup2(duplicate, number)
    pair[1].send(b"x")
    try:
        subject.poller.add(number)

        assert subject.poll()[number] == READ | WRITE
    finally:
        os.close(duplicate)


def test_number_that_means_another_descriptor_now_can_be_added(subject: Subject, pair: Pair) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as former:
        number = former.fileno()
        subject.poller.add(number)
        subject.poll()
        os.dup2(pair[0].fileno(), number)
        pair[1].send(b"x")
        subject.poller.add(number)

        assert subject.poll()[number] == READ | WRITE


def test_more_descriptors_than_one_poll_reports_are_all_reported(subject: Subject) -> None:
    pairs = [socket.socketpair() for _ in range(1100)]
    try:
        numbers = {sock.fileno() for both in pairs for sock in both}
        for number in numbers:
            subject.poller.add(number)
        reported: set[int] = set()
        for _ in range(5):
            reported |= set(subject.poll())

        assert reported == numbers
        assert subject.poll() == {}
    finally:
        for both in pairs:
            for sock in both:
                sock.close()


def test_rearm_reports_present_readiness_again(subject: Subject, pair: Pair) -> None:
    pair[1].send(b"x")
    subject.poller.add(pair[0].fileno())
    subject.poll()
    for _ in range(2):
        subject.poller.rearm(pair[0].fileno(), READ)

        assert subject.poll()[pair[0].fileno()] & READ


@pytest.mark.parametrize("events", [READ, WRITE, READ | WRITE])
def test_rearm_registers_and_reports_what_is_asked_for_only(subject: Subject, pair: Pair, events: int) -> None:
    pair[1].send(b"x")
    subject.poller.rearm(pair[0].fileno(), events)

    assert subject.poll() == {pair[0].fileno(): events}
    assert subject.poll() == {}


def test_rearm_of_what_is_not_ready_reports_it_when_it_is(subject: Subject, pair: Pair) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    assert subject.poll() == {}
    pair[1].send(b"x")

    assert subject.poll() == {pair[0].fileno(): READ}


def test_removed_descriptor_is_not_reported(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    subject.poller.rearm(pair[1].fileno(), READ)
    subject.poller.remove(pair[0].fileno())
    subject.poller.remove(pair[1].fileno())
    pair[0].send(b"x")
    pair[1].send(b"x")

    assert subject.poll() == {}


def test_removing_what_is_not_there_is_ignored(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    subject.poller.remove(pair[0].fileno())
    subject.poller.remove(pair[0].fileno())
    subject.poller.remove(closed_number())
    with tempfile.TemporaryFile() as file:
        subject.poller.remove(file.fileno())


def test_descriptor_that_was_closed_is_not_reported_and_can_be_removed(subject: Subject) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        number = ours.fileno()
        subject.poller.add(number)
        ours.close()

        assert subject.poll() == {}
        subject.poller.remove(number)


def test_removed_descriptor_can_be_added_again(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    subject.poller.remove(pair[0].fileno())
    subject.poller.add(pair[0].fileno())

    assert subject.poll() == {pair[0].fileno(): WRITE}


def test_closed_descriptor_is_refused(subject: Subject) -> None:
    for change in (subject.poller.add, lambda fd: subject.poller.rearm(fd, READ)):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            change(closed_number())
        assert caught.value.errno == errno.EBADF
    assert subject.poll() == {}


@not_kqueue
def test_regular_file_is_refused(subject: Subject) -> None:
    with tempfile.TemporaryFile() as file:
        with pytest.raises(PermissionError):
            subject.poller.add(file.fileno())
        with pytest.raises(PermissionError):
            subject.poller.rearm(file.fileno(), READ)
    assert subject.poll() == {}
