"""A terminal's rows as a picture: SVG that holds all it needs, and is legible on light and on dark pages.

The picture has a background of its own, light or dark as the reader's browser prefers; each colour of the
terminal is brought as far from it as text must be (WCAG 2.1: a contrast of 4.5).  Each run of characters is told
its width, so that the columns stand whatever monospaced font there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

__all__ = ["Rgb", "contrast", "legible", "svg"]

Cell = tuple[str, str]
Rgb = tuple[int, int, int]

FONT_PX, CELL_PX, LINE_PX, MARGIN_PX = 14, 8.4, 19, 14
FONTS = "ui-monospace, 'SFMono-Regular', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
LEAST_CONTRAST = 4.5

# (background, text) and the eight colours of ECMA-48, for light and dark.
GROUNDS: tuple[tuple[Rgb, Rgb], ...] = (((246, 248, 250), (31, 35, 40)), ((13, 17, 23), (230, 237, 243)))
EIGHT: tuple[tuple[Rgb, ...], ...] = (
    (
        (36, 41, 47),
        (207, 34, 46),
        (17, 99, 41),
        (125, 78, 0),
        (5, 80, 174),
        (130, 80, 223),
        (20, 103, 109),
        (87, 96, 106),
    ),
    (
        (139, 148, 158),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (201, 209, 217),
    ),
)
CUBE = (0, 95, 135, 175, 215, 255)


def svg(rows: Sequence[Sequence[Cell]], columns: int, title: str, description: str) -> str:
    """The picture of a terminal's rows, of cells as examples.worms.terminal has them."""
    styles = sorted({style for row in rows for style, _ in row})
    classes = {style: f"s{number}" for number, style in enumerate(styles)}
    width, height = columns * CELL_PX + 2 * MARGIN_PX, len(rows) * LINE_PX + 2 * MARGIN_PX
    light, dark = ("\n".join(_rules(classes, theme)) for theme in (0, 1))
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(description)}</desc>',
        "<style>",
        f"text {{ font: {FONT_PX}px {FONTS}; white-space: pre }}",
        light,
        "@media (prefers-color-scheme: dark) {",
        dark,
        "}",
        "</style>",
        f'<rect class="ground" width="{width:g}" height="{height:g}" rx="6"/>',
    ]
    for number, row in enumerate(rows):
        lines += _row(row, MARGIN_PX + number * LINE_PX, classes)
    return "\n".join([*lines, "</svg>", ""])


def _row(row: Iterable[Cell], top: float, classes: dict[str, str]) -> Iterable[str]:
    at = 0
    for style, cells in groupby(row, key=lambda cell: cell[0]):
        text = "".join(char for _, char in cells)
        start, at = at, at + len(text)
        # Blanks need a colour behind them, if there is one, but no text.
        if _background(style) is not None:
            box = f'x="{_x(start)}" y="{top:g}" width="{len(text) * CELL_PX:.4g}" height="{LINE_PX}"'
            yield f'<rect class="{classes[style]}b" {box}/>'
        start += len(text) - len(text.lstrip())
        text = text.strip()
        if text:
            place = f'x="{_x(start)}" y="{top + LINE_PX - 5:g}" textLength="{len(text) * CELL_PX:.4g}"'
            yield (
                f'<text class="{classes[style]}" {place} lengthAdjust="spacingAndGlyphs" '
                f'xml:space="preserve">{escape(text)}</text>'
            )


def _x(column: int) -> str:
    return f"{MARGIN_PX + column * CELL_PX:.5g}"


# -- colours


def _rules(classes: dict[str, str], theme: int) -> Iterable[str]:
    ground, plain = GROUNDS[theme]
    yield f".ground {{ fill: {_hex(ground)} }}"
    for style, name in classes.items():
        foreground, background, attributes = _parts(style)
        behind = ground if background is None else _colour(background, theme, ground)
        colour = plain if foreground is None else _colour(foreground, theme, plain)
        if "7" in attributes:
            behind, colour = colour, behind
        if "2" in attributes:
            colour = _mixed(colour, behind, 0.35)
        rule = f"fill: {_hex(legible(colour, behind))}"
        rule += "; font-weight: bold" if "1" in attributes else ""
        rule += "; font-style: italic" if "3" in attributes else ""
        rule += "; text-decoration: underline" if "4" in attributes else ""
        yield f".{name} {{ {rule} }}"
        if _background(style) is not None:
            yield f".{name}b {{ fill: {_hex(behind)} }}"


def _parts(style: str) -> tuple[str | None, str | None, set[str]]:
    """(foreground, background, attributes) of parameters of SGR, in the order of the terminal."""
    foreground = background = None
    attributes = set()
    left = style.split(";") if style else []
    while left:
        number = left.pop(0)
        if number in ("38", "48"):
            number = ";".join([number, left.pop(0), left.pop(0)])
        if len(number) == 1:
            attributes.add(number)
        elif number.startswith(("4", "10")):
            background = number
        else:
            foreground = number
    return foreground, background, attributes


def _background(style: str) -> str | None:
    foreground, background, attributes = _parts(style)
    return foreground or "" if "7" in attributes else background


def _colour(parameters: str, theme: int, default: Rgb) -> Rgb:
    """A colour by its parameters: one of the sixteen, "31", or of the 256, "38;5;203"."""
    if ";" not in parameters:
        number = int(parameters)
        if number % 10 == 9:
            return default
        return EIGHT[theme][number % 10]
    number = int(parameters.rpartition(";")[2])
    if number < 16:
        return EIGHT[theme][number % 8]
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return (grey, grey, grey)
    number -= 16
    return (CUBE[number // 36], CUBE[number // 6 % 6], CUBE[number % 6])


def legible(colour: Rgb, behind: Rgb) -> Rgb:
    """The colour, moved towards black or white until it can be read before what is behind it."""
    goal: Rgb = max(((0, 0, 0), (255, 255, 255)), key=lambda end: contrast(end, behind))
    share, found = 0.0, colour
    while contrast(found, behind) < LEAST_CONTRAST and share < 1:
        share += 0.05
        found = _mixed(colour, goal, share)
    return found


def contrast(one: Rgb, other: Rgb) -> float:
    """The contrast ratio of WCAG 2.1, 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Rgb) -> float:
    red, green, blue = (
        part / 255 / 12.92 if part / 255 <= 0.03928 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mixed(colour: Rgb, goal: Rgb, share: float) -> Rgb:
    red, green, blue = (round(part + (end - part) * share) for part, end in zip(colour, goal, strict=True))
    return (red, green, blue)


def _hex(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
