"""All live threads added up: how many stand where, and their accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from coro.inspect.slices import sliced
from coro.inspect.threads import state_of
from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["Census", "census", "switches_of_all"]

# So many are looked at between two looks at the clock: 20 us or so.
CHUNK = 50

_STATES = ("new", "runnable", "running", "waiting")


@dataclass(slots=True)
class Census:
    """Live threads, added up; with what ended ones left, where it says `total`.

    states: how many threads stand in each state.  longest_slice_ns: of the live threads.
    """

    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_STATES, 0))
    switches_total: int = 0
    run_time_total_ns: int = 0
    longest_slice_ns: int = 0


def _chunks(threads: list[ThreadState]) -> Iterator[list[ThreadState]]:
    for first in range(0, len(threads), CHUNK):
        yield threads[first : first + CHUNK]


def census(give_up: Callable[[], object] | None = None) -> Census:
    """Count the threads and add up their accounts.  Yields, in slices.

    The totals never fall from one census to the next.  give_up: see coro.inspect.slices.sliced().
    """
    # What has ended by now is in the totals; what ends during the walk is counted as a thread.
    found = Census(switches_total=scheduler.ended_switches, run_time_total_ns=scheduler.ended_run_time_ns)
    states = found.states

    def look(threads: list[ThreadState]) -> None:
        for thread in threads:
            state = state_of(thread)
            if state != "dead":
                states[state] += 1
            found.switches_total += thread.switches
            found.run_time_total_ns += thread.run_time_ns
            if thread.longest_slice_ns > found.longest_slice_ns:
                found.longest_slice_ns = thread.longest_slice_ns

    sliced(_chunks(list(scheduler.all_threads.values())), look, give_up)
    return found


def switches_of_all(give_up: Callable[[], object] | None = None) -> int:
    """How often threads have been switched, ended ones included.  Yields, in slices."""
    ended = scheduler.ended_switches
    chunks = _chunks(list(scheduler.all_threads.values()))
    return ended + sum(sliced(chunks, lambda threads: sum([thread.switches for thread in threads]), give_up))
