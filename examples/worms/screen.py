"""Frames, and the bytes that turn one into the next on a terminal.

A frame is a list of rows of cells, and a cell is a pair: a style (the parameters of the escape sequence that
sets colours) and one character.  A Screen remembers what the terminal shows and sends only the cells that have
changed: of 1840 squares in a window, a hundred or so per frame.

The escape sequences are those that every terminal has understood since the VT100: ECMA-48, and xterm's 256
colours.
"""

from __future__ import annotations

from examples.worms.arena import COLOUR_SHIFT, COLOURS, HEAD, STONE

Cell = tuple[str, str]
Row = list[Cell]

PLAIN = ""
BLANK: Cell = (PLAIN, " ")
WALL_STYLE = "38;5;240"
STONE_STYLE = "38;5;250"
STATUS_STYLE = "38;5;231;48;5;24"
HELP_STYLE = "38;5;231;48;5;236"

# A worm's colour, of xterm's 256: bright ones, around the wheel.
WORM_STYLES = [f"38;5;{n}" for n in (203, 209, 215, 221, 191, 119, 84, 86, 81, 111, 141, 212)]
assert len(WORM_STYLES) == COLOURS

# By links: 1 north, 2 east, 4 south, 8 west.
LINES = " ╵╶╰╷│╭├╴╯─┴╮┤┬┼"
WALLS = " ║═╚║║╔╠═╝═╩╗╣╦╬"
ASCII_WALLS = " |-+||++-+-+++++"

# Another screen of the terminal's, no cursor, no line wrap; and everything back as it was.
BEGIN = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J"
END = b"\x1b[0m\x1b[2J\x1b[H\x1b[?7h\x1b[?25h\x1b[?1049l"


def _cell_of(code: int, is_ascii: bool) -> Cell:
    """What a square of the arena looks like."""
    colour, links = code >> COLOUR_SHIFT, code & 15
    if colour:
        if code & HEAD:
            return f"1;{WORM_STYLES[colour - 1]}", "@" if is_ascii else "●"
        return WORM_STYLES[colour - 1], "o" if is_ascii else LINES[links]
    if code == STONE:
        return STONE_STYLE, "#" if is_ascii else "▓"
    return (WALL_STYLE, (ASCII_WALLS if is_ascii else WALLS)[links]) if code else BLANK


# Cells by code, so that a view is a slice of the arena's rows looked up here.
CELLS = [_cell_of(code, False) for code in range((COLOURS + 1) << COLOUR_SHIFT)]
ASCII_CELLS = [_cell_of(code, True) for code in range((COLOURS + 1) << COLOUR_SHIFT)]


def text_row(text: str, style: str, columns: int) -> Row:
    """A row of text, cut or filled up with blanks to its width."""
    return [(style, char) for char in text[:columns].ljust(columns)]


class Screen:
    """What a terminal of this size shows, and how to change it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        # None: not known, so the next frame is drawn as a whole.
        self._shown: list[Row] | None = None

    def forget(self) -> None:
        """Somebody else may have written on the terminal: draw the next frame as a whole."""
        self._shown = None

    def draw(self, frame: list[Row]) -> bytes:
        """What to send to the terminal for it to show this frame; b"" if it does already."""
        parts = []
        if self._shown is None:
            parts.append("\x1b[0m\x1b[2J")
            self._shown = [[BLANK] * self.columns for _ in range(self.rows)]
        # The style in force; each frame begins and ends without one.
        style = PLAIN
        for y, (row, shown) in enumerate(zip(frame, self._shown, strict=True)):
            if row == shown:
                continue
            written_to = -1
            for x, cell in enumerate(row):
                if cell == shown[x]:
                    continue
                if x != written_to:
                    parts.append(f"\x1b[{y + 1};{x + 1}H")
                if cell[0] != style:
                    style = cell[0]
                    parts.append(f"\x1b[0;{style}m" if style else "\x1b[0m")
                parts.append(cell[1])
                written_to = x + 1
        self._shown = frame
        if style:
            parts.append("\x1b[0m")
        return "".join(parts).encode()
