"""The full benchmark: `python -m benchmarks.full`; `--help` tells its options.

Every row, against every peer that has the thing, in one run of about ten minutes. It
prints one table and writes every sample to a file, of which `python -m benchmarks.page` makes the page and its
pictures. A peer that is missing or fails is named in its row, and the run goes on; the exit status is 1 only if one
of our own measurements failed. A bound that is missed is no failure: the reader judges.
"""

import argparse
import dataclasses
import signal
import sys
import time
from pathlib import Path

from benchmarks import profile
from benchmarks.machine import OWN, describe, today
from benchmarks.measurement import MeasurementError
from benchmarks.results import Measured, Profile, Results, write
from benchmarks.rows import ROWS, Row, smoke
from benchmarks.runner import failures, run_row, waiting_warnings
from benchmarks.summary import Outcome, compare
from benchmarks.table import machine_lines, table_lines, title_lines

DEFAULT_FILE = Path(__file__).parent / "results.json"
ROUNDS = 5
UNBOUNDED_ROUNDS = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The command line, checked."""

    rows: list[Row]
    rounds: int
    unbounded_rounds: int
    json: Path
    smoke: bool
    profile: bool


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status, 1 if a measurement of our own failed."""
    options = parse(arguments)
    # SystemExit instead of sudden death, so that the process under measurement is killed too.
    signal.signal(signal.SIGTERM, lambda signum, _frame: sys.exit(128 + signum))
    began = time.monotonic()
    machine = describe()
    print("\n".join(machine_lines(machine, options.rounds)), end="\n\n", flush=True)
    measured = []
    for number, row in enumerate(options.rows, 1):
        measured.append(measure_row(row, options, f"{number} of {len(options.rows)}"))
    profiles, failed_profiles = take_profiles(options)
    seconds = round(time.monotonic() - began, 1)
    results = Results(
        machine,
        today(),
        options.smoke,
        options.rounds,
        options.unbounded_rounds,
        seconds,
        tuple(measured),
        tuple(profiles),
    )
    # First the file: it is the run.
    write(results, options.json)
    failed = [outcome for one in measured for outcome in failures(list(one.outcomes))]
    report(results, failed)
    ours = sum(outcome.contender.library in OWN for outcome in failed) + failed_profiles
    print(f"\nwritten to {options.json} after {seconds:.0f} s; now: python -m benchmarks.page {options.json}")
    return 1 if ours else 0


def measure_row(row: Row, options: Options, place: str) -> Measured:
    """Measure one row, telling on standard error how it goes."""
    print(f"{place}: {row.name} …", end="", file=sys.stderr, flush=True)
    before = time.monotonic()
    outcomes = run_row(row, options.rounds, options.unbounded_rounds)
    seconds = round(time.monotonic() - before, 1)
    print(f" {seconds} s", file=sys.stderr, flush=True)
    return Measured(row, tuple(outcomes), seconds)


def take_profiles(options: Options) -> tuple[list[Profile], int]:
    """Profile our own scenarios, if asked to; return the profiles and how many failed."""
    profiles, failed = [], 0
    for name in profile.SCENARIOS if options.profile else ():
        print(f"profile: {name} …", file=sys.stderr, flush=True)
        try:
            profiles.append(profile.take(name, tiny=options.smoke))
        except MeasurementError as error:
            print(f"FAILED profile {name}: {error}", file=sys.stderr, flush=True)
            failed += 1
    return profiles, failed


def report(results: Results, failed: list[Outcome]) -> None:
    """Print the table, and what there is to warn of."""
    comparisons = [comparison for one in results.measured for comparison in compare(one.row, list(one.outcomes))]
    rows = [one.row for one in results.measured]
    print("\n".join([*table_lines(comparisons), "", *title_lines(rows)]))
    for taken in results.profiles:
        print("\n" + "\n".join(profile.profile_lines(taken)))
    for warning in waiting_warnings([outcome for one in results.measured for outcome in one.outcomes]):
        print(warning)
    if results.smoke:
        print("A smoke run: tiny workloads, the figures mean nothing.")
    if failed:
        print(f"{len(failed)} contenders failed, see above", file=sys.stderr)


def parse(arguments: list[str] | None) -> Options:
    """Read the command line; on a mistake print the usage and exit with status 2."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full", epilog=f"rows: {', '.join(names)}")
    parser.add_argument("--only", metavar="ROW,ROW", help="these rows only")
    parser.add_argument("--rounds", type=int, help=f"measurements of each contender (default {ROUNDS})")
    parser.add_argument(
        "--unbounded-rounds", type=int, help=f"of those with no bound (default {UNBOUNDED_ROUNDS}, or --rounds)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", default=DEFAULT_FILE, help="(default %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="run everything once, tiny; the figures mean nothing")
    parser.add_argument("--no-profile", action="store_true", help="leave the profiles of our own scenarios out")
    parsed = parser.parse_args(arguments)
    rounds = parsed.rounds if parsed.rounds is not None else 1 if parsed.smoke else ROUNDS
    unbounded = parsed.unbounded_rounds if parsed.unbounded_rounds is not None else min(UNBOUNDED_ROUNDS, rounds)
    if not 1 <= unbounded <= rounds:
        parser.error(f"rounds must be at least 1, and unbounded rounds no more: got {rounds} and {unbounded}")
    if parsed.json.is_dir() or not parsed.json.parent.is_dir():
        parser.error(f"cannot write to {parsed.json}: a directory, or in none")
    if parsed.smoke and parsed.json == DEFAULT_FILE:
        parser.error("a smoke run needs --json: its figures must not replace real ones")
    wanted = parsed.only.split(",") if parsed.only else names
    unknown = [name for name in wanted if name not in names]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; rows: {', '.join(names)}")
    rows = [smoke(row) if parsed.smoke else row for row in ROWS if row.name in wanted]
    return Options(rows, rounds, unbounded, parsed.json, parsed.smoke, not parsed.no_profile)


if __name__ == "__main__":
    sys.exit(main())
