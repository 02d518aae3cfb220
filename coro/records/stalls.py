"""The stalls of the loop, and who caused them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coro.records.stacks import FrameRecord

__all__ = ["CulpritRecord", "StallRecord"]


@dataclass(frozen=True, slots=True)
class CulpritRecord:
    """Who held up the loop.  id: None when no thread ran (a handler, or the loop itself).

    torn: the stack was read while the thread ran on, and may mix two moments.
    """

    id: int | None
    name: str
    run_s: float
    frames: tuple[FrameRecord, ...]
    torn: bool = False


@dataclass(frozen=True, slots=True)
class StallRecord:
    """The loop did not turn for longer than the threshold.

    began: seconds since the epoch.  ongoing: it has not ended.  collector_s: the garbage collector's share.
    kind: "slice" is one thread that did not yield; "queue" many short slices that added up.
    culprits: the thread that ran, or the three that ran longest, with its stack half-way.
    interrupted: the sentinel interrupted the culprit.
    """

    began: float
    duration_s: float
    ongoing: bool
    kind: Literal["slice", "queue"]
    collector_s: float
    culprits: tuple[CulpritRecord, ...]
    interrupted: bool
