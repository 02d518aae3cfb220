"""A connection that the loop and the sentinel share: who has the claim is left alone."""

from __future__ import annotations

import socket

import coro
import coro.testing
from coro.backdoor.connection import Connection
from coro.backdoor.peers import Peer

PEER = Peer("unix", 1, 1, 1, (), "unix")


def test_a_socket_is_not_closed_while_the_claim_is_taken() -> None:
    def main() -> None:
        ours, theirs = socket.socketpair()
        connection = Connection(ours, PEER, 1)
        connection.claim.acquire()
        connection.close()
        coro.sleep_relative(0.01)
        # Its number is not free for another connection.
        assert connection.closed and ours.fileno() >= 0
        connection.claim.release()
        coro.sleep_relative(0.01)
        assert ours.fileno() < 0
        connection.close()
        theirs.close()

    coro.run(main)


def test_a_socket_is_closed_at_once_when_nobody_is_at_it() -> None:
    def main() -> None:
        ours, theirs = socket.socketpair()
        Connection(ours, PEER, 1).close()
        assert ours.fileno() < 0
        theirs.close()

    coro.testing.run(main)


def test_silence_is_settled_by_one_only() -> None:
    ours, theirs = socket.socketpair()
    connection = Connection(ours, PEER, 1)
    theirs.sendall(b"GE")
    connection.receive()
    with connection.claim:
        assert not connection.settle(connection.inbound.silence)
        assert connection.inbound.language is None
    assert connection.settle(connection.inbound.silence)
    assert connection.inbound.language == "text"
    connection.close()
    theirs.close()
