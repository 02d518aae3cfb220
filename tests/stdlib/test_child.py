"""What the program tells of each kind of test."""

import json
import unittest
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("test.support", reason="this interpreter was installed without its own tests")

from tests.stdlib.child import Journal, Result, Suite, flattened


class Kinds(unittest.TestCase):
    """One test of each kind."""

    def runs_well(self) -> None:
        pass

    def fails(self) -> None:
        self.fail("why")

    def breaks(self) -> None:
        raise OSError("why")

    def is_skipped(self) -> None:
        self.skipTest("why")

    @unittest.expectedFailure
    def fails_as_expected(self) -> None:
        self.fail("why")

    @unittest.expectedFailure
    def passes_unexpectedly(self) -> None:
        pass

    def has_a_part_that_fails(self) -> None:
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1, "why")

    def fails_and_cannot_tidy_up(self) -> None:
        self.addCleanup(self.breaks)
        self.fail("why")


class NoClass(unittest.TestCase):
    """Its fixture fails."""

    @classmethod
    def setUpClass(cls) -> None:
        raise OSError("why")

    def never_runs(self) -> None:
        pass


def told(folder: Path, *tests: unittest.TestCase) -> list[dict[str, Any]]:
    """What the program says while it runs these tests."""
    journal = folder / "journal"
    journal.touch()
    Suite(tests, Journal(str(journal))).run(Result(Journal(str(journal))))
    return [json.loads(line) for line in journal.read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "outcome", "detail"),
    [
        ("runs_well", "passed", ""),
        ("fails", "failed", "AssertionError: why"),
        ("breaks", "error", "OSError: why"),
        ("is_skipped", "skipped", "why"),
        ("fails_as_expected", "passed", ""),
        ("passes_unexpectedly", "failed", "passed, which the test itself does not expect"),
        ("has_a_part_that_fails", "failed", "AssertionError: 1 == 1 : why"),
        ("fails_and_cannot_tidy_up", "failed", "AssertionError: why"),
    ],
)
def test_each_kind_of_test_is_told_as_what_it_is(tmp_path: Path, name: str, outcome: str, detail: str) -> None:
    *begins, end = told(tmp_path, Kinds(name))
    test = f"{__name__}.Kinds.{name}"
    assert begins == [{"event": "next", "test": test}, {"event": "start", "test": test}]
    assert (end["event"], end["test"], end["outcome"]) == ("end", test, outcome)
    assert end["detail"].strip().endswith(detail)
    assert end["seconds"] >= 0


def test_a_fixture_that_fails_is_told_and_its_tests_do_not_run(tmp_path: Path) -> None:
    first, fixture = told(tmp_path, NoClass("never_runs"))
    assert first["event"] == "next"
    assert (fixture["event"], fixture["outcome"]) == ("fixture", "error")
    assert "setUpClass" in fixture["test"]
    assert "OSError: why" in fixture["detail"]


def test_suites_in_suites_are_flattened_in_order() -> None:
    tests = [Kinds("fails"), Kinds("breaks"), Kinds("runs_well")]
    suite = unittest.TestSuite([tests[0], unittest.TestSuite([tests[1], unittest.TestSuite([tests[2]])])])
    assert list(flattened(suite)) == tests
