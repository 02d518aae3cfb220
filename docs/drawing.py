"""Boxes, arrows and words as SVG, for the pictures of these pages.

A drawing has a background of its own and two sets of colours; the reader's browser chooses by
`prefers-color-scheme`.  Nothing is measured by a browser here, so words are taken to be as wide as those of a wide
common font, and a word that does not fit its box is an error when the picture is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Literal

__all__ = ["Box", "Drawing", "Point"]

Point = tuple[float, float]
Colour = Literal["plain", "blue", "green", "amber", "violet", "red"]
Side = Literal["left", "right", "top", "bottom"]

FONTS = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif"
MONOSPACED = "ui-monospace, 'SFMono-Regular', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
TITLE_PX, TEXT_PX, NOTE_PX = 15, 13, 12
# As wide as a character of DejaVu Sans is on average, and one of its monospaced sister, by the font's size.
WIDTH, WIDTH_BOLD, WIDTH_MONOSPACED = 0.57, 0.66, 0.61
HEAD_PX = 8


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours that go together.  boxes: of each the filling and the line."""

    ground: str
    word: str
    note: str
    boxes: dict[Colour, tuple[str, str]]


LIGHT = Theme(
    ground="#f6f8fa",
    word="#1f2328",
    note="#57606a",
    boxes={
        "plain": ("#ffffff", "#8c959f"),
        "blue": ("#ddf4ff", "#0969da"),
        "green": ("#dafbe1", "#1a7f37"),
        "amber": ("#fff8c5", "#9a6700"),
        "violet": ("#fbefff", "#8250df"),
        "red": ("#ffebe9", "#cf222e"),
    },
)
DARK = Theme(
    ground="#0d1117",
    word="#e6edf3",
    note="#9198a1",
    boxes={
        "plain": ("#161b22", "#6e7681"),
        "blue": ("#0c2d4d", "#58a6ff"),
        "green": ("#0f2d1a", "#3fb950"),
        "amber": ("#342608", "#d29922"),
        "violet": ("#2a1a45", "#bc8cff"),
        "red": ("#3c1418", "#ff7b72"),
    },
)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a drawing, in pixels from its top left corner."""

    x: float
    y: float
    width: float
    height: float

    def at(self, side: Side, share: float = 0.5) -> Point:
        """A point on one side; `share` of the way along it, from the left or from the top."""
        if side in ("top", "bottom"):
            return self.x + self.width * share, self.y + (self.height if side == "bottom" else 0)
        return self.x + (self.width if side == "right" else 0), self.y + self.height * share


@dataclass(slots=True)
class Drawing:
    """A picture that is being made: what is added later lies above."""

    width: int
    height: int
    title: str
    description: str
    _parts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, text: str, colour: Colour = "plain") -> Box:
        """A rounded box with centred words in it: the first line is its title, a line between backquotes is code.

        Raises ValueError if something does not fit.
        """
        title, *lines = text.split("\n")
        self._check_fit(width, height, title, lines)
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self._parts.append(f'<rect class="{colour}" {place} rx="8"/>')
        line_px = TEXT_PX + 5
        top = y + (height - TITLE_PX - len(lines) * line_px) / 2 + TITLE_PX - 2
        self._parts.append(_text(x + width / 2, top, title, "title"))
        for number, line in enumerate(lines, 1):
            self._parts.append(_text(x + width / 2, top + number * line_px, line, "word"))
        return Box(x, y, width, height)

    def frame(self, x: float, y: float, width: float, height: float, title: str) -> Box:
        """A dashed frame around other boxes, with its title in the upper left corner."""
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self._parts.append(f'<rect class="frame" {place} rx="10"/>')
        self._parts.append(_text(x + 14, y + 22, title, "title", "start"))
        return Box(x, y, width, height)

    def arrow(self, *points: Point, colour: Colour = "plain") -> None:
        """An arrow along straight lines; its corners are rounded."""
        *_, before, tip = points
        along = ((tip[0] - before[0]) ** 2 + (tip[1] - before[1]) ** 2) ** 0.5
        unit = ((tip[0] - before[0]) / along, (tip[1] - before[1]) / along)
        neck = (tip[0] - unit[0] * HEAD_PX, tip[1] - unit[1] * HEAD_PX)
        self._parts.append(f'<path class="line {colour}-line" d="{_path([*points[:-1], neck])}"/>')
        wing = (-unit[1] * HEAD_PX / 2, unit[0] * HEAD_PX / 2)
        head = [tip, (neck[0] + wing[0], neck[1] + wing[1]), (neck[0] - wing[0], neck[1] - wing[1])]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in head)
        self._parts.append(f'<polygon class="{colour}-head" points="{corners}"/>')

    def note(self, x: float, y: float, text: str, anchor: Literal["start", "middle", "end"] = "middle") -> None:
        """Small words, line below line; `y` is the first base line."""
        for number, line in enumerate(text.split("\n")):
            self._parts.append(_text(x, y + number * (NOTE_PX + 4), line, "note", anchor))

    def number(self, x: float, y: float, number: int) -> None:
        """A step's number, in a disc around (x, y)."""
        self._parts.append(f'<circle class="disc" cx="{x:g}" cy="{y:g}" r="10"/>')
        self._parts.append(_text(x, y + 4.5, str(number), "number"))

    def svg(self) -> str:
        """The whole picture, as the text of its file."""
        light, dark = "\n".join(_rules(LIGHT)), "\n".join(_rules(DARK))
        size = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">',
                "<!-- Made by docs/diagrams.py. Do not edit. -->",
                f'<title id="title">{escape(self.title)}</title>',
                f'<desc id="desc">{escape(self.description)}</desc>',
                f"<style>\ntext {{ font-family: {FONTS} }}\n{_SHAPES}\n{light}",
                f"@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n</style>",
                f'<rect class="ground" width="{self.width}" height="{self.height}" rx="12"/>',
                *self._parts,
                "</svg>\n",
            ]
        )

    def _check_fit(self, width: float, height: float, title: str, lines: list[str]) -> None:
        """Raise ValueError, which names the words, if they are wider or higher than their box."""
        widths = {title: len(title) * TITLE_PX * WIDTH_BOLD}
        for line in lines:
            widths[line] = len(line.strip("`")) * TEXT_PX * (WIDTH_MONOSPACED if line[0] == "`" else WIDTH)
        widest = max(widths, key=lambda line: widths[line])
        if widths[widest] > width - 8:
            raise ValueError(f"{self.title}: {widest!r} needs {widths[widest] + 8:.0f} px, its box has {width:g}")
        high = TITLE_PX + len(lines) * (TEXT_PX + 5) + 8
        if high > height:
            raise ValueError(f"{self.title}: box {title!r} needs a height of {high}, it has {height:g}")


_SHAPES = f"""\
text {{ text-anchor: middle }}
.start {{ text-anchor: start }}
.end {{ text-anchor: end }}
.title {{ font-size: {TITLE_PX}px; font-weight: 600 }}
.word {{ font-size: {TEXT_PX}px }}
.note {{ font-size: {NOTE_PX}px }}
.code {{ font-family: {MONOSPACED} }}
.number {{ font-size: {NOTE_PX}px; font-weight: 600 }}
.line {{ fill: none; stroke-width: 1.6 }}
.frame {{ fill: none; stroke-width: 1.2; stroke-dasharray: 5 4 }}"""


def _rules(theme: Theme) -> list[str]:
    """The style sheet of one set of colours."""
    rules = [
        f".ground {{ fill: {theme.ground} }}",
        f"text {{ fill: {theme.word} }}",
        f".note {{ fill: {theme.note} }}",
        f".frame {{ stroke: {theme.note} }}",
        f".disc {{ fill: {theme.word} }}",
        f".number {{ fill: {theme.ground} }}",
    ]
    for colour, (filling, line) in theme.boxes.items():
        rules.append(f".{colour} {{ fill: {filling}; stroke: {line}; stroke-width: 1.4 }}")
        rules.append(f".{colour}-line {{ stroke: {line} }}")
        rules.append(f".{colour}-head {{ fill: {line} }}")
    return rules


def _text(x: float, y: float, text: str, kind: str, anchor: str = "middle") -> str:
    code = text.startswith("`")
    names = [kind, *(["code"] if code else []), *([anchor] if anchor != "middle" else [])]
    return f'<text class="{" ".join(names)}" x="{x:g}" y="{y:g}">{escape(text.strip("`"), quote=False)}</text>'


def _path(points: list[Point], radius: float = 10) -> str:
    """Straight lines through the points, with rounded corners."""
    commands = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (a, b), (_, c) in pairwise(pairwise(points)):
        for start, end in ((a, b), (c, b)):
            length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
            share = min(radius / length, 0.5)
            x, y = end[0] + (start[0] - end[0]) * share, end[1] + (start[1] - end[1]) * share
            commands.append(f"L{x:.1f} {y:.1f}" if start is a else f"Q{b[0]:.1f} {b[1]:.1f} {x:.1f} {y:.1f}")
    commands.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return " ".join(commands)
