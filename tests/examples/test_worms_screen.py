"""What the screen says is what the terminal shows."""

from random import Random

import pytest

from examples.worms.arena import COLOUR_SHIFT, COLOURS
from examples.worms.screen import ASCII_CELLS, BEGIN, BLANK, CELLS, END, Row, Screen, text_row
from examples.worms.terminal import Terminal

COLUMNS, ROWS = 40, 10


def random_frame(dice: Random) -> list[Row]:
    return [[dice.choice(CELLS) if dice.random() < 0.2 else BLANK for _ in range(COLUMNS)] for _ in range(ROWS)]


def changed(frame: list[Row], dice: Random, count: int) -> list[Row]:
    """A frame that differs in some cells at most."""
    frame = [row[:] for row in frame]
    for _ in range(count):
        frame[dice.randrange(ROWS)][dice.randrange(COLUMNS)] = dice.choice(CELLS)
    return frame


@pytest.mark.parametrize("seed", range(5))
def test_terminal_shows_each_frame_however_the_bytes_are_cut(seed: int) -> None:
    dice = Random(seed)
    screen, terminal = Screen(COLUMNS, ROWS), Terminal(COLUMNS, ROWS)
    terminal.receive(BEGIN)
    frame = random_frame(dice)
    for number in range(50):
        if number == 25:
            terminal.receive(b"\x1b[5;5Hsomebody writes here")
            screen.forget()
        data = screen.draw(frame)
        while data:
            size = dice.randint(1, 20)
            terminal.receive(data[:size])
            data = data[size:]
        assert terminal.rows == frame
        frame = changed(frame, dice, dice.randint(0, 30))


def test_only_what_has_changed_is_sent() -> None:
    screen = Screen(COLUMNS, ROWS)
    frame = random_frame(Random(1))
    assert len(screen.draw(frame)) > 500

    assert screen.draw([row[:] for row in frame]) == b""
    frame = [row[:] for row in frame]
    frame[2][5:8] = [("31", "a"), ("31", "b"), ("32", "c")]
    assert screen.draw(frame) == b"\x1b[3;6H\x1b[0;31mab\x1b[0;32mc\x1b[0m"


def test_terminal_is_given_back_as_it_was() -> None:
    terminal = Terminal(COLUMNS, ROWS)
    terminal.receive(b"$ telnet\r\nTrying")
    before = terminal.lines()

    terminal.receive(BEGIN + Screen(COLUMNS, ROWS).draw(random_frame(Random(1))))
    assert terminal.lines() != before
    assert (terminal.shows_cursor, terminal.wraps) == (False, False)
    terminal.receive(END)

    assert terminal.lines() == before
    assert (terminal.shows_cursor, terminal.wraps) == (True, True)


def test_every_square_has_a_look_of_one_column() -> None:
    assert len(CELLS) == len(ASCII_CELLS) == (COLOURS + 1) << COLOUR_SHIFT
    assert all(len(char) == 1 and char.isprintable() for _, char in CELLS + ASCII_CELLS)
    assert all(char.isascii() for _, char in ASCII_CELLS)
    # A body's look tells its links apart, a worm's colour tells worms apart.
    assert len({CELLS[1 << COLOUR_SHIFT | links] for links in range(1, 16)}) == 15
    assert len({CELLS[colour << COLOUR_SHIFT | 5] for colour in range(1, COLOURS + 1)}) == COLOURS


def test_text_is_cut_and_filled_up() -> None:
    assert text_row("abc", "7", 2) == [("7", "a"), ("7", "b")]
    assert text_row("abc", "7", 4) == [("7", "a"), ("7", "b"), ("7", "c"), ("7", " ")]


def test_terminal_scrolls_and_wraps() -> None:
    terminal = Terminal(4, 2)
    terminal.receive(b"abcdef\r\ngh")

    assert terminal.lines() == ["ef", "gh"]


def test_terminal_keeps_what_has_scrolled_away() -> None:
    terminal = Terminal(4, 2)
    terminal.receive(b"a\r\nb\r\nc\r\n\x1b[?1049hx\r\ny\r\nz\r\n\x1b[?1049ld")

    assert ["".join(char for _, char in row).rstrip() for row in terminal.scrolled] == ["a", "b"]
    assert terminal.lines() == ["c", "d"]


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        (b"abc\x1b[2Dx", ["axc", "", ""]),
        (b"abc\x1b[9DX", ["Xbc", "", ""]),
        (b"a\x1b[Cb\x1b[99Cc", ["a b     c", "", ""]),
        (b"a\r\nb\x1b[Ac\x1b[5Bd", ["ac", "b", "  d"]),
        (b"abcdef\x1b[3Gx\x1b[K", ["abx", "", ""]),
        (b"abc\r\ndef\r\nghi\x1b[2;2H\x1b[J", ["abc", "d", ""]),
        (b"abc\b\bx", ["axc", "", ""]),
        (b"\x1b[?2004h\x1b[?1l\x1b[?12l\x1b=\x1b>a", ["a", "", ""]),
    ],
)
def test_terminal_moves_and_erases(keys: bytes, shown: list[str]) -> None:
    terminal = Terminal(9, 3)
    terminal.receive(keys)

    assert terminal.lines() == shown


@pytest.mark.parametrize(
    ("sequences", "colours"),
    [
        (b"\x1b[31m\x1b[1m", "1;31"),
        (b"\x1b[1;31m\x1b[39;49;00m", ""),
        (b"\x1b[1;31;44m\x1b[39m", "1;44"),
        (b"\x1b[0;38;5;231;48;5;24m", "38;5;231;48;5;24"),
        (b"\x1b[1;4m\x1b[22m", "4"),
        (b"\x1b[94m\x1b[m", ""),
    ],
)
def test_terminal_adds_up_colours(sequences: bytes, colours: str) -> None:
    terminal = Terminal(4, 1)
    terminal.receive(sequences + b"a")

    assert terminal.rows[0][0] == (colours, "a")


@pytest.mark.parametrize("sequence", [b"\x1b[5n", b"\x1b[?4h", b"\x1b[1J", b"\x1b[38;2;1;2;3m", b"\x1b[6m"])
def test_terminal_refuses_what_it_does_not_know(sequence: bytes) -> None:
    with pytest.raises(ValueError, match="this terminal does not know"):
        Terminal().receive(sequence)
