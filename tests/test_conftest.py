"""The checks of conftest.py, run by a pytest of their own on tests that break them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

PLANTED = """
import subprocess, sys, threading, time, types, _thread
import pytest

HELD = []

@pytest.fixture(scope="module")
def wide():
    child = subprocess.Popen(["sleep", "60"])
    yield
    child.kill()
    child.wait()

@pytest.fixture
def narrow():
    child = subprocess.Popen(["sleep", "60"])
    yield
    child.kill()
    child.wait()

def test_tidy(wide, narrow):
    subprocess.run(["true"], check=True)
    thread = threading.Thread(target=time.sleep, args=(0.1,))
    thread.start()

def test_leaves_running_child():
    HELD.append(subprocess.Popen(["sleep", "61"]))

def test_running_child_was_ended():
    assert HELD[0].poll() is not None

def test_leaves_zombie():
    HELD.append(subprocess.Popen(["true"]))

def test_leaves_os_thread():
    threading.Thread(target=time.sleep, args=(5,), name="straggler", daemon=True).start()

def test_leaves_raw_os_thread():
    running = threading.Event()
    _thread.start_new_thread(lambda: (running.set(), time.sleep(5)), ())
    running.wait()

def fake_coro(running):
    module = types.ModuleType("coro")
    module.all_threads = {7: "<coro #7 left over>"}
    module.coro_is_running = lambda: running
    sys.modules["coro"] = module

def test_leaves_coroutine_thread():
    fake_coro(running=False)

def test_thread_of_running_loop():
    fake_coro(running=True)

def test_tool(require_tool):
    assert require_tool("true").endswith("/true")

def test_no_tool(require_tool):
    require_tool("no-such-tool")
"""


def run_planted(folder: Path, selected: list[str] | None, ci: str | None) -> dict[str, str]:
    """Run the planted tests of these names (None: all); returns for each its worst outcome and reason."""
    text = CONFTEST.read_text()
    assert text.count("GRACE_S = 1.0") == 1
    (folder / "conftest.py").write_text(text.replace("GRACE_S = 1.0", "GRACE_S = 0.4"))
    (folder / "test_planted.py").write_text(PLANTED)
    names = selected or re.findall(r"^def (test_\w+)", PLANTED, re.MULTILINE)
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    if ci is not None:
        environment["CI"] = ci
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-rA",
        "-p",
        "no:randomly",
        "--rootdir",
        ".",
        "-c",
        os.devnull,
    ]
    done = subprocess.run(
        [*command, "--tb=short", *(f"test_planted.py::{name}" for name in names)],
        cwd=folder,
        env=environment | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    outcomes: dict[str, str] = {}
    for outcome in ("PASSED", "FAILED", "ERROR"):
        for line in done.stdout.splitlines():
            if line.startswith(f"{outcome} test_planted.py::"):
                name, _, reason = line.split("::", 1)[1].partition(" - ")
                outcomes[name] = f"{outcome} {reason}"
    for line in done.stdout.splitlines():
        if line.startswith("SKIPPED"):
            outcomes["test_no_tool"] = line
    assert sorted(outcomes) == sorted(names), done.stdout + done.stderr
    return outcomes


@pytest.mark.slow
def test_whoever_leaves_something_behind_is_failed_by_name(tmp_path: Path) -> None:
    outcomes = run_planted(tmp_path, None, ci=None)

    for tidy in ("test_tidy", "test_running_child_was_ended", "test_thread_of_running_loop", "test_tool"):
        assert outcomes[tidy].startswith("PASSED"), (tidy, outcomes[tidy])
    for name, expected in {
        "test_leaves_running_child": "(sleep 61)",
        "test_leaves_zombie": "(ended, but nobody has waited for it)",
        "test_leaves_os_thread": "OS thread straggler",
        "test_leaves_raw_os_thread": "OS thread without a name",
        "test_leaves_coroutine_thread": "coroutine thread '<coro #7 left over>'",
    }.items():
        assert outcomes[name].startswith("ERROR"), (name, outcomes[name])
        assert expected in outcomes[name]
    assert outcomes["test_no_tool"].startswith("SKIPPED")
    assert "no-such-tool" in outcomes["test_no_tool"]


@pytest.mark.slow
def test_missing_tool_fails_where_ci_is_set(tmp_path: Path) -> None:
    outcomes = run_planted(tmp_path, ["test_tool", "test_no_tool"], ci="true")

    assert outcomes["test_no_tool"].startswith("FAILED")
    assert "no-such-tool" in outcomes["test_no_tool"]
    assert outcomes["test_tool"].startswith("PASSED")
