"""A terminal in memory: it takes the bytes that a program sends to a terminal, and shows what one would see.

It understands as much of ECMA-48 as screen.py says: printing, moving the cursor, clearing, colours, xterm's
second screen.  It checks the other side's work, so it shares nothing with it.
"""

from __future__ import annotations

import codecs
import re

Cell = tuple[str, str]
BLANK: Cell = ("", " ")

SEQUENCE = re.compile(r"\x1b\[([0-?]*)[ -/]*([@-~])")
BEGINNING = re.compile(r"\x1b(\[[0-?]*[ -/]*)?\Z")


class Terminal:
    """Rows of cells and a cursor.

    rows: what it shows, rows[y][x], each cell a pair of its colours and its character.
    x, y: where the cursor is, from 0.
    shows_cursor, wraps: modes 25 and 7.
    """

    def __init__(self, columns: int = 80, height: int = 24) -> None:
        self.columns = columns
        self.height = height
        self.rows = self._blank_rows()
        self.x = self.y = 0
        self.shows_cursor = self.wraps = True
        self._first_screen: list[list[Cell]] | None = None
        self._colours = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def receive(self, data: bytes) -> None:
        """Take in a piece of the stream, cut anywhere."""
        text = self._rest + self._decoder.decode(data)
        self._rest = ""
        at = 0
        while at < len(text):
            if sequence := SEQUENCE.match(text, at):
                at = sequence.end()
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
            case _ if char.isprintable():
                if self.x == self.columns:
                    if self.wraps:
                        self.x = 0
                        self._line_feed()
                    else:
                        self.x -= 1
                self.rows[self.y][self.x] = (self._colours, char)
                self.x += 1

    def _line_feed(self) -> None:
        if self.y < self.height - 1:
            self.y += 1
        else:
            self.rows = [*self.rows[1:], [BLANK] * self.columns]

    def _obey(self, command: str, parameters: str) -> None:
        match command:
            case "H":
                row, _, column = parameters.partition(";")
                self.y = min(max(int(row or 1), 1), self.height) - 1
                self.x = min(max(int(column or 1), 1), self.columns) - 1
            case "J" if parameters == "2":
                self.rows = self._blank_rows()
            case "m":
                # What follows a reset is the whole style.
                self._colours = parameters.removeprefix("0").removeprefix(";")
            case "h" | "l" if parameters.startswith("?"):
                self._set_mode(parameters[1:], command == "h")
            case _:
                raise ValueError(f"this terminal does not know the sequence ESC [ {parameters} {command}")

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
            case _:
                raise ValueError(f"this terminal does not know the mode {mode}")
