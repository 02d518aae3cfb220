"""The contract of pollers: hang-ups, errors and urgent data."""

import os
import socket
import struct
import time
from pathlib import Path

import pytest

from coro.poller.base import ERROR, HANGUP, READ, READ_HANGUP, URGENT, WRITE
from tests.poller.subjects import LIMIT_NS, Pair, Subject, fill, not_reference, poll_for


def test_peer_that_will_send_no_more(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    subject.poll()
    pair[1].shutdown(socket.SHUT_WR)

    got = poll_for(subject, pair[0].fileno(), READ | READ_HANGUP)
    assert not got & (HANGUP | ERROR)


def test_peer_that_will_send_no_more_is_reported_to_who_asked_for_reading(subject: Subject, pair: Pair) -> None:
    subject.poller.rearm(pair[0].fileno(), READ)
    assert subject.poll() == {}
    pair[1].shutdown(socket.SHUT_WR)

    poll_for(subject, pair[0].fileno(), READ | READ_HANGUP)


def test_hangup_is_reported_though_data_was_not_read_yet(subject: Subject, tcp_pair: Pair) -> None:
    subject.poller.add(tcp_pair[0].fileno())
    tcp_pair[1].send(b"x")
    poll_for(subject, tcp_pair[0].fileno(), READ)
    tcp_pair[1].shutdown(socket.SHUT_WR)

    poll_for(subject, tcp_pair[0].fileno(), READ_HANGUP)


@pytest.mark.parametrize("events", [READ, WRITE])
def test_hangup_is_reported_whatever_was_asked_for(subject: Subject, pair: Pair, events: int) -> None:
    fill(pair[0])
    subject.poller.rearm(pair[0].fileno(), events)
    assert subject.poll() == {}
    pair[1].close()

    got = poll_for(subject, pair[0].fileno(), HANGUP if events == WRITE or not subject.is_kqueue else READ_HANGUP)
    assert got & (READ | WRITE | HANGUP)


def test_connection_that_was_reset(subject: Subject, tcp_pair: Pair) -> None:
    subject.poller.add(tcp_pair[0].fileno())
    subject.poll()
    tcp_pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp_pair[1].close()

    poll_for(subject, tcp_pair[0].fileno(), READ | ERROR | HANGUP)


def test_connection_that_was_refused(subject: Subject) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = server.getsockname()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(address)
        subject.poller.add(sock.fileno())

        poll_for(subject, sock.fileno(), WRITE | ERROR)


def test_pipe_whose_writer_has_closed(subject: Subject) -> None:
    reader, writer = os.pipe()
    try:
        subject.poller.rearm(reader, READ)
        assert subject.poll() == {}
        os.close(writer)

        poll_for(subject, reader, READ_HANGUP if subject.is_kqueue else HANGUP)
    finally:
        os.close(reader)


def test_pipe_whose_reader_has_closed(subject: Subject) -> None:
    reader, writer = os.pipe()
    try:
        subject.poller.rearm(writer, WRITE)
        assert subject.poll() == {writer: WRITE}
        os.close(reader)

        poll_for(subject, writer, HANGUP if subject.is_kqueue else ERROR)
    finally:
        os.close(writer)


@pytest.mark.parametrize("register", ["add", "rearm"])
def test_pipe_whose_reader_had_closed_before_it_was_registered(subject: Subject, register: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        for _ in range(2):
            if register == "add":
                subject.poller.add(writer)
            else:
                subject.poller.rearm(writer, WRITE)
            assert subject.poll()[writer] & (HANGUP | ERROR)
        assert subject.poll() == {}
    finally:
        os.close(writer)


def test_pipe_whose_reader_had_closed_is_not_reported_once_it_was_removed(subject: Subject) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        subject.poller.rearm(writer, WRITE)
        subject.poller.remove(writer)
        assert subject.poll() == {}
    finally:
        os.close(writer)


def test_both_ends_of_a_pipe_can_be_added(subject: Subject) -> None:
    reader, writer = os.pipe()
    try:
        subject.poller.add(reader)
        subject.poller.add(writer)
        ready = subject.poll()
        assert ready[writer] == WRITE
        assert not ready.get(reader, 0) & READ
        os.write(writer, b"x")
        assert poll_for(subject, reader, READ) & READ
    finally:
        os.close(reader)
        os.close(writer)


def test_end_of_a_pipe_comes_with_what_is_left_to_read(subject: Subject) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"last")
        os.close(writer)
        subject.poller.rearm(reader, READ)
        got = subject.poll()[reader]
        assert got & READ
        assert got & (READ_HANGUP | HANGUP)
    finally:
        os.close(reader)


def test_fifo_whose_writer_left_is_reported_when_there_is_another(subject: Subject, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        subject.poller.rearm(reader, READ)
        os.close(os.open(tmp_path / "fifo", os.O_WRONLY))
        poll_for(subject, reader, READ_HANGUP if subject.is_kqueue else HANGUP)
        assert os.read(reader, 1) == b""
        writer = os.open(tmp_path / "fifo", os.O_WRONLY)
        # The reference sees only what it looks at.
        subject.poll()
        os.write(writer, b"x")
        assert poll_for(subject, reader, READ) & READ
        os.close(writer)
    finally:
        os.close(reader)


@pytest.mark.parametrize("events", [READ, WRITE, READ | WRITE])
def test_hangup_is_reported_each_time_that_it_is_asked_for(subject: Subject, pair: Pair, events: int) -> None:
    pair[1].close()
    for _ in range(3):
        subject.poller.rearm(pair[0].fileno(), events)
        assert subject.poll()[pair[0].fileno()] & (READ_HANGUP | HANGUP | ERROR)
    assert subject.poll() == {}


def test_own_half_close_leaves_reading_alone(subject: Subject, tcp_pair: Pair) -> None:
    number = tcp_pair[0].fileno()
    subject.poller.add(number)
    subject.poll()
    tcp_pair[0].shutdown(socket.SHUT_WR)
    assert not subject.poll().get(number, 0) & (READ | READ_HANGUP | ERROR)
    tcp_pair[1].send(b"x")
    assert poll_for(subject, number, READ) & READ
    assert tcp_pair[0].recv(10) == b"x"
    tcp_pair[1].close()
    poll_for(subject, number, READ_HANGUP)


@not_reference
def test_connection_that_comes_about_after_the_registration(subject: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.setblocking(False)
        subject.poller.add(sock.fileno())
        # Linux takes an unconnected socket for hung up.
        subject.poll()
        sock.connect_ex(server.getsockname())
        assert not poll_for(subject, sock.fileno(), WRITE) & ERROR
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_error_is_left_for_who_asks_for_it(subject: Subject, tcp_pair: Pair) -> None:
    subject.poller.add(tcp_pair[0].fileno())
    tcp_pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp_pair[1].close()
    poll_for(subject, tcp_pair[0].fileno(), ERROR)

    with pytest.raises(ConnectionResetError):
        tcp_pair[0].recv(1)


def test_urgent_data_is_told_of_no_later_than_the_data_before_its_mark(subject: Subject, tcp_pair: Pair) -> None:
    number = tcp_pair[0].fileno()
    subject.poller.add(number)
    subject.poller.poll(0)
    tcp_pair[1].send(b"before")
    tcp_pair[1].send(b"!", socket.MSG_OOB)
    tcp_pair[1].send(b"after")
    got = 0
    deadline = time.monotonic_ns() + LIMIT_NS
    while not got & URGENT:
        assert time.monotonic_ns() < deadline, f"only {got:#x} was reported"
        for key, events in subject.poller.poll(1_000_000):
            got |= events if key == number else 0

    assert tcp_pair[0].recv(100) == b"before"
