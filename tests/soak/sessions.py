"""A thousand console sessions, each with every command; the daemon is what is measured."""

from __future__ import annotations

import subprocess
import sys

from tests.soak.meter import Outcome, Report

__all__ = ["sessions"]


def sessions(scale: float, report: Report) -> Outcome:
    """Attach, run every command, leave, a thousand times, after a hundred to warm up."""
    count = max(4, int(1000 * scale))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.console", "attach", "--attaches", str(count)],
        capture_output=True,
        text=True,
        check=False,
    )
    report(1.0)
    told = " ".join(done.stdout.split())
    faults = [] if done.returncode == 0 else [f"exit code {done.returncode}: {told} {done.stderr[-500:]}"]
    return Outcome(told or "console sessions", None, None, faults)
