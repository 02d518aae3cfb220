"""From samples to verdicts: medians, ratios, bounds. Pure functions; they run nothing and print nothing."""

import dataclasses
import math
import statistics

from benchmarks.report import Sample
from benchmarks.rows import Contender, Row


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """A middle value with the lowest and the highest seen."""

    middle: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one contender: its samples by round, or a note saying why there are none."""

    contender: Contender
    samples: tuple[Sample, ...] = ()
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """The subject against one peer. `ratio` is None, and `verdict` says why, if either has no samples."""

    row: str
    unit: str
    subject: Spread | None
    peer_label: str
    peer: Spread | None
    ratio: Spread | None
    bound: float | None
    stretch: float | None
    verdict: str


def values(row: Row, outcome: Outcome) -> list[float]:
    """Return the cost of one operation in each round, in the row's unit."""
    scale = 1000 if row.unit == "us" else 1
    return [sample.total / sample.count / scale for sample in outcome.samples]


def spread(numbers: list[float]) -> Spread | None:
    """Return median, minimum and maximum, None for no numbers."""
    if not numbers:
        return None
    return Spread(statistics.median(numbers), min(numbers), max(numbers))


def ratio_spread(subject: list[float], peer: list[float]) -> Spread | None:
    """Return the ratio of the medians, with the lowest and highest of one round; None if either is empty.

    Only the rounds in which both were measured count; a peer may have been measured in the first ones only.
    """
    if not subject or not peer:
        return None
    rounds = min(len(subject), len(peer))
    subject, peer = subject[:rounds], peer[:rounds]
    pairs = [ours / theirs for ours, theirs in zip(subject, peer, strict=True)]
    return Spread(statistics.median(subject) / statistics.median(peer), min(pairs), max(pairs))


def judge(ratio: Spread, bound: float | None, stretch: float | None) -> str:
    """Return "stretch", "reached" or "missed"; "-" for no bound.

    A "?" is added if single rounds fall on both sides of the bound.
    """
    if bound is None:
        return "-"
    doubt = "?" if ratio.low <= bound < ratio.high else ""
    if ratio.middle > bound:
        return f"missed{doubt}"
    if stretch is not None and ratio.middle <= stretch:
        return f"stretch{doubt}"
    return f"reached{doubt}"


def compare(row: Row, outcomes: list[Outcome]) -> list[Comparison]:
    """Compare the row's subject, the first outcome, with each peer.

    If the row asks so, only the cheapest of each library's ways is compared.

    A row without peers gives one comparison with nobody, so that the subject's own figure is shown.
    """
    subject, *peers = outcomes
    if not peers:
        peers = [Outcome(Contender("none chosen", "", ""))]
    if row.fastest_way_only:
        peers = _cheapest_ways(row, peers)
    return [_compare_one(row, subject, peer) for peer in peers]


def _cheapest_ways(row: Row, peers: list[Outcome]) -> list[Outcome]:
    """Return one outcome for each library, that with the lowest cost; a way without samples has none."""

    def cost(peer: Outcome) -> float:
        return statistics.median(values(row, peer)) if peer.samples else math.inf

    libraries = dict.fromkeys(peer.contender.library for peer in peers)
    return [min((peer for peer in peers if peer.contender.library == library), key=cost) for library in libraries]


def _compare_one(row: Row, subject: Outcome, peer: Outcome) -> Comparison:
    ratio = ratio_spread(values(row, subject), values(row, peer))
    contender = peer.contender
    if ratio is None:
        notes = [f"{one.contender.label} {one.note}" for one in (subject, peer) if one.note]
        verdict = ", ".join(notes) or "-"
    else:
        verdict = judge(ratio, contender.bound, contender.stretch)
    return Comparison(
        row=row.name,
        unit=row.unit,
        subject=spread(values(row, subject)),
        peer_label=contender.label,
        peer=spread(values(row, peer)),
        ratio=ratio,
        bound=contender.bound,
        stretch=contender.stretch,
        verdict=verdict,
    )
