"""A process of one column cannot pass for one of another."""

import gc
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path

import pytest

import coro
from tests.stdlib.columns import COLUMNS, OWNED, owner_of

ROOT = Path(__file__).parent.parent.parent


def borrowed(function: Callable[..., object], name: str) -> Callable[..., object]:
    """The function under another module's name, as an emulation may put it in place."""

    def standing_in() -> None:
        function()

    standing_in.__module__ = name
    return standing_in


def test_an_owner_is_told_by_what_runs_and_not_by_a_name() -> None:
    assert owner_of(coro.spawn) == "coro"
    assert owner_of(coro.sock) == "coro"
    assert owner_of(gc.get_count) == ""
    assert owner_of(unittest.TestCase) == ""
    assert owner_of(gc.collect) == ""
    assert owner_of(borrowed(gc.get_count, "coro.emulation")) == ""


def test_a_function_in_a_static_method_has_the_owner_of_the_function() -> None:
    assert owner_of(staticmethod(coro.spawn)) == "coro"


@pytest.mark.parametrize("name", COLUMNS)
def test_a_plain_process_is_of_the_plain_column_only(name: str) -> None:
    program = f"from tests.stdlib.columns import COLUMNS; COLUMNS[{name!r}].check()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (name == "plain"), done.stderr
    assert (f"column {name}: {OWNED[0]} must be" in done.stderr) == (name != "plain")
