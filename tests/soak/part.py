"""One part of the soak, in a process of its own: `python -m tests.soak.part NAME SCALE`.

It prints lines of JSON: {"progress": 0.5}, and at last the outcome.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import coro
from tests.soak.connections import closed, opened
from tests.soak.faults import faults
from tests.soak.frames import looked_at
from tests.soak.meter import Outcome, Report
from tests.soak.mixed import hour
from tests.soak.schedules import schedules
from tests.soak.sessions import sessions
from tests.soak.threads_and_timers import sleepers, spawns, timers_armed

__all__ = ["PARTS"]

PARTS: dict[str, Callable[[float, Report], Outcome]] = {
    "sleepers": sleepers,
    "spawns": spawns,
    "timers": timers_armed,
    "connections": opened,
    "visits": closed,
    "hour": hour,
    "sessions": sessions,
    "frames": looked_at,
    "faults": faults,
    "schedules": schedules,
}


def main() -> None:
    """Run the part that is named."""
    name, scale = sys.argv[1], float(sys.argv[2])
    coro.set_print_exit_string(False)
    # A collection takes long here, and is nobody's fault.
    coro.set_latency_warning(0)
    outcome = PARTS[name](scale, lambda done: print(json.dumps({"progress": done}), flush=True))
    print(json.dumps({**outcome.as_json(), "all_faults": outcome.all_faults()}), flush=True)


if __name__ == "__main__":
    main()
