"""Tests of whole processes (signals, exit, fork) run small scripts, each in an interpreter of its own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TIME_LIMIT_S = 40


def run_script(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script with warnings as errors; returns its status and what it wrote, whatever the status is."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )


def output_of(script: str, *arguments: str) -> list[str]:
    """Run a script that must exit 0; returns the lines of its stdout."""
    done = run_script(script, *arguments)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines()
