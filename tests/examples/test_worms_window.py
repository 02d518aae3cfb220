"""What of the arena a visitor sees, through a real connection."""

import struct

import pytest

from examples.telnet import (
    IAC,
    NAWS,
    SB,
    SE,
)
from examples.worms.terminal import Terminal
from examples.worms.window import DEFAULT_SIZE
from tests.examples.show import Show, at_a_show, status


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

        assert (show.view().window.screen.columns, show.view().window.screen.rows) == size
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

        assert (show.view().window.screen.columns, show.view().window.screen.rows) == size
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
