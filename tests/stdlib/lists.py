"""The lists kept by hand, exclusions.toml and reasons.toml: patterns of test ids and what is to be said of them."""

import fnmatch
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXCLUSIONS = Path(__file__).parent / "exclusions.toml"
REASONS = Path(__file__).parent / "reasons.toml"


class ListError(ValueError):
    """A list cannot be used; the message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of some tests.

    tests: patterns as fnmatch's, matched against test.MODULE.CLASS.METHOD.
    reason: a sentence for the page.
    """

    tests: tuple[str, ...]
    reason: str

    def matches(self, test: str) -> bool:
        """Whether one of the patterns is the test's."""
        return any(fnmatch.fnmatchcase(test, pattern) for pattern in self.tests)


def read(path: Path) -> list[Entry]:
    """Read a list: tables `[[entry]]` with `tests`, a list of patterns, and `reason`.

    Raises ListError for anything else, OSError if there is no such file.
    """
    try:
        read_ = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ListError(f"{path}: {error}") from error
    return [_entry(path, number, table) for number, table in enumerate(read_.get("entry", []), 1)]


def _entry(path: Path, number: int, table: dict[str, Any]) -> Entry:
    tests, reason = table.get("tests"), table.get("reason")
    is_whole = set(table) == {"tests", "reason"} and isinstance(reason, str) and reason.strip()
    if not is_whole or not isinstance(tests, list) or not tests:
        raise ListError(f"{path}: entry {number} must have `tests`, a list of patterns, and `reason`, got {table}")
    wrong = [pattern for pattern in tests if not str(pattern).startswith("test.")]
    if wrong:
        raise ListError(f"{path}: entry {number}: a pattern begins with `test.`, got {wrong[0]!r}")
    return Entry(tuple(tests), str(reason).strip())


def first(entries: Iterable[Entry], test: str) -> Entry | None:
    """The first entry that matches the test, None if there is none."""
    return next((entry for entry in entries if entry.matches(test)), None)
