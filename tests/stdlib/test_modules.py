"""An interpreter without its own tests is told so."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stdlib.modules import NoTestPackageError, require_test_package

ROOT = Path(__file__).parent.parent.parent
WITHOUT_TESTS = """
import sys
sys.modules["test"] = None
from tests.stdlib.__main__ import main
sys.exit(main())
"""


def test_a_missing_module_of_tests_is_named_with_a_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "test.test_ssl" else object())
    with pytest.raises(NoTestPackageError, match=r"no test\.test_ssl: .*apt-get install libpython3\.\d+-testsuite"):
        require_test_package()


def test_without_the_tests_the_command_says_so_and_fails() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TESTS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "apt-get install libpython" in done.stderr
    assert "Traceback" not in done.stderr
