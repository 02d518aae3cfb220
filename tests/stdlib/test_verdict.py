"""What makes `make stdlib` fail, what its page says, and how its results are kept."""

from pathlib import Path

import pytest

from tests.stdlib import results, tables, verdict
from tests.stdlib.lists import Entry
from tests.stdlib.outcomes import Outcome
from tests.stdlib.results import ColumnResults, Results, ResultsError

ROOT = Path(__file__).parent.parent.parent
MANY = [f"test.test_poll.PollTests.test_{number:03}" for number in range(100)]


def column(version: str = "1.0", **failed: str) -> ColumnResults:
    """A column where all of MANY pass but those named by their last part."""
    outcomes = {test: Outcome("passed") for test in MANY}
    outcomes |= {f"test.test_poll.PollTests.{name}": Outcome(outcome, "why") for name, outcome in failed.items()}
    return ColumnResults(version, 0, "", ["helper"], outcomes)


def found(ours: ColumnResults, gevent: ColumnResults | None = None) -> Results:
    columns = {
        "plain": column("3.11.7"),
        "ours": ours,
        "gevent": gevent or column(test_000="error", test_001="hung"),
    }
    return Results("3.11.7", "Linux 6", ["test_poll"], columns)


def test_a_failure_without_a_reason_is_a_fault() -> None:
    (fault,) = verdict.faults(found(column(test_007="error")), [Entry(("test.test_poll.*.test_008",), "why")])
    assert "test_007 error" in fault
    assert "reasons.toml" in fault


def test_a_failure_with_a_reason_is_none() -> None:
    assert verdict.faults(found(column(test_007="error")), [Entry(("test.test_poll.*.test_007",), "why")]) == []


def test_what_plain_python_fails_needs_no_reason() -> None:
    results = found(column(test_007="failed"))
    results.columns["plain"] = column(test_007="failed")
    assert verdict.faults(results, []) == []


def test_a_test_that_plain_passes_and_ours_skips_or_never_ran_needs_a_reason() -> None:
    ours = column(test_007="skipped")
    del ours.outcomes[MANY[8]]
    assert [(failure.test[-3:], failure.outcome.outcome) for failure in verdict.failures(found(ours), [])] == [
        ("007", "skipped"),
        ("008", "missing"),
    ]


def test_a_flaky_test_counts_as_passed_and_is_named() -> None:
    results = found(column(test_007="flaky"))
    assert verdict.faults(results, []) == []
    assert results.columns["ours"].passed() == {"test_poll": 100}
    assert tables.unsteady(results) == "- coro: `test_poll.PollTests.test_007`"


def test_a_module_below_gevents_figure_is_a_fault() -> None:
    reasons = [Entry(("test.test_poll.*",), "why")]
    (fault,) = verdict.faults(found(column(test_007="error"), column()), reasons)
    assert fault == "test_poll: 99 pass under coro, 100 under gevent"


def test_a_total_below_the_least_share_is_a_fault() -> None:
    reasons = [Entry(("test.test_poll.*",), "why")]
    gevent = column(**{f"test_{number:03}": "error" for number in range(10)})
    two, three = (column(**{f"test_{number:03}": "error" for number in range(count)}) for count in (2, 3))
    assert verdict.faults(found(two, gevent), reasons) == []
    assert verdict.faults(found(three, gevent), reasons) == ["97.00% of what plain Python passes, 98% is the least"]


def test_a_column_that_broke_down_is_a_fault() -> None:
    results = found(column())
    results.columns["gevent"].fault = "the process ended with 1"
    assert verdict.faults(results, []) == ["column gevent did not come to its end: the process ended with 1"]


def test_a_reason_for_what_does_not_fail_is_stale() -> None:
    good, bad = Entry(("test.test_poll.*.test_007",), "why"), Entry(("test.test_poll.*.test_008",), "why")
    assert verdict.stale(found(column(test_007="failed")), [good, bad]) == [bad]


def test_the_table_has_a_row_for_each_module_and_shares_of_plain() -> None:
    assert tables.by_module(found(column(test_007="error"))).splitlines() == [
        "| module | plain Python | coro | gevent |",
        "|---|---:|---:|---:|",
        "| `test_poll` | 100 | 99 (99.0%) | 98 (98.0%) |",
        "| **all** | **100** | **99 (99.0%)** | **98 (98.0%)** |",
    ]


def test_failures_of_one_reason_stand_together() -> None:
    reasons = [Entry(("test.test_poll.*",), "because")]
    text = tables.explained(verdict.failures(found(column(test_007="error", test_009="hung")), reasons))
    assert text.splitlines()[2:] == [
        "| because | `test_poll.PollTests.test_007` (error), `test_poll.PollTests.test_009` (hung) |"
    ]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    before = found(column(test_007="error"))
    results.write(before, tmp_path / "results.json")
    assert results.read(tmp_path / "results.json") == before


def test_a_file_with_something_else_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"python": "3.11.7"}')
    with pytest.raises(ResultsError, match=r"results\.json"):
        results.read(path)


def test_the_page_has_a_place_for_every_part() -> None:
    page = (ROOT / "docs" / "stdlib.md").read_text(encoding="utf-8")
    for name in tables.parts(found(column()), [], []):
        assert f"<!-- measured: {name} -->" in page
