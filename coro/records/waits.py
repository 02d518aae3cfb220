"""Who waits for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LONGEST_CHAIN", "WaitRecord", "WhyRecord"]

# To tell of one step takes some 20 us, encoding included, and all is told in one go.
LONGEST_CHAIN: Final = 500


@dataclass(frozen=True, slots=True)
class WaitRecord:
    """One step of a chain of waits: a thread, what it waits for, and who could end that wait.

    holders: ids of the threads that hold it, or whose end is awaited; () where nobody in particular does.
    """

    id: int
    name: str
    waiting_for: str
    waiting_on: str
    waiting_s: float
    holders: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WhyRecord:
    """Why a thread waits: its chain of waits, each held by the next; the first 500.

    cycle: ids of the threads that wait for each other, in order, if the chain ends in a deadlock; else ().
    """

    chain: tuple[WaitRecord, ...]
    cycle: tuple[int, ...]
