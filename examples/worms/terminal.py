"""A terminal in memory: it takes the bytes that a program sends to a terminal, and shows what one would see.

It understands as much of ECMA-48 and xterm as screen.py and the console's line editor say: printing, moving the
cursor, erasing, colours, the second screen.  What it does not know it refuses, so that nothing is shown that a
real terminal would not show.  It checks the other side's work, so it shares nothing with it.
"""

from __future__ import annotations

import codecs
import re

Cell = tuple[str, str]
BLANK: Cell = ("", " ")

SEQUENCE = re.compile(r"\x1b(?:\[([0-?]*)[ -/]*([@-~])|[=>])")
BEGINNING = re.compile(r"\x1b(\[[0-?]*[ -/]*)?\Z")
# Set and reset without effect on what is shown: cursor keys, blinking, pasting in brackets.
INVISIBLE_MODES = ("1", "12", "2004")
# What SGR can put on besides colours: bold, dim, italic, underlined, reversed, struck out; and what takes it off.
ATTRIBUTES = ("1", "2", "3", "4", "7", "9")
TAKES_OFF = {"22": ("1", "2"), "23": ("3",), "24": ("4",), "27": ("7",), "29": ("9",)}


class Terminal:
    """Rows of cells and a cursor.

    rows: what it shows, rows[y][x], each cell a pair of its colours and its character.
    scrolled: the rows that have left it at the top, oldest first; those of the second screen are not kept.
    x, y: where the cursor is, from 0.
    shows_cursor, wraps: modes 25 and 7.
    """

    def __init__(self, columns: int = 80, height: int = 24) -> None:
        self.columns = columns
        self.height = height
        self.rows = self._blank_rows()
        self.scrolled: list[list[Cell]] = []
        self.x = self.y = 0
        self.shows_cursor = self.wraps = True
        self._first_screen: list[list[Cell]] | None = None
        self._pen = Pen()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def receive(self, data: bytes) -> None:
        """Take in a piece of the stream, cut anywhere.  Raises ValueError for what it does not know."""
        text = self._rest + self._decoder.decode(data)
        self._rest = ""
        at = 0
        while at < len(text):
            if sequence := SEQUENCE.match(text, at):
                at = sequence.end()
                # ESC = and ESC > are about keys.
                if sequence[2]:
                    self._obey(sequence[2], sequence[1])
            elif BEGINNING.match(text, at):
                self._rest = text[at:]
                return
            else:
                self._print(text[at])
                at += 1

    def lines(self) -> list[str]:
        """What it shows, as text, blanks at the ends of lines left out."""
        return ["".join(char for _, char in row).rstrip() for row in self.rows]

    def coloured_lines(self) -> list[str]:
        """What it shows, for a terminal with colours."""
        return ["".join(f"\x1b[0;{colours}m{char}" for colours, char in row) + "\x1b[0m" for row in self.rows]

    def _blank_rows(self) -> list[list[Cell]]:
        return [[BLANK] * self.columns for _ in range(self.height)]

    def _print(self, char: str) -> None:
        match char:
            case "\r":
                self.x = 0
            case "\n":
                self._line_feed()
            case "\b":
                self.x = max(0, self.x - 1)
            case _ if char.isprintable():
                if self.x == self.columns:
                    if self.wraps:
                        self.x = 0
                        self._line_feed()
                    else:
                        self.x -= 1
                self.rows[self.y][self.x] = (self._pen.colours, char)
                self.x += 1

    def _line_feed(self) -> None:
        if self.y < self.height - 1:
            self.y += 1
        else:
            if self._first_screen is None:
                self.scrolled.append(self.rows[0])
            self.rows = [*self.rows[1:], [BLANK] * self.columns]

    def _obey(self, command: str, parameters: str) -> None:
        match command:
            case "H":
                row, _, column = parameters.partition(";")
                self._move_to(int(column or 1) - 1, int(row or 1) - 1)
            case "A" | "B":
                self._move_to(self.x, self.y + int(parameters or 1) * (1 if command == "B" else -1))
            case "C" | "D":
                self._move_to(self.x + int(parameters or 1) * (1 if command == "C" else -1), self.y)
            case "G":
                self._move_to(int(parameters or 1) - 1, self.y)
            case "J" if parameters == "2":
                self.rows = self._blank_rows()
            case "J" | "K" if parameters in ("", "0"):
                self._erase(to_end_of_screen=command == "J")
            case "m":
                self._pen.choose(parameters)
            case "h" | "l" if parameters.startswith("?"):
                self._set_mode(parameters[1:], command == "h")
            case _:
                raise ValueError(f"this terminal does not know the sequence ESC [ {parameters} {command}")

    def _move_to(self, x: int, y: int) -> None:
        self.x = min(max(x, 0), self.columns - 1)
        self.y = min(max(y, 0), self.height - 1)

    def _erase(self, *, to_end_of_screen: bool) -> None:
        """Erase from the cursor to the end of the line, or of the screen."""
        self.rows[self.y][self.x :] = [BLANK] * (self.columns - self.x)
        if to_end_of_screen:
            self.rows[self.y + 1 :] = self._blank_rows()[self.y + 1 :]

    def _set_mode(self, mode: str, on: bool) -> None:
        match mode:
            case "7":
                self.wraps = on
            case "25":
                self.shows_cursor = on
            case "1049" if on:
                self._first_screen = self.rows
                self.rows = self._blank_rows()
            case "1049":
                self.rows = self._first_screen or self.rows
                self._first_screen = None
            case _ if mode not in INVISIBLE_MODES:
                raise ValueError(f"this terminal does not know the mode {mode}")


class Pen:
    """The colours in which characters are printed.

    colours: as parameters of SGR (ECMA-48, 8.3.117) that set them after a reset; "" for none.
    """

    def __init__(self) -> None:
        self.colours = ""
        self._attributes: set[str] = set()
        self._foreground = self._background = ""

    def choose(self, parameters: str) -> None:
        """Change them by the parameters of one sequence.  Raises ValueError for what it does not know."""
        # ECMA-48 allows leading zeroes, and some write 00.
        left = [number.lstrip("0") or "0" for number in reversed(parameters.split(";"))]
        while left:
            number = left.pop()
            if number == "0":
                self._attributes.clear()
                self._foreground = self._background = ""
            elif number in ATTRIBUTES:
                self._attributes.add(number)
            elif number in TAKES_OFF:
                self._attributes.difference_update(TAKES_OFF[number])
            else:
                self._choose_colour(number, left)
        self.colours = ";".join(filter(None, [*sorted(self._attributes), self._foreground, self._background]))

    def _choose_colour(self, number: str, left: list[str]) -> None:
        """One of the sixteen, one of the 256, or the default one."""
        tens, ones = divmod(int(number), 10)
        if ones == 8 and left[-1:] == ["5"]:
            number = ";".join((number, left.pop(), left.pop()))
        elif ones == 8 or tens not in (3, 4, 9, 10):
            raise ValueError(f"this terminal does not know the colour {number}")
        if ones == 9:
            number = ""
        if tens in (3, 9):
            self._foreground = number
        else:
            self._background = number
