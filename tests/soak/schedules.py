"""A million schedules of the explorer, over every scenario that the tests have, with seeds that they do not use."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from coro.testing import ScheduleFailed, explore
from tests.explorer.model import program
from tests.explorer.models import MODELS
from tests.soak.meter import Outcome, Report

__all__ = ["schedules"]

TOTAL = 1_000_000
# The tests begin at 0.
FIRST_SEED = 1_000_000_000
# Those with real descriptors and those of the services take longer each.
SERVICES_SHARE = 0.3


def schedules(scale: float, report: Report) -> Outcome:
    """Random schedules of every scenario; the first failure of each is told."""
    scenarios = [*primitives(), *services()]
    total = int(TOTAL * scale)
    done = switches = 0
    faults: list[str] = []
    # Another seed at each run: a soak that repeats itself finds nothing new.
    seed = FIRST_SEED + int(time.time())
    for number, (name, scenario, options, share) in enumerate(scenarios):
        count = math.ceil(total * share)
        try:
            explored = explore(scenario, schedules=count, seed=seed, **options)
        except ScheduleFailed as failure:
            faults.append(f"{name}: {failure}")
        else:
            done += explored.schedules
            switches += explored.switches
        report((number + 1) / len(scenarios))
    what = f"{done:,} schedules of {len(scenarios)} scenarios, {switches:,} switches"
    return Outcome(what, None, None, faults)


Entry = tuple[str, Callable[[], object], dict[str, object], float]


def primitives() -> list[Entry]:
    options: dict[str, object] = {"interrupts": 2, "descriptors": False}
    share = (1 - SERVICES_SHARE) / len(MODELS)
    return [(name, program(model, 4, 4), options, share) for name, model in MODELS.items()]


def services() -> list[Entry]:
    from tests.explorer.services import SCENARIOS

    share = SERVICES_SHARE / len(SCENARIOS)
    return [(name, scenario, options, share) for name, scenario, options in SCENARIOS]
