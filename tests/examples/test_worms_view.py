"""Sessions over real connections, under fake time: a second of watching costs a few milliseconds."""

import re
import socket
import struct
from collections.abc import Callable
from random import Random

import pytest

import coro
from coro import testing
from examples.telnet import (
    ARE_YOU_THERE,
    BREAK,
    DO,
    IAC,
    INTERRUPT_PROCESS,
    NAWS,
    SB,
    SE,
    TIMING_MARK,
    WILL,
    WONT,
)
from examples.worms.arena import Arena
from examples.worms.colony import Colony
from examples.worms.terminal import Terminal
from examples.worms.view import DEFAULT_SIZE, FRAMES_PER_S, PATIENCE_S, Sessions, View, attend
from examples.worms.visitor import Visitor

ARENA = (160, 50)


class Show:
    """A colony with a server, and what a test looks at."""

    def __init__(self, worms: int, size: tuple[int, int]) -> None:
        dice = Random(1)
        self.colony = Colony(Arena(*size, dice), dice)
        self.sessions = Sessions()
        self.visitors: list[Visitor] = []
        self.server = coro.tcp_server(("127.0.0.1", 0), attend, self.colony, self.sessions)
        self.colony.add(worms)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.address

    def visit(self, columns: int = 80, rows: int = 24) -> Visitor:
        """A visitor who has seen the first frames."""
        visitor = Visitor(self.address, columns, rows)
        self.visitors.append(visitor)
        assert visitor.watch(0.5)
        return visitor

    def view(self) -> View:
        """The youngest session's view."""
        return list(self.sessions.open.values())[-1]


def at_a_show(life: Callable[[Show], None], worms: int = 50, size: tuple[int, int] = ARENA) -> None:
    """Run `life(show)` in a thread."""

    def main() -> None:
        show = Show(worms, size)
        try:
            life(show)
        finally:
            show.server.close()
            for visitor in show.visitors:
                visitor.connection.close()

    testing.run(main)


def status(visitor: Visitor) -> str:
    return visitor.terminal.lines()[-1]


def number_of(what: str, visitor: Visitor) -> int:
    """A number from the status line."""
    found = re.search(rf"\b{what} (\d+)", status(visitor))
    assert found is not None, status(visitor)
    return int(found[1])


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
        assert [row[:79] for row in visitor.terminal.rows] == [row[:79] for row in show.view().screen._shown or []]

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
        assert {"session-1", "session-1 painter", "session-2", "session-2 painter", "worm-150"} <= set(names)
        # The same moment of the arena, seen twice.
        views = list(show.sessions.open.values())
        assert views[0].compose()[:-1] == views[1].compose()[:-1]

    at_a_show(life)


def test_pause_freezes_one_view_and_no_worm() -> None:
    def life(show: Show) -> None:
        still, moving = show.visit(), show.visit()
        still.press("p")
        still.watch(0.3)
        frozen, was = still.terminal.lines()[:-1], moving.terminal.lines()[:-1]
        still.watch(2)
        moving.watch(2)

        assert still.terminal.lines()[:-1] == frozen
        assert status(still).endswith("PAUSED")
        assert moving.terminal.lines()[:-1] != was
        # The frozen picture can be looked around in.
        still.press("L")
        still.watch(0.3)
        moved = still.terminal.lines()[:-1]
        assert [line[8:80].rstrip() for line in frozen] == [line[:72].rstrip() for line in moved]
        still.press("p")
        still.watch(0.3)
        assert not status(still).endswith("PAUSED")

    at_a_show(life)


@pytest.mark.parametrize(
    ("keys", "corner"),
    [
        ("c", (41, 14)),
        ("\x1b[C", (49, 14)),
        ("\x1bOC", (49, 14)),
        ("\x1b[D", (33, 14)),
        ("\x1b[A", (41, 10)),
        ("\x1b[B", (41, 18)),
        ("LLJ", (57, 18)),
        ("HHK", (25, 10)),
        ("H" * 50 + "K" * 50, (0, 0)),
        ("L" * 50 + "J" * 50, (162 - 80, 52 - 23)),
        ("L" * 50 + "c", (41, 14)),
    ],
)
def test_view_scrolls_over_the_arena_and_not_beyond(keys: str, corner: tuple[int, int]) -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        visitor.press(keys)
        visitor.watch(0.3)

        assert f"  {corner[0]},{corner[1]} of 160x50" in status(visitor)
        lines = visitor.terminal.lines()
        assert (lines[0] == "╔" + 79 * "═") == (corner == (0, 0))
        assert (lines[22] == 79 * "═" + "╝") == (corner == (82, 29))

    at_a_show(life)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (40, 10), (255, 100), (20, 5)])
def test_window_has_the_size_that_telnet_tells(size: tuple[int, int]) -> None:
    def life(show: Show) -> None:
        columns, rows = size
        visitor = show.visit(columns, rows)

        assert (show.view().screen.columns, show.view().screen.rows) == size
        assert status(visitor).startswith(" worms 50")
        # The logo's first row of stones is where the middle is.
        middle = [y for y, line in enumerate(visitor.terminal.lines()) if "▓" in line]
        assert middle[0] + middle[-1] in range(rows - 3, rows + 2)

    at_a_show(life)


def naws(columns: int, rows: int) -> bytes:
    size = struct.pack("!HH", columns, rows).replace(b"\xff", b"\xff\xff")
    return bytes((IAC, SB, NAWS)) + size + bytes((IAC, SE))


@pytest.mark.parametrize(
    ("told", "size"), [((0, 0), DEFAULT_SIZE), ((65535, 65535), (400, 120)), ((1, 1), (20, 5)), ((90, 0), (90, 24))]
)
def test_strange_window_sizes_are_mended(told: tuple[int, int], size: tuple[int, int]) -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        visitor.connection.send(naws(*told))
        visitor.terminal = Terminal(*size)
        visitor.watch(0.3)

        assert (show.view().screen.columns, show.view().screen.rows) == size
        assert status(visitor).startswith(" worms 50")

    at_a_show(life)


def test_view_larger_than_the_arena_shows_it_in_the_middle() -> None:
    def life(show: Show) -> None:
        visitor = show.visit()

        lines = visitor.terminal.lines()
        assert lines[7] == 29 * " " + "╔" + 20 * "═" + "╗"
        assert lines[15] == 29 * " " + "╚" + 20 * "═" + "╝"
        assert set(lines[:7] + lines[16:-1]) == {""}

    at_a_show(life, worms=3, size=(20, 7))


def test_help_covers_the_middle_until_it_is_asked_for_again() -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        for expected in (True, False):
            visitor.press("?")
            visitor.watch(0.3)
            text = "\n".join(visitor.terminal.lines())
            assert ("hurry (also h), slow down" in text) == expected

    at_a_show(life)


def test_plain_ascii_on_demand() -> None:
    def life(show: Show) -> None:
        visitor = show.visit()
        visitor.press("u")
        visitor.watch(0.3)
        assert "\n".join(visitor.terminal.lines()).isascii()
        assert any("@" in line for line in visitor.terminal.lines())
        visitor.press("u")
        visitor.watch(0.3)
        assert any("●" in line for line in visitor.terminal.lines())

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
