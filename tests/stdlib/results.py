"""The results of all columns, as they are kept in results.json."""

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stdlib.outcomes import FAILING, GOOD, Outcome, class_of, module_of
from tests.stdlib.watching import Run

RESULTS = Path(__file__).parent / "results.json"
# Of a traceback the last line is kept, a long one cut.
DETAIL_CHARACTERS = 200


class ResultsError(ValueError):
    """The results cannot be read; the message names the file."""


@dataclass(slots=True)
class ColumnResults:
    """What is kept of a column.

    outcomes: by test id; the detail is one line.
    fixtures: those that failed or skipped their tests.
    """

    version: str
    restarts: int
    fault: str
    neutralised: list[str]
    outcomes: dict[str, Outcome]
    fixtures: dict[str, Outcome] = field(default_factory=dict)

    def passed(self) -> Counter[str]:
        """How many tests passed, by module."""
        return Counter(module_of(test) for test, outcome in self.outcomes.items() if outcome.outcome in GOOD)

    def is_good(self, test: str) -> bool:
        """Whether the test passed here, at once or when it was run again."""
        return test in self.outcomes and self.outcomes[test].outcome in GOOD


@dataclass(slots=True)
class Results:
    """All that a run found: the interpreter, the machine's kernel and the columns by name."""

    python: str
    system: str
    modules: list[str]
    columns: dict[str, ColumnResults] = field(default_factory=dict)


def kept(run: Run, version: str) -> ColumnResults:
    """What is kept of a run."""
    outcomes = {test: _shortened(run.outcomes[test]) for test in sorted(run.outcomes)}
    fixtures = {test: _shortened(run.fixtures[test]) for test in sorted(run.fixtures)}
    return ColumnResults(version, run.restarts, run.fault, run.neutralised, outcomes, fixtures)


def _shortened(outcome: Outcome) -> Outcome:
    """The outcome with a line of detail, if it failed, and without its time and the place of the interpreter."""
    lines = outcome.detail.strip().splitlines()
    if not lines or outcome.outcome not in (*FAILING, "flaky"):
        return Outcome(outcome.outcome)
    line = lines[0 if outcome.outcome in ("hung", "crashed") else -1].strip()
    return Outcome(outcome.outcome, line.replace(sys.base_prefix, "python")[:DETAIL_CHARACTERS])


def write(results: Results, path: Path) -> None:
    """Write the file, a test to a line: its outcomes by column, or the outcome that all columns have."""
    columns = {}
    for name, column in results.columns.items():
        columns[name] = {
            "version": column.version,
            "restarts": column.restarts,
            "fault": column.fault,
            "neutralised": column.neutralised,
            "details": {test: found.detail for test, found in column.outcomes.items() if found.detail},
            "fixtures": {test: [found.outcome, found.detail] for test, found in column.fixtures.items()},
        }
    classes: dict[str, dict[str, object]] = {}
    for test in sorted({test for column in results.columns.values() for test in column.outcomes}):
        found = {name: c.outcomes[test].outcome for name, c in results.columns.items() if test in c.outcomes}
        agree = len(found) == len(columns) and len(set(found.values())) == 1
        classes.setdefault(class_of(test), {})[test.rpartition(".")[2]] = (
            found.popitem()[1] if agree else _Flat(found)
        )
    facts = {"python": results.python, "system": results.system, "modules": results.modules}
    path.write_text(_by_lines({**facts, "columns": columns, "outcomes": classes}) + "\n", encoding="utf-8")


class _Flat(dict[str, str]):
    """What stands in one line."""


def _by_lines(whole: object, depth: int = 0) -> str:
    """JSON with objects spread over lines and all else in one."""
    if not isinstance(whole, dict) or not whole or isinstance(whole, _Flat):
        return json.dumps(whole, ensure_ascii=False)
    inner = ",\n".join(
        f"{' ' * (depth + 1)}{json.dumps(key)}: {_by_lines(value, depth + 1)}" for key, value in whole.items()
    )
    return f"{{\n{inner}\n{' ' * depth}}}"


def read(path: Path) -> Results:
    """Read what `write` wrote.  Raises ResultsError if it is something else."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        columns = {name: _column(name, facts, whole["outcomes"]) for name, facts in whole["columns"].items()}
        return Results(whole["python"], whole["system"], whole["modules"], columns)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path} holds no results of this runner: {error!r}") from error


def _column(name: str, facts: dict[str, Any], classes: dict[str, dict[str, Any]]) -> ColumnResults:
    outcomes = {}
    for class_, methods in classes.items():
        for method, found in methods.items():
            outcome = found.get(name) if isinstance(found, dict) else found
            if outcome is not None:
                test = f"{class_}.{method}"
                outcomes[test] = Outcome(outcome, facts["details"].get(test, ""))
    fixtures = {test: Outcome(*pair) for test, pair in facts["fixtures"].items()}
    return ColumnResults(
        facts["version"], facts["restarts"], facts["fault"], facts["neutralised"], outcomes, fixtures
    )
