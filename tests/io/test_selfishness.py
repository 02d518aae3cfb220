"""Selfishness: how many operations a thread may do at once before the others get their turn.

Shrapnel's rule: every immediate operation spends one act; an operation begun with none left yields first, gets
its acts back, then spends one.
"""

import itertools
import select
import socket
from collections.abc import Callable
from typing import Any

import pytest

import coro
from coro import testing
from tests.io.pairs import Own, datagram_pair, let_run, stream_pair

OPERATIONS: dict[str, Callable[[coro.sock], Any]] = {
    "send": lambda sock: sock.send(b"x"),
    "write": lambda sock: sock.write(b"x"),
    "sendall": lambda sock: sock.sendall(b"x"),
    "sendmsg": lambda sock: sock.sendmsg([b"x"]),
    "writev": lambda sock: sock.writev([b"x", b"y"]),
    "recv": lambda sock: sock.recv(1),
    "read": lambda sock: sock.read(1),
    "recv with a flag": lambda sock: sock.recv(1, socket.MSG_PEEK),
    "recv at once": lambda sock: sock.recv(1, socket.MSG_DONTWAIT),
    "recv_exact": lambda sock: sock.recv_exact(1),
    "recv_into": lambda sock: sock.recv_into(bytearray(1)),
    "recvfrom": lambda sock: sock.recvfrom(1),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(1)),
    "recvmsg": lambda sock: sock.recvmsg(1),
    "readv": lambda sock: sock.readv([1]),
}


class Turns:
    """A thread that counts its turns for as long as there are any."""

    def __init__(self) -> None:
        self.count = 0
        self.thread = coro.spawn(self.run)

    def run(self) -> None:
        while True:
            self.count += 1
            coro.yield_slice()


def pair_with_bytes(own: Own) -> coro.sock:
    """A socket that has bytes to read, and room to write; a thread begins to do both with it."""
    left, right = stream_pair("unix", own)
    right.send(b"y" * 1000)
    me = coro.current()
    # As at the beginning.
    me.set_max_selfish_acts(me.max_selfish_acts)
    return left


def turns_after_each(operation: Callable[[], Any], count: int) -> list[int]:
    """How many turns another thread has had before each operation returned."""
    other = Turns()
    seen = []
    for _ in range(count):
        operation()
        seen.append(other.count)
    other.thread.shutdown()
    return seen


@pytest.mark.parametrize("name", OPERATIONS)
def test_others_have_their_turn_after_the_4th_the_8th_and_the_12th_operation(name: str, own: Own) -> None:
    def main() -> list[int]:
        sock = pair_with_bytes(own)
        return turns_after_each(lambda: OPERATIONS[name](sock), 14)

    assert testing.run(main) == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 2


def test_datagrams_are_sent_by_the_same_rule(own: Own) -> None:
    def main() -> list[int]:
        left, right = datagram_pair("udp", own)
        me = coro.current()
        me.set_max_selfish_acts(4)
        return turns_after_each(lambda: left.sendto(b"x", right.getsockname()), 9)

    assert testing.run(main) == [0] * 4 + [1] * 4 + [2]


def test_accepting_follows_the_same_rule(own: Own) -> None:
    def main() -> list[int]:
        listener = own(coro.tcp_sock())
        listener.bind(("127.0.0.1", 0))
        listener.listen(20)
        for _ in range(9):
            own(socket.create_connection(listener.getsockname()))
        coro.current().set_max_selfish_acts(4)
        return turns_after_each(lambda: own(listener.accept()[0]), 9)

    assert testing.run(main) == [0] * 4 + [1] * 4 + [2]


def test_acts_belong_to_the_thread_not_to_the_socket(own: Own) -> None:
    def main() -> list[int]:
        first, second = pair_with_bytes(own), pair_with_bytes(own)
        operations = iter([lambda: first.recv(1), lambda: second.send(b"x")] * 5)
        return turns_after_each(lambda: next(operations)(), 10)

    assert testing.run(main) == [0] * 4 + [1] * 4 + [2] * 2


@pytest.mark.parametrize("limit", [1, 2, 7, 32768])
def test_the_limit_is_settable(limit: int, own: Own) -> None:
    def main() -> list[int]:
        sock = pair_with_bytes(own)
        assert coro.current().set_max_selfish_acts(limit) == 4
        return turns_after_each(lambda: sock.recv(1), 20)

    assert testing.run(main) == [count // limit for count in range(20)]


def test_another_thread_changes_the_limit_live(own: Own) -> None:
    def main() -> None:
        sock = pair_with_bytes(own)
        seen: list[int] = []
        other = Turns()

        def reads() -> None:
            for _ in range(24):
                sock.recv(1)
                seen.append(other.count)

        def changes() -> None:
            # In its first turn, after the 4th operation.
            assert reader.set_max_selfish_acts(10) == 4

        reader = coro.spawn(reads)
        coro.spawn(changes)
        reader.join()
        other.thread.shutdown()
        turns = [later - earlier for earlier, later in itertools.pairwise(seen)]
        assert [index + 1 for index, count in enumerate(turns) if count] == [4, 14]

    testing.run(main)


def test_setting_the_maximum_gives_all_acts_back(own: Own) -> None:
    def main() -> list[int]:
        sock = pair_with_bytes(own)
        other = Turns()
        seen = []
        for number in range(8):
            if number == 3:
                coro.current().set_max_selfish_acts(4)
            sock.recv(1)
            seen.append(other.count)
        other.thread.shutdown()
        return seen

    assert testing.run(main) == [0] * 7 + [1]


def test_default_limit_is_for_new_threads(own: Own) -> None:
    def main() -> None:
        sock = pair_with_bytes(own)
        assert coro.set_selfishness(2) == 4
        assert turns_after_each(lambda: sock.recv(1), 5) == [0] * 4 + [1]
        younger = coro.spawn(turns_after_each, lambda: sock.recv(1), 5)
        assert younger.result() == [0, 0, 1, 1, 2]

    testing.run(main)


def test_wait_that_really_blocks_gives_all_acts_back(own: Own) -> None:
    def main() -> list[int]:
        left, right = stream_pair("unix", own)

        def reads() -> list[int]:
            seen = []
            for _ in range(3):
                left.send(b"x")
            # One act is left; this one waits.
            left.recv(1)
            other = Turns()
            for _ in range(6):
                left.send(b"x")
                seen.append(other.count)
            other.thread.shutdown()
            return seen

        reader = coro.spawn(reads)
        let_run()
        right.send(b"y")
        return reader.result()

    # No turn is spent on the wait itself: four operations, then others.
    assert testing.run(main) == [0] * 4 + [1] * 2


def test_wait_for_read_gives_all_acts_back(own: Own) -> None:
    def main() -> list[int]:
        sock = pair_with_bytes(own)
        for _ in range(3):
            sock.recv(1)
        sock.wait_for_read()
        return turns_after_each(lambda: sock.recv(1), 6)

    assert testing.run(main) == [0] * 4 + [1] * 2


def test_thread_that_yields_selfishly_can_be_interrupted_and_loses_no_bytes(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)
        right.send(b"abcdefgh")
        found: list[bytes] = []

        def reads() -> None:
            while True:
                found.append(left.recv(1))

        reader = coro.spawn(reads)
        coro.yield_slice()
        assert found == [b"a", b"b", b"c", b"d"]
        reader.shutdown()
        reader.join()
        assert left.recv(100) == b"efgh"

    testing.run(main)


def test_timeout_reaches_a_thread_that_a_peer_floods(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("unix", own)

        def floods() -> None:
            while True:
                right.send(b"x" * 1000)

        def drinks() -> None:
            while True:
                left.recv(10)

        flood = coro.spawn(floods)
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(0.05, drinks)
        flood.shutdown()
        flood.join()

    coro.run(main)


def test_a_busy_pair_does_not_starve_a_timer_or_another_socket(own: Own) -> None:
    def main() -> None:
        left, right = stream_pair("tcp", own)

        def plays(one: coro.sock) -> None:
            while data := one.recv(100):
                one.send(data)

        players = [coro.spawn(plays, one) for one in (left, right)]
        left.send(b"ball")
        quiet, other = stream_pair("unix", own)
        reader = coro.spawn(quiet.recv, 10)
        for _ in range(20):
            coro.sleep_relative(0.001)
        other.send(b"hello")
        assert reader.result(5) == b"hello"
        for player in players:
            player.shutdown()
            player.join()
        assert select.select([], [left], [], 0)[1]

    coro.run(main)
