"""The results as Markdown: the parts of docs/stdlib.md that are replaced by each run."""

from collections.abc import Iterable

from tests.stdlib.lists import Entry
from tests.stdlib.results import Results
from tests.stdlib.verdict import Failure, failures, flaky, share

TITLES = {"plain": "plain Python", "ours": "coro", "gevent": "gevent"}


def parts(results: Results, reasons: Iterable[Entry], exclusions: Iterable[Entry]) -> dict[str, str]:
    """The texts by the names that the page's marks have."""
    return {
        "versions": versions(results),
        "modules": by_module(results),
        "failures": explained(failures(results, reasons)),
        "flaky": unsteady(results),
        "exclusions": excluded(exclusions),
    }


def versions(results: Results) -> str:
    """One sentence: what was run on what."""
    peers = ", ".join(
        f"{TITLES[name]} {column.version}" for name, column in results.columns.items() if name != "plain"
    )
    return f"Python {results.python}, {peers}; {results.system}."


def by_module(results: Results) -> str:
    """The table of the tests that passed; other columns than plain with their share of it."""
    names = list(results.columns)
    lines = ["| module | " + " | ".join(TITLES[name] for name in names) + " |", "|---" + "|---:" * len(names) + "|"]
    for module in results.modules:
        cells = [_cell(results, name, module) for name in names]
        lines.append(f"| `{module}` | " + " | ".join(cells) + " |")
    lines.append("| **all** | " + " | ".join(f"**{_cell(results, name, None)}**" for name in names) + " |")
    return "\n".join(lines)


def _cell(results: Results, name: str, module: str | None) -> str:
    passed = results.columns[name].passed()
    count = passed.total() if module is None else passed[module]
    if name == "plain" or "plain" not in results.columns:
        return str(count)
    return f"{count} ({share(results, name, module):.1%})"


def explained(found: Iterable[Failure]) -> str:
    """The failures, those of one reason together."""
    by_reason: dict[str, list[Failure]] = {}
    for failure in found:
        by_reason.setdefault(failure.reason or "No reason is known.", []).append(failure)
    if not by_reason:
        return "None."
    lines = ["| why | tests |", "|---|---|"]
    for reason, group in by_reason.items():
        tests = ", ".join(
            f"`{failure.test.removeprefix('test.')}` ({failure.outcome.outcome})" for failure in group
        )
        lines.append(f"| {reason} | {tests} |")
    return "\n".join(lines)


def unsteady(results: Results) -> str:
    """The tests that passed only when they were run again alone, by column."""
    lines = [
        f"- {TITLES[name]}: " + ", ".join(f"`{test.removeprefix('test.')}`" for test in tests)
        for name, tests in flaky(results).items()
        if tests
    ]
    return "\n".join(lines) or "None."


def excluded(exclusions: Iterable[Entry]) -> str:
    """The tests that no column runs."""
    lines = ["| tests | why |", "|---|---|"]
    for entry in exclusions:
        tests = ", ".join(f"`{pattern.removeprefix('test.')}`" for pattern in entry.tests)
        lines.append(f"| {tests} | {entry.reason} |")
    return "\n".join(lines)
