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
    not_reference,
    poll_for,
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
def test_new_data_behind_unread_data_is_reported(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    pair[1].send(b"x")
    subject.poll()
    pair[1].send(b"y")

    assert subject.poll()[pair[0].fileno()] & READ


@not_reference
def test_listening_socket_is_reported_for_each_connection(subject: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        subject.poller.add(server.fileno())
        assert not subject.poll().get(server.fileno(), 0) & READ
        for _ in range(2):
            # The first is still in the backlog when the second comes.
            with socket.create_connection(server.getsockname()):
                assert poll_for(subject, server.fileno(), READ) & READ


def test_all_that_is_ready_comes_in_one_poll(subject: Subject) -> None:
    pairs = [socket.socketpair() for _ in range(20)]
    try:
        for ours, theirs in pairs:
            theirs.send(b"x")
            subject.poller.add(ours.fileno())

        assert subject.poll() == {ours.fileno(): READ | WRITE for ours, _ in pairs}
    finally:
        for both in pairs:
            for sock in both:
                sock.close()


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


@pytest.mark.parametrize("first", ["add", READ, WRITE])
@pytest.mark.parametrize("second", ["add", READ, WRITE])
def test_second_registration_of_an_open_file_is_told_from_the_first(
    subject: Subject, pair: Pair, first: str | int, second: str | int
) -> None:
    assert register(subject, pair[0].fileno(), first) is False
    assert register(subject, pair[0].fileno(), second) is True
    subject.poll()
    assert register(subject, pair[0].fileno(), second) is True
    subject.poller.remove(pair[0].fileno())
    assert register(subject, pair[0].fileno(), second) is False


@pytest.mark.parametrize("first", ["add", READ, WRITE])
@pytest.mark.parametrize("second", ["add", READ, WRITE])
@pytest.mark.parametrize("duplicated", [False, True])
def test_number_that_was_closed_behind_the_pollers_back_and_reused_is_not_known(
    subject: Subject, pair: Pair, first: str | int, second: str | int, duplicated: bool
) -> None:
    former, peer = socket.socketpair()
    number = former.fileno()
    register(subject, number, first)
    subject.poll()
    duplicate = former.dup() if duplicated else None
    former.close()
    if duplicate is not None:
        peer.send(b"for the duplicate")
    os.dup2(pair[0].fileno(), number)
    try:
        assert register(subject, number, second) is False
        got = subject.poll()
        # Epoll may also report what the duplicate is ready for: harmless, for readiness only ever means "try".
        if second != READ:
            assert got[number] & WRITE
        if second != WRITE:
            pair[1].send(b"x")
            assert poll_for(subject, number, READ) & READ
    finally:
        os.close(number)
        peer.close()
        if duplicate is not None:
            duplicate.close()


def register(subject: Subject, number: int, how: str | int) -> bool:
    return subject.poller.add(number) if isinstance(how, str) else subject.poller.rearm(number, how)


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


@pytest.mark.parametrize("path", [__file__, os.path.dirname(__file__)])
def test_file_is_refused(subject: Subject, path: str) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        refuses(subject, number)
    finally:
        os.close(number)


@not_reference
def test_device_that_cannot_be_polled_is_refused(subject: Subject) -> None:
    number = os.open(os.devnull, os.O_RDWR)
    try:
        refuses(subject, number)
    finally:
        os.close(number)


def refuses(subject: Subject, number: int) -> None:
    with pytest.raises(PermissionError):
        subject.poller.add(number)
    for events in (READ, WRITE, READ | WRITE):
        with pytest.raises(PermissionError):
            subject.poller.rearm(number, events)
    assert subject.poll() == {}
    subject.poller.remove(number)
