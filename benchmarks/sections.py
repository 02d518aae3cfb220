"""The measured parts of the page, as Markdown. Pure functions over results; they run nothing and draw nothing."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.machine import PEERS
from benchmarks.results import Measured, Results
from benchmarks.rows import SERVERS
from benchmarks.runner import waiting_warnings
from benchmarks.summary import Comparison, Outcome, Spread, compare, spread, values

PICTURES: Mapping[str, str] = {
    "bench-ratios.svg": "Cost by the peer's, with the interval of single rounds, the aim and the stretch aim",
    "bench-echo.svg": "Server CPU time per echoed request, by the number of connections",
    "bench-threads.svg": "CPU time per yield, by the number of threads",
}
NOTHING = "–"
VERDICTS = {"stretch": "stretch reached"}


def sections(results: Results) -> dict[str, str]:
    """Return the text of each marked part, by its name."""
    return {
        "run": run_text(results),
        "bounds": bounds_table(results),
        "echo": echo_table(results),
        "tasks": tasks_table(results),
        "gaps": gaps_text(results),
        "pictures": pictures_text(),
        "profile": profile_text(results),
    }


def run_text(results: Results) -> str:
    """What was run, on what, and how far the figures may be trusted."""
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items() if version)
    chance = 1 - 2.0 ** (1 - results.rounds)
    taken = (
        f"Taken on {results.taken} in {results.seconds / 60:.0f} minutes: {machine.python}, {versions}; "
        f"{machine.processor}, {machine.cores} cores, {machine.system}."
    )
    meaning = (
        f"Rounds: {results.rounds} where there is an aim, {results.unbounded_rounds} elsewhere. A figure is the "
        f"median of the rounds. The interval of a ratio goes from the lowest to the highest of single rounds; "
        f"over {results.rounds} rounds it holds the true median with a probability of {chance:.0%}."
    )
    warnings = waiting_warnings([outcome for one in results.measured for outcome in one.outcomes])
    return "\n\n".join([taken, meaning, *warnings])


def bounds_table(results: Results) -> str:
    """Every ratio that has an aim."""
    rows = []
    for measured in results.measured:
        aimed = [one for one in compare(measured.row, list(measured.outcomes)) if one.bound is not None]
        for number, comparison in enumerate(aimed):
            first = number == 0
            rows.append(
                [
                    measured.row.title if first else "",
                    _figure(comparison.subject, comparison.unit) if first else "",
                    f"{comparison.peer_label} {_figure(comparison.peer, comparison.unit)}",
                    _ratio(comparison.ratio),
                    _limit(comparison.bound),
                    _limit(comparison.stretch),
                    _verdict(comparison),
                ]
            )
    return _table(["what", "coro", "peer", "ratio (interval)", "aim", "stretch", ""], rows)


def echo_table(results: Results) -> str:
    """The servers by number of connections."""
    labels = ["coro", *(label for label, _, _ in SERVERS)]
    rows = [
        [measured.row.name.removeprefix("echo-"), *(_cost(measured, label) for label in labels)]
        for measured in results.measured
        if measured.row.name.startswith("echo-")
    ]
    return _table(["connections", *labels], rows)


def tasks_table(results: Results) -> str:
    """The rows that all libraries have, but for the servers."""
    rows = []
    for measured in results.measured:
        libraries = {outcome.contender.library for outcome in measured.outcomes}
        if measured.row.name.startswith("echo-") or not libraries & set(PEERS):
            continue
        cells = [_cost(measured, library, by_library=True) for library in ("coro", *PEERS)]
        rows.append([measured.row.title, *cells])
    return _table(["what", "coro", *PEERS], rows)


def gaps_text(results: Results) -> str:
    """Who has no figure somewhere, and why."""
    gaps: dict[tuple[str, str], list[str]] = {}
    for measured in results.measured:
        for outcome in measured.outcomes:
            if outcome.note:
                gaps.setdefault((outcome.contender.label, outcome.note), []).append(f"`{measured.row.name}`")
    if not gaps:
        return "No contender is missing."
    return "\n".join(f"- {label}, in {', '.join(rows)}: {note}" for (label, note), rows in gaps.items())


def pictures_text() -> str:
    """The pictures, with what a reader who does not see them is told."""
    return "\n\n".join(f"![{title}](pictures/{name})" for name, title in PICTURES.items())


def profile_text(results: Results) -> str:
    """The hottest lines of each profile."""
    if not results.profiles:
        return "The run was made without profiles."
    parts = []
    for profile in results.profiles:
        rows = [[f"{spot.share:.1%}", f"`{spot.function}`", f"`{_code(spot.source)}`"] for spot in profile.spots]
        heading = (
            f"**{profile.title}**: {profile.samples} samples, "
            f"{profile.system_share:.0%} of the CPU time in the kernel."
        )
        parts += [heading, _table(["share", "function", "line"], rows)]
    return "\n\n".join(parts)


def _code(source: str) -> str:
    # A bar would end the table's cell, and a comment says nothing here.
    return source.partition("  # type:")[0].replace("|", "\\|")


def _cost(measured: Measured, who: str, *, by_library: bool = False) -> str:
    """The cheapest cost of a contender, NOTHING if it has none."""
    costs = [
        spread(values(measured.row, outcome))
        for outcome in measured.outcomes
        if _name(outcome, by_library=by_library) == who
    ]
    known = [cost for cost in costs if cost is not None]
    return _figure(min(known, key=lambda cost: cost.middle), measured.row.unit) if known else NOTHING


def _name(outcome: Outcome, *, by_library: bool) -> str:
    return outcome.contender.library if by_library else outcome.contender.label


def _figure(cost: Spread | None, unit: str) -> str:
    if cost is None:
        return NOTHING
    if unit == "bytes":
        return f"{cost.middle:.0f} bytes"
    return f"{cost.middle:.1f} µs" if cost.middle >= 10 else f"{cost.middle:.2f} µs"


def _ratio(ratio: Spread | None) -> str:
    return NOTHING if ratio is None else f"{ratio.middle:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


def _limit(limit: float | None) -> str:
    return "" if limit is None else f"{limit:.2f}"


def _verdict(comparison: Comparison) -> str:
    verdict = comparison.verdict.removesuffix("?")
    text = VERDICTS.get(verdict, verdict)
    if verdict == comparison.verdict:
        return text
    return f"{text}, some rounds {'reached it' if verdict == 'missed' else 'missed it'}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(headings), ["---"] * len(headings), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
