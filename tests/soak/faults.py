"""Every system call fails once, everywhere: the tests of faults, with nothing left out."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.soak.meter import Outcome, Report

__all__ = ["faults"]


def faults(scale: float, report: Report) -> Outcome:
    """tests/faults with CORO_SOAK set, which has it walk through every call."""
    whole = scale >= 1
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "tests/faults", *([] if whole else ["--co"])],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CORO_SOAK": "1" if whole else "0"},
    )
    report(1.0)
    lines = done.stdout.strip().splitlines() or ["nothing"]
    counts = re.sub(r" in [0-9.]+s.*", "", lines[-1]).strip("= ")
    found = [] if done.returncode == 0 else [f"exit code {done.returncode}:\n" + "\n".join(lines[-30:])]
    return Outcome(f"fault injection, every call of every scenario: {counts}", None, None, found)
