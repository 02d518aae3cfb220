"""What waits unread in a socket is understood, and not taken out of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from coro.backdoor.connection import READ_SIZE_BYTES, Connection
from coro.backdoor.peeking import cancel_typed, interrupt_ahead, interrupts_typed
from coro.backdoor.peers import Peer

PEER = Peer("tcp", None, None, None, (), "127.0.0.1:40312")
# telnet: a window of 80 columns and 3 lines, IP, BREAK.
WINDOW_3_HIGH = b"\xff\xfb\x1f\xff\xfa\x1f\x00\x50\x00\x03\xff\xf0"
IP, BREAK = b"\xff\xf4", b"\xff\xf3"


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    ours, theirs = socket.socketpair()
    connection = Connection(ours, PEER, 1)
    yield connection, theirs
    connection.close()
    theirs.close()


def say(pair: tuple[Connection, socket.socket], first: bytes, unread: bytes) -> Connection:
    """A connection that has read `first`, and has `unread` waiting."""
    connection, theirs = pair
    theirs.sendall(first)
    while connection.received_bytes < len(first):
        connection.receive()
    connection.backlog.clear()
    theirs.sendall(unread)
    return connection


def ahead(connection: Connection) -> int | None:
    return interrupt_ahead(connection, lambda: None)


@pytest.mark.parametrize("keys", [b"\x03", IP, BREAK])
def test_interrupts_are_counted_and_stay_in_the_socket(pair: tuple[Connection, socket.socket], keys: bytes) -> None:
    connection = say(pair, b"1 + 1\n", b"waits\n" + keys + b"x" + keys)
    assert interrupts_typed(connection) == 2
    assert interrupts_typed(connection) == 2
    assert ahead(connection) == 6
    assert connection.sock.recv(100) == b"waits\n" + keys + b"x" + keys


@pytest.mark.parametrize("unread", [WINDOW_3_HIGH, b"\xf3\xb0\x80\x80\n", b"", b"plain\n"])
def test_bytes_that_look_like_an_interrupt_are_none(pair: tuple[Connection, socket.socket], unread: bytes) -> None:
    connection = say(pair, b"1 + 1\n", unread)
    assert interrupts_typed(connection) == 0
    assert ahead(connection) is None


def test_an_interrupt_whose_first_byte_was_read_already_is_seen(pair: tuple[Connection, socket.socket]) -> None:
    connection = say(pair, b"1 + 1\n\xff", b"\xf4")
    assert interrupts_typed(connection) == 1
    assert ahead(connection) == 7


def test_what_comes_before_the_last_interrupt_is_told_in_whole_reads(
    pair: tuple[Connection, socket.socket],
) -> None:
    lines = b"x = 1\n" * 2000
    connection = say(pair, b"1 + 1\n", b"\x03" + lines + b"\x03more\n" * 2)
    before = ahead(connection)
    assert before is not None
    assert (before - 6) % READ_SIZE_BYTES == 0
    # It lies in the read that follows.
    assert 0 <= 6 + len(lines) + 7 - before < READ_SIZE_BYTES


def test_an_interrupt_that_is_parsed_already_comes_first(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    theirs.sendall(b"1 + 1\n\x03")
    connection.receive()
    assert interrupts_typed(connection) == 1
    assert ahead(connection) == connection.received_bytes == 7


def test_one_looks_away_while_another_has_the_claim(pair: tuple[Connection, socket.socket]) -> None:
    connection = say(pair, b"1 + 1\n", b"\x03")
    with connection.claim:
        assert ahead(connection) is None
    assert ahead(connection) == 6


def test_the_reader_breathes_between_the_pieces(pair: tuple[Connection, socket.socket]) -> None:
    connection = say(pair, b"1 + 1\n", b"x\n" * 5000 + b"\x03")
    breaths: list[None] = []
    assert interrupt_ahead(connection, lambda: breaths.append(None)) is not None
    assert len(breaths) == 3
    assert not connection.claim.locked()


def test_only_the_cancel_of_this_request_counts(pair: tuple[Connection, socket.socket]) -> None:
    request = b'{"jsonrpc": "2.0", "method": "cancel", "params": {"id": 7}}\n'
    connection = say(pair, b'{"jsonrpc": "2.0", "id": 7, "method": "eval"}\n', request)
    assert cancel_typed(connection, 7)
    assert not cancel_typed(connection, 8)
    assert not cancel_typed(connection, None)
    assert connection.sock.recv(100) == request
