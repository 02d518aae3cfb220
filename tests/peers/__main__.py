"""Real peers: `python -m tests.peers [CASE …] [--plain] [--threads 200] [--write PAGE]`, which `make peers` runs.

Each case is a program of tests/peers/programs in a process of its own, and a server that it talks to.  At the end
comes a table.  The exit code is 1 if anything went wrong, or a server's program is missing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tests.marked_page import write_between
from tests.peers.case import CASES, Case, fault_of, run_case
from tests.peers.page import PAGES, faults_of_page
from tests.peers.server import MissingProgram

BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


def main() -> int:
    """Run the cases that were asked for; 0 if all is well."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--plain", action="store_true", help="on plain Python: is the program itself right?")
    parser.add_argument("--threads", type=int, default=200, help="how many (200)")
    parser.add_argument("--write", metavar="PAGE", help="put the table into this page, between its marks")
    options = parser.parse_args()
    unknown = set(options.cases) - set(names)
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if not 1 <= options.threads <= 200:
        parser.error(f"--threads must be 1 to 200, got {options.threads}: the servers are set up for so many")
    rows = [
        (case, outcome_of(case, options.threads, plain=options.plain))
        for case in CASES
        if case.name in (options.cases or names)
    ]
    table = table_of(rows)
    print(table)
    if options.write:
        write_between(Path(options.write), BEGIN, END, table)
    faults = [f"{case.name}: {outcome['fault']}" for case, outcome in rows if outcome["fault"]]
    if not options.cases and not options.plain:
        faults += faults_of_pages()
    for fault in faults:
        print(f"\n{fault}")
    return 1 if faults else 0


def faults_of_pages() -> list[str]:
    """Run the examples of the documentation that need a server; what is wrong with them."""
    faults = []
    for name in PAGES:
        print(f"examples of {name} … ", end="", file=sys.stderr, flush=True)
        try:
            found = faults_of_page(name)
        except MissingProgram as missing:
            found = [f"{name}: {missing}"]
        print("failed" if found else "ok", file=sys.stderr, flush=True)
        faults += found
    return faults


def outcome_of(case: Case, threads: int, *, plain: bool) -> dict[str, Any]:
    """Run a case; a server that is missing is a fault too."""
    print(f"{case.name} … ", end="", file=sys.stderr, flush=True)
    try:
        outcome = run_case(case, threads=threads, plain=plain)
        outcome["fault"] = fault_of(outcome, case.requests, plain=plain)
    except MissingProgram as missing:
        outcome = {"fault": str(missing), "threads": threads}
    print("failed" if outcome["fault"] else "ok", file=sys.stderr, flush=True)
    return outcome


def table_of(rows: list[tuple[Case, dict[str, Any]]]) -> str:
    """The outcomes as a table in Markdown."""
    lines = [
        "| peer | library | threads | requests | seconds | CPU | worst tick | beside it | result |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, outcome in rows:
        if "answers" not in outcome:
            lines.append(
                f"| {case.peer_name} | {case.program} | {outcome['threads']} | – | – | – | – | – | **failed** |"
            )
            continue
        verdict = "**failed**" if outcome["fault"] else "as it should be"
        lines.append(
            f"| {case.peer_name} | {outcome['library']} | {outcome['threads']} | {outcome['answers']} "
            f"| {outcome['seconds']:.1f} | {outcome['cpu_s']:.1f} s | {outcome['worst_own_s'] * 1000:.0f} ms "
            f"| {outcome['machine_late_s'] * 1000:.0f} ms | {verdict} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
