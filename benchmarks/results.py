"""The results of a run as a JSON file: written, read back, checked.

`results-1.json` beside this module is the file's JSON Schema, with the meaning of every field. The file holds
every single sample, so that tables and pictures can be made anew, and neither host names nor paths.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine
from benchmarks.report import Sample
from benchmarks.rows import Contender, Load, Row
from benchmarks.summary import Outcome, compare

FORMAT = "coro-benchmarks/1"


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A row with what became of its contenders, and how long that took in seconds."""

    row: Row
    outcomes: tuple[Outcome, ...]
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class HotSpot:
    """One line of a profile: its share of the CPU time (0 to 1), the function, and the line's source."""

    share: float
    function: str
    source: str


@dataclasses.dataclass(frozen=True, slots=True)
class Profile:
    """Where one of our scenarios spends its CPU time; `system_share` is the kernel's part of it."""

    name: str
    title: str
    samples: int
    system_share: float
    spots: tuple[HotSpot, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Results:
    """One run. `smoke` marks one with tiny workloads, whose figures mean nothing. `taken` is a day, in UTC."""

    machine: Machine
    taken: str
    smoke: bool
    rounds: int
    unbounded_rounds: int
    seconds: float
    measured: tuple[Measured, ...]
    profiles: tuple[Profile, ...]


class ResultsError(ValueError):
    """A file that is no results of this format; the message names it and says why."""


def write(results: Results, path: Path) -> None:
    """Write the file."""
    document = {
        "format": FORMAT,
        "machine": dataclasses.asdict(results.machine),
        "taken": results.taken,
        "smoke": results.smoke,
        "rounds": results.rounds,
        "unbounded_rounds": results.unbounded_rounds,
        "seconds": results.seconds,
        "rows": [_row_document(measured) for measured in results.measured],
        "profiles": [dataclasses.asdict(profile) for profile in results.profiles],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _row_document(measured: Measured) -> dict[str, Any]:
    row = measured.row
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.unit,
        "fastest_way_only": row.fastest_way_only,
        "linux_only": row.linux_only,
        "full_only": row.full_only,
        "seconds": measured.seconds,
        "contenders": [dataclasses.asdict(outcome) for outcome in measured.outcomes],
        "comparisons": [dataclasses.asdict(one) for one in compare(row, list(measured.outcomes))],
    }


def read(path: Path) -> Results:
    """Read a file that `write` made.

    Raises ResultsError if it is none, OSError if it cannot be read.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ResultsError(f"{path} has the format {document['format']!r}, not {FORMAT!r}")
        return Results(
            machine=Machine(**document["machine"]),
            taken=document["taken"],
            smoke=document["smoke"],
            rounds=document["rounds"],
            unbounded_rounds=document["unbounded_rounds"],
            seconds=document["seconds"],
            measured=tuple(_measured(row) for row in document["rows"]),
            profiles=tuple(_profile(profile) for profile in document["profiles"]),
        )
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} holds no results of a benchmark: {error!r}") from error


def _measured(document: dict[str, Any]) -> Measured:
    outcomes = tuple(_outcome(outcome) for outcome in document["contenders"])
    subject, *peers = (outcome.contender for outcome in outcomes)
    row = Row(
        name=document["name"],
        title=document["title"],
        unit=document["unit"],
        subject=subject,
        peers=tuple(peers),
        fastest_way_only=document["fastest_way_only"],
        linux_only=document["linux_only"],
        full_only=document["full_only"],
    )
    return Measured(row, outcomes, document["seconds"])


def _outcome(document: dict[str, Any]) -> Outcome:
    fields = dict(document["contender"])
    load = fields["load"]
    fields["load"] = None if load is None else Load(**load)
    fields["arguments"] = tuple(fields["arguments"])
    samples = tuple(Sample(**sample) for sample in document["samples"])
    return Outcome(Contender(**fields), samples, document["note"])


def _profile(document: dict[str, Any]) -> Profile:
    return Profile(**{**document, "spots": tuple(HotSpot(**spot) for spot in document["spots"])})
