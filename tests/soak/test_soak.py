"""The soak itself works: a thousandth of it, every part."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.meter import Held, Outcome
from tests.soak.part import PARTS

ROOT = Path(__file__).parent.parent.parent
QUICK = ["spawns", "timers", "connections", "visits", "hour", "frames"]


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.soak", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_small_soak_ends_well_and_writes_its_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- soak: begin -->\nold\n<!-- soak: end -->\nafter\n")
    done = soak(*QUICK, "--scale", "0.002", "--write", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    rows = [line for line in written.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(QUICK)
    assert all(row.endswith("| as it should be |") for row in rows[2:])
    assert len(re.findall(r"^\d/6 \w+: ", done.stderr, re.M)) == len(QUICK)


@pytest.mark.slow
def test_schedules_are_explored_beyond_those_of_the_tests() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak.part", "schedules", "0.0005"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["all_faults"] == []
    assert re.match(r"[4-9]\d\d schedules of \d+ scenarios", outcome["what"])


def test_unknown_part_is_refused() -> None:
    done = soak("nonsense")
    assert done.returncode == 2
    assert "there is no part nonsense; there are sleepers" in done.stderr


@pytest.mark.parametrize("scale", ["0", "-1", "1000"])
def test_impossible_scale_is_refused(scale: str) -> None:
    done = soak("--scale", scale)
    assert done.returncode == 2
    assert "--scale must be more than 0" in done.stderr


def test_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    done = soak("timers", "--scale", "0.001", "--write", str(page))
    assert done.returncode == 1
    assert "lacks the marks" in done.stderr


BEFORE = Held(100_000_000, 10, 1, 0, 1)


@pytest.mark.parametrize(
    ("after", "text"),
    [
        (Held(106_000_000, 10, 1, 0, 1), "memory grew"),
        (Held(100_000_000, 11, 1, 0, 1), "descriptors grew from 10 to 11"),
        (Held(100_000_000, 10, 2, 0, 1), "threads grew from 1 to 2"),
        (Held(100_000_000, 10, 1, 5, 1), "timers grew from 0 to 5"),
        (Held(100_000_000, 10, 1, 0, 2), "os_threads grew"),
    ],
)
def test_what_grew_is_a_fault(after: Held, text: str) -> None:
    [fault] = Outcome("a part", BEFORE, after, []).all_faults()
    assert text in fault


def test_what_shrank_or_grew_a_little_is_none() -> None:
    assert Outcome("a part", BEFORE, Held(104_000_000, 9, 1, 0, 1), []).all_faults() == []


def test_every_part_has_a_docstring() -> None:
    assert all(part.__doc__ for part in PARTS.values())
