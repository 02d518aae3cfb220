"""The soak: `python -m tests.soak [PART …] [--scale 0.1] [--write docs/soak.md]`, which `make soak` runs.

Each part runs in a process of its own.  On a terminal a line shows how far it is; at the end comes a table.  The
exit code is 1 if anything went wrong or grew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.marked_page import write_between
from tests.soak.part import PARTS

BAR_WIDTH = 30
BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"


def main() -> int:
    """Run the parts that were asked for; 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each, 1 being all (1)")
    parser.add_argument("--write", metavar="PAGE", help="put the table into this page, between its marks")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not 0 < options.scale <= 100:
        parser.error(f"--scale must be more than 0 and 100 at most, got {options.scale}")
    names = options.parts or list(PARTS)
    results = [run_part(name, options.scale, f"{number}/{len(names)}") for number, name in enumerate(names, 1)]
    table = table_of(results)
    print(table)
    if options.write:
        write_between(Path(options.write), BEGIN, END, table)
    faulty = [result for result in results if result["all_faults"]]
    for result in faulty:
        print(f"\n{result['name']}:", *result["all_faults"], sep="\n  ")
    return 1 if faulty else 0


def run_part(name: str, scale: float, number: str) -> dict[str, Any]:
    """Run one part, showing how far it is; its outcome, with `name` and `seconds`."""
    began = time.monotonic()
    outcome: dict[str, Any] | None = None
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "tests.soak.part", name, str(scale)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        show(number, name, 0.0, began)
        for line in process.stdout:
            if line.startswith("{"):
                told = json.loads(line)
                if "progress" in told:
                    show(number, name, told["progress"], began)
                else:
                    outcome = told
    show(number, name, 1.0, began, is_last=True)
    if outcome is None or process.returncode != 0:
        faults = [f"the part ended with exit code {process.returncode}"]
        outcome = {"what": name, "before": None, "after": None, "all_faults": faults, **(outcome or {})}
        outcome["all_faults"] = outcome["all_faults"] or faults
    return {**outcome, "name": name, "seconds": time.monotonic() - began}


def show(number: str, name: str, done: float, began: float, *, is_last: bool = False) -> None:
    """The progress line: drawn anew on a terminal, printed once elsewhere."""
    if not sys.stderr.isatty():
        if is_last:
            print(f"{number} {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        return
    full = round(done * BAR_WIDTH)
    bar = "#" * full + "." * (BAR_WIDTH - full)
    text = f"\r{number:>6} {name:<12} [{bar}] {done:4.0%} {time.monotonic() - began:5.0f} s"
    print(text, end="\n" if is_last else "", file=sys.stderr, flush=True)


def table_of(results: list[dict[str, Any]]) -> str:
    """The outcomes as a table in Markdown."""
    lines = [
        "| what | memory after warm-up → at the end | change | descriptors | threads | timers | result |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        before, after = result["before"], result["after"]
        verdict = "**failed**" if result["all_faults"] else "as it should be"
        if before is None or after is None:
            lines.append(f"| {result['what']} | – | – | – | – | – | {verdict} |")
            continue
        change = after["resident_bytes"] / before["resident_bytes"] - 1
        grown = [f"{after[key] - before[key]:+d}" for key in ("descriptors", "threads", "timers")]
        lines.append(
            f"| {result['what']} | {before['resident_bytes'] / 1e6:.1f} → {after['resident_bytes'] / 1e6:.1f} MB "
            f"| {change:+.1%} | {' | '.join(grown)} | {verdict} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
