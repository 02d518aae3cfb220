"""An OS thread that looks at everything all the time, as the sentinel does when the loop is stuck."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import coro
import coro.inspect
from coro.inspect import outside
from tests.soak.meter import Outcome, Report

__all__ = ["looked_at"]

SECONDS = 60.0


def looked_at(scale: float, report: Report) -> Outcome:
    """Threads that are born, switch and end by the thousand, read from two OS threads."""
    seconds = max(0.5, SECONDS * scale)
    faults: list[str] = []
    looks = [0]
    is_over = threading.Event()
    chance = random.Random(23)

    def look() -> None:
        readers: list[Callable[[], object]] = [
            outside.threads,
            outside.stacks,
            outside.stack_groups,
            outside.culprit,
            outside.lag,
            coro.inspect.metrics,
            coro.inspect.timers,
            coro.inspect.descriptors,
            coro.inspect.dead,
        ]
        while not is_over.is_set():
            for reader in readers:
                try:
                    reader()
                except Exception as error:
                    faults.append(f"{reader.__name__}: {error!r}")
                    return
                looks[0] += 1

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            coro.yield_slice()

    def parent() -> None:
        while not is_over.is_set():
            deep(chance.randrange(30))
            for thread in [coro.spawn(deep, chance.randrange(10)) for _ in range(10)]:
                thread.join()
            if chance.random() < 0.1:
                coro.sleep_relative(0.001)

    def run() -> None:
        coro.inspect.start_recording()
        for _ in range(20):
            coro.spawn(parent)
        lookers = [threading.Thread(target=look) for _ in range(2)]
        for looker in lookers:
            looker.start()
        for step in range(20):
            coro.sleep_relative(seconds / 20)
            report((step + 1) / 20)
        is_over.set()
        coro.in_os_thread(lambda: [looker.join() for looker in lookers])

    coro.run(run)
    if not looks[0]:
        faults.append("nothing was looked at")
    return Outcome(f"{looks[0]:,} looks from two other OS threads in {seconds:.0f} s", None, None, faults)
