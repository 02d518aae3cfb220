"""Searching a scenario's schedules for one that fails.

A scenario is a function that makes its objects, spawns its threads and asserts what must hold.  The runtime
promises no order between threads that are woken in one turn, events of different descriptors, the results of OS
threads, and interrupts; so the scenario must hold in every one of these orders, and explore() tries many, or all.

A failing schedule is first made as short as possible.  Everything depends on the choices alone: the same schedule
fails the same way, until the code is mended.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from coro.loop import loop
from coro.testing.choices import Choices, GivenChoices, SeededChoices, as_text, from_text, walk
from coro.testing.failures import BlockedForReal, NotRepeatable, ScheduleFailed
from coro.testing.stage import Stage, StageOptions
from coro.testing.time_limit import TimeLimit
from coro.thread import coro

__all__ = ["Exploration", "explore"]

Scenario = Callable[[], object]

# How often a schedule is run a second time, to see whether it takes the same course.
_SCHEDULES_PER_CHECK = 500
# How many runs the search for a shorter schedule may take.
_MAX_SHORTENING_RUNS = 400
_MAX_SHORTENING_S = 20.0
# So many of the last steps of a failing schedule are told.
_STEPS_TOLD = 25


@dataclass(frozen=True, slots=True)
class Exploration:
    """What explore() has tried, without finding a failure.

    schedules: how many.
    switches: how many times threads were resumed in all of them.
    complete: whether these are all there are, within the `deviations` allowed.
    """

    schedules: int
    switches: int
    complete: bool


def explore(
    scenario: Scenario,
    *,
    schedules: int = 1000,
    seed: int = 0,
    exhaustive: bool = False,
    deviations: int | None = None,
    interrupts: int = 0,
    victims: Callable[[coro], bool] | None = None,
    replay: str | None = None,
    descriptors: bool = True,
    max_switches: int = 100_000,
    time_limit: float = 10.0,
) -> Exploration:
    """Run a scenario under many schedules, and raise ScheduleFailed for the first that fails.

    scenario: called without arguments, in a thread, in a loop of its own each time.  A schedule fails if it raises,
        if another of its threads ends by an exception, if threads wait for what can never come, or if it leaves
        timers or unstarted threads.  It must not depend on anything but the schedule: no real time, no unseeded
        random numbers, no order of a set of objects.
    schedules: how many are tried, at most.
    seed: of the first one; the n-th after it has seed + n.
    exhaustive: True walks through all schedules instead of taking them at random.
    deviations: for a walk: how many choices may differ from what the runtime does by itself; None for any number.
    interrupts: how many times in a schedule a thread is interrupted with ChanceInterrupt, at any switch.
    victims: which threads may be, a function of a thread; None for all but the one that runs the scenario.
    replay: a schedule that ScheduleFailed named: runs only that, once.
    descriptors: False has no real descriptors, which is faster.
    max_switches: a schedule that has taken so many has failed: it never ends.
    time_limit: real seconds that one schedule may take before it counts as blocked; the report says where.

    Time stands still while threads run and jumps when all of them wait.  in_os_thread() makes its calls at any
    moment, in the loop's own OS thread; time.sleep() in a thread is refused.
    Ctrl-C raises KeyboardInterrupt.  coro.set_exit() in a scenario fails its schedule, by SystemExit.
    Returns what was tried.  Raises RuntimeError when a loop is running, ValueError or TypeError for options that
    make no sense.
    """
    _check(scenario, schedules, interrupts, deviations, exhaustive, max_switches, time_limit)
    options = StageOptions(interrupts, victims, max_switches, descriptors)
    explorer = _Explorer(scenario, options)
    with TimeLimit(time_limit) as limit:
        explorer.limit = limit
        if replay is not None:
            return explorer.replay(GivenChoices(from_text(replay)))
        if exhaustive:
            return explorer.search(walk(deviations), schedules)
        return explorer.search((SeededChoices(seed + number) for number in range(schedules)), schedules, seed)


class _Explorer:
    """The search."""

    def __init__(self, scenario: Scenario, options: StageOptions) -> None:
        self.limit: TimeLimit | None = None
        self._scenario = scenario
        self._options = options

    def search(self, all_choices: Iterator[Any], limit: int, seed: int | None = None) -> Exploration:
        """Run the scenario with each of the choices in turn, `limit` of them at most."""
        count = switches = 0
        for choices in all_choices:
            if count == limit:
                return Exploration(count, switches, complete=False)
            stage = self._play(choices)
            switches += stage.switches
            if stage.failure is not None:
                self._report(stage, None if seed is None else seed + count)
            if count % _SCHEDULES_PER_CHECK == 0:
                self._check_repeatable(choices)
            count += 1
        return Exploration(count, switches, complete=seed is None)

    def replay(self, choices: GivenChoices) -> Exploration:
        """Run one schedule, once."""
        stage = self._play(choices, traced=True)
        if stage.failure is not None:
            raise _failed(stage, stage.failure, "a given schedule", as_text(choices.taken)) from stage.failure
        return Exploration(1, stage.switches, complete=False)

    def _play(self, choices: Choices, *, traced: bool = False) -> Stage:
        stage = Stage(choices, self._options, traced=traced)
        # The collector runs finalisers when it likes, which no choice would determine.
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            assert self.limit is not None
            with self.limit.watching(stage):
                stage.play(self._scenario)
        finally:
            if was_enabled:
                gc.enable()
        if self.limit.interrupted:
            raise KeyboardInterrupt
        return stage

    def _check_repeatable(self, choices: Choices) -> None:
        """Run a schedule twice more, and raise NotRepeatable if its course depends on anything else."""
        first = self._play(GivenChoices(choices.taken), traced=True)
        second = self._play(GivenChoices(choices.taken), traced=True)
        for number, (one, other) in enumerate(zip(first.trail, second.trail, strict=False)):
            if one != other:
                raise NotRepeatable(
                    f"the same schedule took another course at step {number}: {one!r}, the second time {other!r}; "
                    "the scenario depends on something besides the schedule (real time, random numbers, the order "
                    "of a set, what an earlier run left)"
                )
        if len(first.trail) != len(second.trail) or type(first.failure) is not type(second.failure):
            raise NotRepeatable(
                f"the same schedule took {len(first.trail)} steps and failed by {first.failure!r}, but the second "
                f"time {len(second.trail)} steps and {second.failure!r}"
            )

    def _report(self, stage: Stage, seed: int | None) -> None:
        failure = stage.failure
        assert failure is not None
        found = list(stage.choices.taken)
        shortest, runs = self._shorten(found, failure)
        last = self._play(GivenChoices(shortest), traced=True)
        origin = "a walk" if seed is None else f"seed {seed}"
        origin += f" after {len(found)} choices, shortened in {runs} runs"
        error = _failed(last, failure, origin, as_text(shortest))
        error.seed = seed
        raise error from (last.failure or failure)

    def _shorten(self, found: list[int], failure: BaseException) -> tuple[list[int], int]:
        """Make the schedule simpler as far as it still fails; returns it and how many runs that took."""
        taken = _without_trailing_zeros(found)
        runs = 0
        if isinstance(failure, BlockedForReal):
            # Each run that fails the same way takes the whole limit of time.
            return taken, runs
        give_up = time.monotonic() + _MAX_SHORTENING_S

        def fails(candidate: list[int]) -> list[int] | None:
            nonlocal runs
            runs += 1
            stage = self._play(GivenChoices(candidate))
            if type(stage.failure) is not type(failure):
                return None
            return _without_trailing_zeros(list(stage.choices.taken))

        for simpler in (_zeroed, _removed, _lowered):
            size = max(1, len(taken) // 2) if simpler is _zeroed else 1
            while runs < _MAX_SHORTENING_RUNS and time.monotonic() < give_up:
                changed = False
                place = 0
                while place < len(taken) and runs < _MAX_SHORTENING_RUNS and time.monotonic() < give_up:
                    if any(taken[place : place + size]):
                        shorter = fails(simpler(taken, place, size))
                        if shorter is not None and _weight(shorter) < _weight(taken):
                            taken, changed = shorter, True
                    place += size
                if size > 1:
                    size //= 2
                elif not changed:
                    break
        return taken, runs


def _zeroed(taken: list[int], place: int, size: int) -> list[int]:
    return [*taken[:place], *[0] * len(taken[place : place + size]), *taken[place + size :]]


def _removed(taken: list[int], place: int, size: int) -> list[int]:
    return [*taken[:place], *taken[place + size :]]


def _lowered(taken: list[int], place: int, size: int) -> list[int]:
    return [*taken[:place], taken[place] - 1, *taken[place + 1 :]]


def _weight(taken: list[int]) -> tuple[int, int, int]:
    return sum(1 for choice in taken if choice), len(taken), sum(taken)


def _without_trailing_zeros(taken: list[int]) -> list[int]:
    end = len(taken)
    while end and taken[end - 1] == 0:
        end -= 1
    return taken[:end]


def _failed(last: Stage, failure: BaseException, origin: str, text: str) -> ScheduleFailed:
    """The error that tells of a failing schedule; `last` has run it with its steps noted."""
    lines = [
        f"a schedule fails: {type(failure).__name__}: {failure}",
        f"found by {origin}; run it again with replay={text!r}",
    ]
    if last.failure is None:
        lines.append("run again it did not fail: the scenario depends on something besides the schedule")
    told = last.trail[-_STEPS_TOLD:]
    lines.append(f"its last {len(told)} steps:" if len(told) < len(last.trail) else "its steps:")
    lines += [f"  {step}" for step in told]
    error = ScheduleFailed("\n".join(lines))
    error.schedule = text
    error.seed = None
    error.trail = last.trail
    return error


def _check(
    scenario: object,
    schedules: int,
    interrupts: int,
    deviations: int | None,
    exhaustive: bool,
    max_switches: int,
    time_limit: float,
) -> None:
    if loop.running:
        raise RuntimeError("explore() runs loops of its own: it cannot be called while a loop is running")
    if not callable(scenario):
        raise TypeError(f"explore() needs a function to run, got {scenario!r}")
    counts = {"schedules": (schedules, 1), "interrupts": (interrupts, 0), "max_switches": (max_switches, 1)}
    if deviations is not None:
        counts["deviations"] = (deviations, 0)
        if not exhaustive:
            raise ValueError("deviations limits an exhaustive walk: give exhaustive=True with it")
    for name, (value, least) in counts.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an int, got {value!r}")
        if value < least:
            raise ValueError(f"{name} must be {least} or more, got {value}")
    if not isinstance(time_limit, (int, float)) or isinstance(time_limit, bool):
        raise TypeError(f"time_limit must be seconds, got {time_limit!r}")
    if not time_limit > 0:
        raise ValueError(f"time_limit must be more than 0 seconds, got {time_limit!r}")
