"""The contract of pollers: hang-ups, errors and urgent data."""

import os
import socket
import struct

import pytest

from coro.poller.base import ERROR, HANGUP, READ, READ_HANGUP, URGENT, WRITE
from tests.poller.subjects import Pair, Subject, fill, not_kqueue, poll_for


def test_peer_that_will_send_no_more(subject: Subject, pair: Pair) -> None:
    subject.poller.add(pair[0].fileno())
    subject.poll()
    pair[1].shutdown(socket.SHUT_WR)

    got = poll_for(subject, pair[0].fileno(), READ | READ_HANGUP)
    assert not got & (HANGUP | ERROR)


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


@not_kqueue
def test_urgent_data_is_told_of(subject: Subject, tcp_pair: Pair) -> None:
    subject.poller.add(tcp_pair[0].fileno())
    subject.poll()
    tcp_pair[1].send(b"!", socket.MSG_OOB)

    poll_for(subject, tcp_pair[0].fileno(), URGENT)
