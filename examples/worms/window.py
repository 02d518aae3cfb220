"""A window on the arena: which part of it is seen, and as what.

It is as large as the visitor's terminal, less one line for the status, and can be moved over the arena; where the
arena is the smaller one, it stands in the middle.  Pure logic: it knows neither connections nor threads.
"""

from __future__ import annotations

from examples.worms.arena import Arena
from examples.worms.screen import ASCII_CELLS, BLANK, CELLS, HELP_STYLE, STATUS_STYLE, Row, Screen, text_row

DEFAULT_SIZE = (80, 24)
SMALLEST_SIZE, LARGEST_SIZE = (20, 5), (400, 120)

HELP = (
    "                                        ",
    "  +  -   a worm more, a worm less       ",
    "  *  /   a hundred more, a hundred less ",
    "  l  s   longer, shorter                ",
    "  f  w   hurry (also h), slow down      ",
    "                                        ",
    "  arrows or HJKL   move this view       ",
    "  c                back to the centre   ",
    "  p                pause this view      ",
    "  u                lines or plain ASCII ",
    "  q                leave                ",
    "                                        ",
)


class Window:
    """What one visitor sees.

    screen: the visitor's terminal.
    left, top: the square of the arena that stands in the upper left corner; the wall is at 0.
    """

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.screen = Screen(*DEFAULT_SIZE)
        self.left = self.top = 0
        self._cells = CELLS
        self._shows_help = False
        # A copy of the arena's rows while the window is paused.
        self._still: list[list[int]] | None = None
        self.centre()

    @property
    def is_paused(self) -> bool:
        """Whether it shows a moment of the past."""
        return self._still is not None

    def pause(self) -> None:
        """Freeze what is seen, or let it go on; the worms crawl on in any case."""
        self._still = None if self.is_paused else [row[:] for row in self.arena.rows]

    def toggle_help(self) -> None:
        """Show the keys, or hide them."""
        self._shows_help = not self._shows_help

    def toggle_ascii(self) -> None:
        """Draw with ASCII, for terminals that lack the lines, or with lines."""
        self._cells = CELLS if self._cells is ASCII_CELLS else ASCII_CELLS

    def scroll(self, columns: int, rows: int) -> None:
        """Move the window over the arena."""
        self.left = self._clamp(self.left + columns, self.screen.columns, self.arena.width + 2)
        self.top = self._clamp(self.top + rows, self.screen.rows - 1, self.arena.height + 2)

    def centre(self) -> None:
        """Look at the middle of the arena."""
        self.left = (self.arena.width + 2 - self.screen.columns) // 2
        self.top = (self.arena.height + 3 - self.screen.rows) // 2
        self.scroll(0, 0)

    def resize(self, columns: int, rows: int) -> None:
        """Make the window so large, within limits, around what is in its middle."""
        columns = min(max(columns, SMALLEST_SIZE[0]), LARGEST_SIZE[0])
        rows = min(max(rows, SMALLEST_SIZE[1]), LARGEST_SIZE[1])
        self.left += (self.screen.columns - columns) // 2
        self.top += (self.screen.rows - rows) // 2
        self.screen = Screen(columns, rows)
        self.scroll(0, 0)

    @staticmethod
    def _clamp(start: int, window: int, arena: int) -> int:
        """Where a window on an arena may start: within it, or around it if the window is the larger one."""
        return min(max(start, 0), arena - window) if arena > window else (arena - window) // 2

    def draw(self, status: tuple[str, str]) -> bytes:
        """What to send so that the visitor's terminal shows the arena as it is now, and this status."""
        return self.screen.draw(self.compose(status))

    def compose(self, status: tuple[str, str]) -> list[Row]:
        """The frame as it should be now: one moment of the arena."""
        columns, rows = self.screen.columns, self.screen.rows
        codes = self.arena.rows if self._still is None else self._still
        cells = self._cells
        before = [BLANK] * max(0, -self.left)
        frame: list[Row] = []
        for y in range(self.top, self.top + rows - 1):
            row = codes[y] if 0 <= y < len(codes) else []
            seen = [cells[code] for code in row[max(0, self.left) : self.left + columns]]
            frame.append(before + seen + [BLANK] * (columns - len(before) - len(seen)))
        if self._shows_help:
            self._overlay_help(frame)
        frame.append(text_row(fit(*status, columns), STATUS_STYLE, columns))
        return frame

    def _overlay_help(self, frame: list[Row]) -> None:
        left = max(0, (self.screen.columns - len(HELP[0])) // 2)
        top = max(0, (len(frame) - len(HELP)) // 2)
        for row, line in zip(frame[top:], HELP, strict=False):
            panel = text_row(line, HELP_STYLE, min(len(line), self.screen.columns - left))
            row[left : left + len(panel)] = panel


def fit(left: str, right: str, columns: int) -> str:
    """One line of two texts; the left one is cut if there is no room for both."""
    room = columns - len(right)
    return left[: max(0, room - 1)].ljust(room) + right
