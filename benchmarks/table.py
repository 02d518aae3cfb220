"""The printed result: what the machine is, one aligned table, what the rows mean."""

from benchmarks.machine import BUSY_SHARE, Machine
from benchmarks.rows import Row
from benchmarks.summary import Comparison, Spread

HEADINGS = ("row", "unit", "coro", "peer", "peer's", "ratio", "bound", "stretch", "verdict")
LEGEND = (
    "Each figure is the median of the rounds (lowest-highest). Ratio: coro's median / the peer's\n"
    "(lowest-highest ratio of one round); below 1 coro is cheaper. us: microseconds.\n"
    'Verdict: "stretch": that is reached too; "?": single rounds fall on both sides of the bound.'
)


def machine_lines(machine: Machine, rounds: int) -> list[str]:
    """Return the heading: versions, machine, cores, load, and a warning if it was busy at the start."""
    versions = ", ".join(f"{name} {version or 'not installed'}" for name, version in machine.versions.items())
    if machine.worker_core is None:
        cores = "not pinned: fewer than two cores, or a system that cannot pin"
    else:
        cores = f"workers and servers on core {machine.worker_core}, echo client on core {machine.client_core}"
    lines = [
        f"{machine.python}, {versions}",
        f"{machine.processor}, {machine.cores} cores, {machine.system}, load {machine.load_average:.2f}",
        f"{cores}; rounds: {rounds}; CPU time is user + system; each measurement is a fresh process",
    ]
    if machine.load_average > BUSY_SHARE * machine.cores:
        lines.append(f"WARNING: the machine is busy (load average {machine.load_average:.2f} before the start)")
    return lines


def table_lines(comparisons: list[Comparison]) -> list[str]:
    """Return the table; a row's name and our own figure stand on the first of its lines only."""
    cells: list[tuple[str, ...]] = [HEADINGS]
    previous = ""
    for comparison in comparisons:
        first = comparison.row != previous
        previous = comparison.row
        cells.append(_cells(comparison, first))
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def title_lines(rows: list[Row]) -> list[str]:
    """Return what each row measures, and how to read the table."""
    width = max((len(row.name) for row in rows), default=0)
    return [*(f"{row.name.ljust(width)}  {row.title}" for row in rows), LEGEND]


def _cells(comparison: Comparison, first: bool) -> tuple[str, ...]:
    return (
        comparison.row if first else "",
        comparison.unit if first else "",
        _figure(comparison.subject, comparison.unit) if first else "",
        comparison.peer_label,
        _figure(comparison.peer, comparison.unit),
        _figure(comparison.ratio, "ratio"),
        _limit(comparison.bound),
        _limit(comparison.stretch),
        comparison.verdict,
    )


def _figure(spread: Spread | None, unit: str) -> str:
    if spread is None:
        return "-"
    digits = {"us": 2, "ratio": 3, "bytes": 0}[unit]
    return f"{spread.middle:.{digits}f} ({spread.low:.{digits}f}-{spread.high:.{digits}f})"


def _limit(limit: float | None) -> str:
    return "-" if limit is None else f"<={limit:.2f}"
