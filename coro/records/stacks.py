"""Where threads stand."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FrameRecord", "StackGroupRecord", "StackRecord"]


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One call on a stack.

    source: the line as it is on disk now; None if it cannot be read.
    newer: the file was changed after the process started, so `source` may not be what runs.
    """

    file: str
    line: int
    function: str
    source: str | None
    newer: bool = False


@dataclass(frozen=True, slots=True)
class StackRecord:
    """Where one thread stands, outermost call first; () for a thread that has no stack."""

    id: int
    name: str
    frames: tuple[FrameRecord, ...]


@dataclass(frozen=True, slots=True)
class StackGroupRecord:
    """Threads at the same place.  count: how many; ids: of some of them, lowest first."""

    count: int
    ids: tuple[int, ...]
    frames: tuple[FrameRecord, ...]
