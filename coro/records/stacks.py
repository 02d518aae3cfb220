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
    """Where one thread stands, or a task in it, outermost call first; () where there is no stack.

    id, name: of the thread.
    task: the name of an asyncio task that runs in the thread, and whose calls these are; None for the thread's own.
    task_state: what the task does, such as "waiting for future"; None unless it is one.
    """

    id: int
    name: str
    frames: tuple[FrameRecord, ...]
    task: str | None = None
    task_state: str | None = None


@dataclass(frozen=True, slots=True)
class StackGroupRecord:
    """Threads at the same place.  count: how many; ids: of some of them, lowest first."""

    count: int
    ids: tuple[int, ...]
    frames: tuple[FrameRecord, ...]
