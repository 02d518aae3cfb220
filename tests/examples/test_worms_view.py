"""Sessions over real connections: keys, frames, slow visitors, the end."""

import socket
import struct

import pytest

import coro
from examples.telnet import (
    ARE_YOU_THERE,
    BREAK,
    DO,
    IAC,
    INTERRUPT_PROCESS,
    TIMING_MARK,
    WILL,
    WONT,
)
from examples.worms.terminal import Terminal
from examples.worms.view import FRAMES_PER_S, PATIENCE_S
from tests.examples.show import Show, at_a_show, number_of, status


def test_visitor_sees_the_arena_move_and_a_status_line() -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        before = visitor.terminal.lines()
        visitor.watch(1)
        after = visitor.terminal.lines()

        assert len(after) == 24
        assert sum(line.count("●") for line in after) > 5
        assert sum(one != other for one, other in zip(before, after, strict=True)) > 10
        assert " worms 50  sessions 1  frames " in status(visitor)
        assert status(visitor).endswith("? help")
        # What the terminal shows is what the session believes to show.
        assert [row[:79] for row in visitor.terminal.rows] == [
            row[:79] for row in show.view().window.screen._shown or []
        ]

    at_a_show(life)


def test_frames_come_at_their_rate_and_only_changes_are_sent() -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        received = 0
        receive = visitor.terminal.receive

        def count(data: bytes) -> None:
            nonlocal received
            received += len(data)
            receive(data)

        visitor.terminal.receive = count  # type: ignore[method-assign]
        before = number_of("frames", visitor)
        visitor.watch(10)

        assert number_of("frames", visitor) - before == pytest.approx(10 * FRAMES_PER_S, abs=3)
        assert "dropped" not in status(visitor)
        assert 10_000 < received < 10 * FRAMES_PER_S * 80 * 24 / 4

    at_a_show(life)


@pytest.mark.parametrize(
    ("keys", "worms"), [("+", 51), ("=", 51), ("-", 49), ("*", 150), ("/", 0), ("++-", 51), ("\r\n+\r\n", 51)]
)
def test_keys_add_and_cull_worms(keys: str, worms: int) -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        visitor.press(keys)
        visitor.watch(0.3)

        assert number_of("worms", visitor) == len(show.colony) == worms
        assert "session-1: " in status(visitor)
        visitor.watch(5)
        assert status(visitor).endswith("? help")

    at_a_show(life)


def test_keys_lengthen_shorten_hurry_and_slow() -> None:
    def life(show: Show) -> None:
        visitor = show.visit()

        def lengths() -> int:
            return sum(worm.wanted_length for worm in show.colony.threads)

        before = lengths()
        for key, difference in (("l", 150), ("s", 0), ("s", -150)):
            visitor.press(key)
            visitor.watch(0.2)
            assert lengths() - before == difference
        for key, speed in (("f", 2), ("h", 4), ("w", 2), ("w", 1), ("w", 0.5)):
            visitor.press(key)
            visitor.watch(0.2)
            assert show.colony.speed == speed
            assert f"speed x{speed:g} " in status(visitor)

    at_a_show(life)


def test_all_sessions_look_at_one_arena() -> None:
    def life(show: Show) -> None:
        one, other = show.visit(), show.visit()
        one.press("*")
        one.watch(0.3)
        other.watch(0.3)

        assert number_of("worms", one) == number_of("worms", other) == 150
        assert number_of("sessions", one) == number_of("sessions", other) == 2
        assert "session-1: 100 more" in status(other)
        names = [thread.name for thread in coro.all_threads.values()]
        assert {"session-1", "session-1 painter", "session-2", "session-2 painter", "worm-150-mint"} <= set(names)
        # The same moment of the arena, seen twice.
        views = list(show.sessions.open.values())
        assert views[0].window.compose(("", "")) == views[1].window.compose(("", ""))

    at_a_show(life)


@pytest.mark.parametrize(
    "farewell",
    [b"q", b"\x03", b"\x04", b"q" * 100_000, bytes((IAC, INTERRUPT_PROCESS)), bytes((IAC, BREAK)), None],
)
def test_leaving_gives_the_terminal_back(farewell: bytes | None) -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        assert not visitor.terminal.shows_cursor
        if farewell is None:
            visitor.connection.shutdown(socket.SHUT_WR)
        else:
            visitor.connection.send(farewell)

        assert not visitor.watch(5), "the server has not hung up"
        assert visitor.terminal.shows_cursor
        assert visitor.terminal.wraps
        assert visitor.terminal.lines() == [""] * 24
        visitor.connection.close()
        coro.sleep_relative(2)
        assert (len(show.sessions.open), len(show.server.connections)) == (0, 0)

    at_a_show(life)


def test_end_of_the_program_gives_the_terminal_back() -> None:
    terminal = Terminal()
    clients = []

    def life(show: Show) -> None:
        # No socket of the loop's: it is read when the loop has ended.
        clients.append(socket.create_connection(show.address))
        coro.sleep_relative(1)
        assert len(show.sessions.open) == 1

    at_a_show(life)

    with clients[0] as client:
        while data := client.recv(65536):
            terminal.receive(data.replace(bytes((IAC, 251, 1, IAC, 251, 3, IAC, 253, 31)), b""))
    assert terminal.shows_cursor
    assert terminal.lines() == [""] * 24


def test_visitor_who_is_reset_is_forgotten() -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        visitor.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        visitor.connection.close()
        coro.sleep_relative(1)

        assert (len(show.sessions.open), len(show.server.connections)) == (0, 0)
        assert not any("session" in thread.name for thread in coro.all_threads.values())

    at_a_show(life)


def test_visitor_who_does_not_read_slows_nobody_and_catches_up() -> None:
    def life(show: Show) -> None:
        show.colony.hurry(8)
        slow, quick = show.visit(), show.visit()
        slow_view, quick_view = show.sessions.open.values()
        quick.watch(20)

        assert slow_view.frames < quick_view.frames / 2
        assert quick_view.frames > 19 * FRAMES_PER_S
        assert quick_view.dropped == 0
        slow.watch(2)
        # Nothing old was kept for it: it is up to date at once, and knows what it has missed.
        assert slow_view.frames + slow_view.dropped == pytest.approx(quick_view.frames, abs=4 * FRAMES_PER_S)
        assert f" ({slow_view.dropped} dropped)  speed" in status(slow)
        assert slow_view.dropped > 100

    at_a_show(life, worms=100)


def test_visitor_who_never_reads_again_is_cut_off() -> None:
    def life(show: Show) -> None:
        show.colony.hurry(8)
        show.visit()
        coro.sleep_relative(10)
        assert len(show.sessions.open) == 1
        # The worms need not crawl on for what follows.
        show.colony.cull(len(show.colony))
        coro.sleep_relative(PATIENCE_S)

        assert (len(show.sessions.open), len(show.server.connections)) == (0, 0)

    at_a_show(life, worms=100)


def test_keys_are_obeyed_while_nothing_is_read() -> None:
    def life(show: Show) -> None:
        show.colony.hurry(8)
        visitor = show.visit()
        coro.sleep_relative(20)
        frames = show.view().frames
        coro.sleep_relative(2)
        assert show.view().frames == frames, "the painter should wait"

        before = len(show.colony)
        visitor.press("*")
        coro.sleep_relative(0.1)
        assert len(show.colony) > before + 90
        assert show.view().frames == frames

    at_a_show(life, worms=100)


def test_telnet_is_answered_between_frames() -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        visitor.connection.send(bytes((IAC, DO, TIMING_MARK, IAC, DO, 99)))
        received = b""
        with coro.timeout(2):
            while bytes((IAC, WILL, TIMING_MARK, IAC, WONT, 99)) not in received:
                received += visitor.connection.recv(4096)

    at_a_show(life)


def test_are_you_there_is_answered_with_a_whole_frame() -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        visitor.terminal.receive(b"\x1b[3;3Hsomebody else wrote this")
        visitor.connection.send(bytes((IAC, ARE_YOU_THERE)))
        visitor.watch(0.3)

        assert "somebody" not in "\n".join(visitor.terminal.lines())

    at_a_show(life)
