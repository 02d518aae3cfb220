"""Source lines, and files that are newer than the process."""

from __future__ import annotations

import builtins
import linecache
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coro.inspect import process
from coro.inspect.process import STARTED, started, uptime_s
from coro.inspect.source import MAX_FILES, MAX_LINE_CHARACTERS, SourceFiles

ROOT = str(Path(__file__).parent.parent.parent)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [10**12]
    monkeypatch.setattr("coro.inspect.source.time.monotonic_ns", lambda: now[0])
    return now


def test_line_is_read_without_its_indentation(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("def f():\n    return 1\n\n")
    os.utime(path, (1000, 1000))
    files = SourceFiles(started=2000)
    assert files.line(str(path), 2) == ("return 1", False)
    assert files.line(str(path), 3) == (None, False)
    assert files.line(str(path), 4) == (None, False)
    assert files.line(str(path), 0) == (None, False)


def test_file_that_changed_after_the_start_is_newer(tmp_path: Path, clock: list[int]) -> None:
    path = tmp_path / "x.py"
    path.write_text("old")
    os.utime(path, (1000, 1000))
    files = SourceFiles(started=2000)
    assert files.line(str(path), 1) == ("old", False)

    path.write_text("new")
    os.utime(path, (3000, 3000))
    # For a second the disk is not asked again.
    assert files.line(str(path), 1) == ("old", False)
    clock[0] += 10**9
    assert files.line(str(path), 1) == ("new", True)


def test_file_of_this_process_is_not_newer(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import coro.inspect\n"
        "from coro.inspect.source import source_files\n"
        "first = source_files.line(__file__, 1)\n"
        "with open(__file__, 'a') as file: file.write('# changed')\n"
        "import os, time; os.utime(__file__, (time.time() + 1,) * 2)\n"
        "time.sleep(1.1)\n"
        "print(first, source_files.line(__file__, 1))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == "('import coro.inspect', False) ('import coro.inspect', True)\n"


def test_file_that_is_gone_has_no_lines(tmp_path: Path, clock: list[int]) -> None:
    path = tmp_path / "x.py"
    path.write_text("x = 1")
    files = SourceFiles()
    assert files.line(str(path), 1)[0] == "x = 1"
    path.unlink()
    clock[0] += 10**9
    assert files.line(str(path), 1) == (None, False)


@pytest.mark.parametrize(
    "name", ["", "<string>", "/dev/zero", "/dev/stdin", "/", "a\0b", "/nowhere/at/all.py", "no_such.py"]
)
def test_what_is_no_file_has_no_lines(name: str) -> None:
    assert SourceFiles().line(name, 1) == (None, False)


def test_fifo_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "fifo.py"
    os.mkfifo(path)
    assert SourceFiles().line(str(path), 1) == (None, False)


def test_typed_lines_are_found_where_linecache_keeps_them() -> None:
    linecache.cache["<session 3>"] = (6, None, ["x = 1\n"], "<session 3>")
    linecache.cache["<lazy>"] = (lambda: pytest.fail("a loader was called"),)  # type: ignore[assignment]
    try:
        assert SourceFiles().line("<session 3>", 1) == ("x = 1", False)
        assert SourceFiles().line("<session 3>", 2) == (None, False)
        assert SourceFiles().line("<lazy>", 1) == (None, False)
    finally:
        del linecache.cache["<session 3>"], linecache.cache["<lazy>"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("x = 'é'".encode(), "x = 'é'"),
        (b"\xef\xbb\xbfx = 1", "x = 1"),
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'", "x = 'é'"),
        (b"#!/bin/x\n# vim: set fileencoding=iso-8859-1 :\nx = '\xe9'", "x = 'é'"),
        (b"x = '\xe9'", "x = '�'"),
        (b"x = 1\r\n", "x = 1"),
        (b"y" * 5000, "y" * MAX_LINE_CHARACTERS),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(data)
    line = data.rstrip(b"\r\n").count(b"\n") + 1
    assert SourceFiles().line(str(path), line)[0] == expected


def test_relative_names_are_looked_for_as_imports_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_module.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert SourceFiles().line("some_module.py", 1)[0] == "x = 1"


def test_number_of_files_kept_is_bounded(tmp_path: Path) -> None:
    files = SourceFiles()
    for number in range(MAX_FILES + 50):
        path = tmp_path / f"{number}.py"
        path.write_text(str(number))
        assert files.line(str(path), 1)[0] == str(number)
    assert len(files._files) == MAX_FILES


def test_reading_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(b"# coding: iso-8859-15\nx = 1")

    def refuse(name: str, *args: Any) -> Any:
        raise AssertionError(f"imports {name}")

    monkeypatch.setattr(builtins, "__import__", refuse)
    line = SourceFiles().line(str(path), 2)[0]
    monkeypatch.undo()
    assert line == "x = 1"


def test_process_has_started_before_now() -> None:
    assert started() == STARTED
    assert 0 < uptime_s() < 24 * 3600
    assert abs(time.time() - started() - uptime_s()) < 1


def test_process_start_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "open", lambda *args: (_ for _ in ()).throw(FileNotFoundError()))
    assert process._started_by_proc() is None


def test_fork_counts_as_a_start() -> None:
    script = (
        "import os, time, coro.inspect.process as p\n"
        "time.sleep(0.3)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os._exit(0 if p.uptime_s() < 0.25 < time.time() - p.STARTED else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "0\n"
