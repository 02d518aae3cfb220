"""Measure a row: its contenders in interleaved rounds (A B C A B C …), so that a slow minute hits all of them.

A contender that cannot be measured here, or fails, gets a note that says why instead of samples; the others go on.
"""

import importlib.util
import sys

from benchmarks.machine import BUSY_SHARE, OWN, descriptor_limit
from benchmarks.measurement import MeasurementError, measure
from benchmarks.report import Sample
from benchmarks.rows import Contender, Row
from benchmarks.summary import Outcome

FAILED = "failed: "
# What a process has open beside its connections.
OTHER_DESCRIPTORS = 64


def run_row(row: Row, rounds: int, unbounded_rounds: int | None = None) -> list[Outcome]:
    """Measure the row's contenders. One that fails is reported on standard error and not tried again.

    unbounded_rounds: peers without a bound are measured in so many rounds only, the first ones; None for all.
    """
    contenders = row.contenders()
    notes = [absence(row, contender) for contender in contenders]
    samples: list[list[Sample]] = [[] for _ in contenders]
    for number in range(rounds):
        for position, contender in enumerate(contenders):
            spared = unbounded_rounds is not None and number >= unbounded_rounds and not _matters(row, contender)
            if notes[position] or spared:
                continue
            try:
                samples[position].append(measure(contender))
            except MeasurementError as error:
                print(f"FAILED {row.name}: {error}", file=sys.stderr, flush=True)
                notes[position] = f"{FAILED}{error.reason}"
                samples[position].clear()
    return [
        Outcome(contender, tuple(taken), note)
        for contender, taken, note in zip(contenders, samples, notes, strict=True)
    ]


def _matters(row: Row, contender: Contender) -> bool:
    """Return whether a bound depends on this contender."""
    if contender is row.subject:
        return any(peer.bound is not None for peer in row.peers)
    return contender.bound is not None


def absence(row: Row, contender: Contender) -> str:
    """Return why this contender cannot be measured here, "" if it can. `coro` itself is never "not installed"."""
    if contender.left_out:
        return contender.left_out
    if row.linux_only and sys.platform != "linux":
        return "needs Linux"
    if contender.library not in OWN and importlib.util.find_spec(contender.library) is None:
        return "not installed"
    if contender.load is not None:
        needed = contender.load.connections + OTHER_DESCRIPTORS
        if needed > descriptor_limit():
            return f"needs {needed} descriptors, the limit is {descriptor_limit()}"
    return ""


def failures(outcomes: list[Outcome]) -> list[Outcome]:
    """Return those that were tried and gave no number."""
    return [outcome for outcome in outcomes if outcome.note.startswith(FAILED)]


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
