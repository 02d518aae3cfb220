"""What is wrong with the results: pure functions over them."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.stdlib.lists import Entry, first
from tests.stdlib.outcomes import GOOD, Outcome
from tests.stdlib.results import Results

# At least so much of what passes under plain Python must pass under coro.
LEAST_SHARE = 0.98
MISSING = Outcome("missing", "the run never came to it")


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that passes under plain Python and not under coro."""

    test: str
    outcome: Outcome
    reason: str | None


def failures(results: Results, reasons: Iterable[Entry]) -> list[Failure]:
    """Every test that plain passes and ours does not, with its reason, None if nobody gave one."""
    entries = list(reasons)
    plain, ours = results.columns["plain"], results.columns["ours"]
    found = []
    for test, outcome in plain.outcomes.items():
        if outcome.outcome in GOOD and not ours.is_good(test):
            entry = first(entries, test)
            found.append(Failure(test, ours.outcomes.get(test, MISSING), entry.reason if entry else None))
    return found


def flaky(results: Results) -> dict[str, list[str]]:
    """By column, the tests that failed and passed when they were run again alone."""
    return {
        name: [test for test, outcome in column.outcomes.items() if outcome.outcome == "flaky"]
        for name, column in results.columns.items()
    }


def share(results: Results, name: str, module: str | None = None) -> float:
    """The part of what plain passes, in one module or in all, that the column passes; 1.0 of nothing."""
    passed, base = results.columns[name].passed(), results.columns["plain"].passed()
    if module is not None:
        return passed[module] / base[module] if base[module] else 1.0
    return passed.total() / base.total() if base.total() else 1.0


def faults(results: Results, reasons: Iterable[Entry]) -> list[str]:
    """What is not as it must be, a sentence each; none if all is well.

    What needs a column that was not run is not judged.
    """
    found = [f"column {name} did not come to its end: {c.fault}" for name, c in results.columns.items() if c.fault]
    if not {"plain", "ours"} <= results.columns.keys():
        return found
    found += [
        f"{failure.test} {failure.outcome.outcome} ({failure.outcome.detail}), and reasons.toml does not say why"
        for failure in failures(results, reasons)
        if failure.reason is None
    ]
    if "gevent" in results.columns:
        ours, gevent = results.columns["ours"].passed(), results.columns["gevent"].passed()
        found += [
            f"{module}: {ours[module]} pass under coro, {gevent[module]} under gevent"
            for module in results.modules
            if ours[module] < gevent[module]
        ]
    if share(results, "ours") < LEAST_SHARE:
        found.append(f"{share(results, 'ours'):.2%} of what plain Python passes, {LEAST_SHARE:.0%} is the least")
    return found


def stale(results: Results, reasons: Iterable[Entry]) -> list[Entry]:
    """The reasons for failures that there are none of."""
    failing = [failure.test for failure in failures(results, [])]
    return [entry for entry in reasons if not any(entry.matches(test) for test in failing)]
