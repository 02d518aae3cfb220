"""The quick benchmark: `python -m benchmarks.quick`; `--help` tells its options.

It measures every row in rounds that interleave the libraries (A B C A B C …), so that a slow minute of the
machine hits all of them, and prints one table. A missing peer is named and left out. A contender that crashes
is reported, gets no number, and makes the exit status 1; a bound that is missed does not: the reader judges.
"""

import argparse
import dataclasses
import signal
import sys
import time
from pathlib import Path

from benchmarks.machine import OWN, describe, today
from benchmarks.results import Measured, Results, write
from benchmarks.rows import ROWS, Row
from benchmarks.runner import failures, run_row, waiting_warnings
from benchmarks.summary import compare
from benchmarks.table import machine_lines, table_lines, title_lines

PEERS = ("gevent", "uvloop", "asyncio")
QUICK_ROWS = tuple(row for row in ROWS if not row.full_only)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status, 1 if a measurement failed."""
    options = parse(arguments)
    # SystemExit instead of sudden death, so that the process under measurement is killed too.
    signal.signal(signal.SIGTERM, lambda signum, _frame: sys.exit(128 + signum))
    machine = describe()
    print("\n".join(machine_lines(machine, options.rounds)), end="\n\n", flush=True)
    began = time.monotonic()
    measured = [_measured(row, options.rounds) for row in options.rows]
    outcomes = [outcome for one in measured for outcome in one.outcomes]
    comparisons = [comparison for one in measured for comparison in compare(one.row, list(one.outcomes))]
    print("\n".join([*table_lines(comparisons), "", *title_lines(options.rows)]))
    for warning in waiting_warnings(outcomes):
        print(warning)
    if options.json is not None:
        seconds = round(time.monotonic() - began, 1)
        rounds = options.rounds
        write(Results(machine, today(), False, rounds, rounds, seconds, tuple(measured), ()), options.json)
    failed = len(failures(outcomes))
    if failed:
        print(f"FAILED: {failed} of {len(outcomes)} contenders crashed, see above", file=sys.stderr)
    return 1 if failed else 0


def _measured(row: Row, rounds: int) -> Measured:
    print(f"measuring {row.name} …", file=sys.stderr, flush=True)
    before = time.monotonic()
    outcomes = run_row(row, rounds)
    return Measured(row, tuple(outcomes), round(time.monotonic() - before, 1))


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The command line, checked: the rows hold only the peers that were asked for."""

    rows: list[Row]
    rounds: int
    json: Path | None


def parse(arguments: list[str] | None) -> Options:
    """Read the command line; on a mistake print the usage and exit with status 2."""
    names = ", ".join(row.name for row in QUICK_ROWS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quick", epilog=f"rows: {names}")
    parser.add_argument("--only", metavar="ROW,ROW", help="these rows only; `echo` means all rows named echo-…")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each contender (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all samples and ratios to this file")
    parser.add_argument("--peers", default=",".join(PEERS), help="the peers to measure (default %(default)s)")
    parsed = parser.parse_args(arguments)
    peers = parsed.peers.split(",")
    unknown = [peer for peer in peers if peer not in PEERS]
    if unknown:
        parser.error(f"peers must be among {', '.join(PEERS)}, got {', '.join(unknown)}")
    if parsed.rounds < 1:
        parser.error(f"rounds must be at least 1, got {parsed.rounds}")
    if parsed.json is not None and (parsed.json.is_dir() or not parsed.json.parent.is_dir()):
        parser.error(f"cannot write to {parsed.json}: a directory, or in none")
    wanted = parsed.only.split(",") if parsed.only else [row.name for row in QUICK_ROWS]
    for want in wanted:
        if not any(matches(row, want) for row in QUICK_ROWS):
            parser.error(f"no row {want!r}; rows: {names}")
    rows = [with_peers(row, peers) for row in QUICK_ROWS if any(matches(row, want) for want in wanted)]
    return Options(rows, parsed.rounds, parsed.json)


def matches(row: Row, want: str) -> bool:
    """Return whether `want` names the row, or the group it belongs to (`echo`, `yield`, `wake`)."""
    return row.name == want or row.name.startswith(f"{want}-")


def with_peers(row: Row, libraries: list[str]) -> Row:
    """Return the row with those peers that it has a bound against, or all if it has no bound at all.

    Of these, only the ones on one of the libraries, or on coro itself.
    """
    some_bounds = any(peer.bound is not None for peer in row.peers)
    peers = [peer for peer in row.peers if peer.bound is not None or not some_bounds]
    return dataclasses.replace(row, peers=tuple(peer for peer in peers if peer.library in (*OWN, *libraries)))


if __name__ == "__main__":
    sys.exit(main())
