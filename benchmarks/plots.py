"""The pictures of the page, drawn by matplotlib: one SVG each, light or dark as the reader's browser prefers.

matplotlib knows one set of colours only and writes them into `style` attributes. So it draws in the light ones, and
`adaptive` turns them into attributes that a style sheet with the dark ones overrules.
"""

import io
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.results import Measured, Results
from benchmarks.sections import PICTURES
from benchmarks.summary import Comparison, Spread, compare, spread, values

GROUND, TEXT, GRID = "#f6f8fa", "#1f2328", "#d0d7de"
AIM, STRETCH = "#cf222e", "#116329"
OURS = "#0550ae"
# In the order in which they are drawn.
COLOURS: Mapping[str, str] = {
    "coro": OURS,
    "gevent": "#bc4c00",
    "eventlet": "#8250df",
    "asyncio": "#57606a",
    "asyncio streams": "#57606a",
    "uvloop": "#0a7b6b",
    "uvloop streams": "#0a7b6b",
    "uvloop Protocol": "#9a6700",
    "trio": "#a40e4c",
    "curio": "#2f81a8",
}
# Each light colour with its dark counterpart.
DARK: Mapping[str, str] = {
    GROUND: "#0d1117",
    TEXT: "#e6edf3",
    GRID: "#30363d",
    AIM: "#ff7b72",
    STRETCH: "#3fb950",
    OURS: "#58a6ff",
    "#bc4c00": "#f0883e",
    "#8250df": "#bc8cff",
    "#57606a": "#8b949e",
    "#0a7b6b": "#39c5cf",
    "#9a6700": "#d29922",
    "#a40e4c": "#ff9bce",
    "#2f81a8": "#a5d6ff",
}
MARKERS = "osD^v<>PX*"
PAINT = re.compile(r"(?P<property>fill|stroke): (?P<colour>#[0-9a-f]{6});? ?")
STYLE = re.compile(r'style="(?P<rules>[^"]*)"')
METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)


def pictures(results: Results) -> dict[str, str]:
    """Return every picture of PICTURES as SVG, by its file name."""
    drawn = {
        "bench-ratios.svg": _ratios(results),
        "bench-echo.svg": _curve(results, "echo-", "connections", "µs per request"),
        "bench-threads.svg": _curve(results, "yield-", "threads", "µs per yield"),
    }
    return {name: adaptive(text, PICTURES[name]) for name, text in drawn.items()}


def adaptive(svg: str, title: str) -> str:
    """Return matplotlib's SVG with a title, and dark colours for browsers that prefer them."""
    rules = "\n".join(
        f'[{what}="{light}"] {{ {what}: {dark} }}' for light, dark in DARK.items() for what in ("fill", "stroke")
    )
    head = f"<title>{escape(title)}</title>\n<style>@media (prefers-color-scheme: dark) {{\n{rules}\n}}</style>"
    svg = STYLE.sub(_as_attributes, METADATA.sub("", svg))
    start = svg.index("<svg ")
    end = svg.index(">", start)
    return f'{svg[start:end]} role="img">\n{head}{svg[end + 1 :]}'


def _as_attributes(style: re.Match[str]) -> str:
    attributes = [f'{paint["property"]}="{paint["colour"]}"' for paint in PAINT.finditer(style["rules"])]
    rest = PAINT.sub("", style["rules"]).strip()
    return " ".join([f'style="{rest}"', *attributes] if rest else attributes)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """Return a figure and its axes, without pyplot: no window, no state."""
    matplotlib.rcParams["svg.fonttype"] = "none"
    # Without these two the same results would make another file each time.
    matplotlib.rcParams["svg.hashsalt"] = "coro"
    matplotlib.rcParams["path.simplify"] = False
    figure = Figure(figsize=(width, height), facecolor=GROUND, layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot(facecolor=GROUND)
    axes.tick_params(colors=TEXT, which="both")
    for side, spine in axes.spines.items():
        spine.set_color(GRID)
        spine.set_visible(side in ("left", "bottom"))
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _text(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _curve(results: Results, prefix: str, what: str, unit: str) -> str:
    """Draw the cost of each contender over the number in the rows' names."""
    figure, axes = _figure(8.2, 4.4)
    points = _points(results, prefix)
    for (label, colour), marker in zip(COLOURS.items(), MARKERS, strict=True):
        line = [(x, costs[label]) for x, costs in points if label in costs]
        if not line:
            continue
        middles = [cost.middle for _, cost in line]
        reach = [
            [cost.middle - cost.low for _, cost in line],
            [cost.high - cost.middle for _, cost in line],
        ]
        axes.errorbar(
            [x for x, _ in line],
            middles,
            yerr=reach,
            label=label,
            color=colour,
            marker=marker,
            markersize=5,
            linewidth=2.6 if label == "coro" else 1.3,
            capsize=2,
            zorder=4 if label == "coro" else 3,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:,.0f}".replace(",", " "))
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(what, color=TEXT)
    axes.set_ylabel(unit, color=TEXT)
    figure.legend(loc="outside right center", frameon=False, labelcolor=TEXT)
    return _text(figure)


def _points(results: Results, prefix: str) -> list[tuple[int, dict[str, Spread]]]:
    """Return the costs by label for each number, in order; rows whose name ends otherwise are none of the curve."""
    points = []
    for measured in results.measured:
        number = measured.row.name.removeprefix(prefix)
        if measured.row.name.startswith(prefix) and number.isdecimal():
            points.append((int(number), _costs(measured)))
    return sorted(points, key=lambda point: point[0])


def _costs(measured: Measured) -> dict[str, Spread]:
    costs = {outcome.contender.label: spread(values(measured.row, outcome)) for outcome in measured.outcomes}
    return {label: cost for label, cost in costs.items() if cost is not None}


def _ratios(results: Results) -> str:
    """Draw every ratio that has an aim, with its interval."""
    found: list[tuple[Comparison, Spread]] = [
        (comparison, comparison.ratio)
        for measured in results.measured
        for comparison in compare(measured.row, list(measured.outcomes))
        if comparison.bound is not None and comparison.ratio is not None
    ]
    found.reverse()
    figure, axes = _figure(8.2, 1.2 + 0.3 * max(len(found), 1))
    places = range(len(found))
    ratios = [ratio for _, ratio in found]
    reach = [[r.middle - min(r.low, r.middle) for r in ratios], [max(r.high, r.middle) - r.middle for r in ratios]]
    axes.errorbar(
        [r.middle for r in ratios], places, xerr=reach, fmt="o", color=OURS, capsize=3, label="ratio", zorder=4
    )
    marks = (("aim", AIM, [one.bound for one, _ in found]), ("stretch", STRETCH, [one.stretch for one, _ in found]))
    for label, colour, limits in marks:
        known = [(limit, place) for limit, place in zip(limits, places, strict=True) if limit is not None]
        axes.scatter(
            [limit for limit, _ in known], [place for _, place in known],
            marker="|", s=140, linewidths=2.4, color=colour, label=label, zorder=3,
        )  # fmt: skip
    axes.set_yticks(list(places), [f"{one.row}: {one.peer_label}" for one, _ in found])
    axes.set_xlim(left=0)
    axes.set_xlabel("cost by the peer's: less is better", color=TEXT)
    figure.legend(loc="outside upper right", ncols=3, frameon=False, labelcolor=TEXT)
    return _text(figure)
