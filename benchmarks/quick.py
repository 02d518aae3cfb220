"""The quick benchmark: `python -m benchmarks.quick`; `--help` tells its options.

It measures every row in rounds that interleave the libraries (A B C A B C …), so that a slow minute of the
machine hits all of them, and prints one table. A missing peer is named and left out. A contender that crashes
is reported, gets no number, and makes the exit status 1; a bound that is missed does not: the reader judges.
"""

import argparse
import dataclasses
import importlib.util
import json
import signal
import sys
from pathlib import Path

from benchmarks.machine import BUSY_SHARE, LIBRARIES, Machine, describe
from benchmarks.measurement import MeasurementError, measure
from benchmarks.report import Sample
from benchmarks.rows import ROWS, Contender, Row
from benchmarks.summary import Comparison, Outcome, compare
from benchmarks.table import machine_lines, table_lines, title_lines

PEERS = tuple(name for name in LIBRARIES if name != "coro")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status, 1 if a measurement failed."""
    options = parse(arguments)
    # SystemExit instead of sudden death, so that the process under measurement is killed too.
    signal.signal(signal.SIGTERM, lambda signum, _frame: sys.exit(128 + signum))
    machine = describe()
    print("\n".join(machine_lines(machine, options.rounds)), end="\n\n", flush=True)
    results: list[tuple[Row, list[Outcome]]] = []
    for row in options.rows:
        print(f"measuring {row.name} …", file=sys.stderr, flush=True)
        results.append((row, run_row(row, options.rounds)))
    comparisons = [comparison for row, outcomes in results for comparison in compare(row, outcomes)]
    outcomes = [outcome for _, row_outcomes in results for outcome in row_outcomes]
    print("\n".join([*table_lines(comparisons), "", *title_lines(options.rows)]))
    for warning in waiting_warnings(outcomes):
        print(warning)
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(machine, options.rounds, results, comparisons), indent=2) + "\n")
    failed = sum(outcome.note == "FAILED" for outcome in outcomes)
    if failed:
        print(f"FAILED: {failed} of {len(outcomes)} contenders crashed, see above", file=sys.stderr)
    return 1 if failed else 0


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The command line, checked: the rows hold only the peers that were asked for."""

    rows: list[Row]
    rounds: int
    json: Path | None


def parse(arguments: list[str] | None) -> Options:
    """Read the command line; on a mistake print the usage and exit with status 2."""
    names = ", ".join(row.name for row in ROWS)
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
    wanted = parsed.only.split(",") if parsed.only else [row.name for row in ROWS]
    for want in wanted:
        if not any(matches(row, want) for row in ROWS):
            parser.error(f"no row {want!r}; rows: {names}")
    rows = [with_peers(row, peers) for row in ROWS if any(matches(row, want) for want in wanted)]
    return Options(rows, parsed.rounds, parsed.json)


def matches(row: Row, want: str) -> bool:
    """Return whether `want` names the row, or the group it belongs to (`echo`, `yield`, `wake`)."""
    return row.name == want or row.name.startswith(f"{want}-")


def with_peers(row: Row, libraries: list[str]) -> Row:
    """Return the row with only those peers that run on one of the libraries, or on coro itself."""
    return dataclasses.replace(row, peers=tuple(peer for peer in row.peers if peer.library in ("coro", *libraries)))


def run_row(row: Row, rounds: int) -> list[Outcome]:
    """Measure the row's contenders in interleaved rounds. One that fails is reported and not tried again."""
    contenders = row.contenders()
    notes = [absence(row, contender) for contender in contenders]
    samples: list[list[Sample]] = [[] for _ in contenders]
    for _ in range(rounds):
        for position, contender in enumerate(contenders):
            if notes[position]:
                continue
            try:
                samples[position].append(measure(contender, row.connections))
            except MeasurementError as error:
                print(f"FAILED {row.name}: {error}", file=sys.stderr, flush=True)
                notes[position] = "FAILED"
                samples[position].clear()
    return [
        Outcome(contender, tuple(taken), note)
        for contender, taken, note in zip(contenders, samples, notes, strict=True)
    ]


def absence(row: Row, contender: Contender) -> str:
    """Return why this contender cannot be measured here, "" if it can. `coro` itself is never excused."""
    if row.linux_only and sys.platform != "linux":
        return "needs Linux"
    if contender.library != "coro" and importlib.util.find_spec(contender.library) is None:
        return "not installed"
    return ""


def waiting_warnings(outcomes: list[Outcome]) -> list[str]:
    """Return a warning if measuring processes had to wait for their core: other work ran beside them."""
    samples = [sample for outcome in outcomes for sample in outcome.samples]
    disturbed = [sample.waited for sample in samples if sample.waited > BUSY_SHARE]
    if not disturbed:
        return []
    text = (
        f"WARNING: the machine was busy: in {len(disturbed)} of {len(samples)} measurements the process "
        f"waited for its core,\nover {BUSY_SHARE:.0%} of its CPU time (worst {max(disturbed):.0%}): repeat it"
    )
    return [text]


def as_json(
    machine: Machine, rounds: int, results: list[tuple[Row, list[Outcome]]], comparisons: list[Comparison]
) -> dict[str, object]:
    """Return everything that was measured, as plain values for a JSON file."""
    return {
        "machine": dataclasses.asdict(machine),
        "rounds": rounds,
        "rows": [
            {
                "name": row.name,
                "title": row.title,
                "unit": row.unit,
                "contenders": [dataclasses.asdict(outcome) for outcome in outcomes],
                "comparisons": [dataclasses.asdict(one) for one in comparisons if one.row == row.name],
            }
            for row, outcomes in results
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
