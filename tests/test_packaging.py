"""What a user or a fresh machine gets: the metadata, the files that are shipped, the one-command scripts."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_version_stands_in_pyproject_and_agrees_everywhere() -> None:
    assert metadata.version("coro") == PROJECT["version"], "run `make venv`: the installed package is older"
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert PROJECT["version"] in headings


def test_every_folder_with_modules_is_a_package_and_so_is_shipped() -> None:
    folders = {path.parent for path in (ROOT / "coro").rglob("*.py")}

    assert folders
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
    assert (ROOT / "coro" / "py.typed").exists()


def test_ci_script_can_be_started() -> None:
    script = ROOT / ".ci" / "run"

    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


def test_make_help_lists_every_target(require_tool: Callable[[str], str]) -> None:
    make = require_tool("make")
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared is not None

    listed = subprocess.run([make, "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert re.findall(r"^  make (\S+)", listed, re.MULTILINE) == declared[1].split()


def test_make_names_a_python_that_is_too_old(require_tool: Callable[[str], str], tmp_path: Path) -> None:
    make = require_tool("make")
    old = tmp_path / "python3.10"
    # As `python -c` that exits 1 for the version, and `python -V`.
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.10.2 && exit 0\nexit 1\n')
    old.chmod(0o755)

    command = [make, "venv", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "coro needs Python 3.11 or newer" in done.stderr
    assert "Python 3.10.2" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_names_a_missing_ensurepip(require_tool: Callable[[str], str], tmp_path: Path) -> None:
    make = require_tool("make")
    bare = tmp_path / "python3"
    # As Debian's Python without python3-venv.
    bare.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    bare.chmod(0o755)

    command = [make, "venv", f"PYTHON={bare}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr
