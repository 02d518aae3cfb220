"""Threads by the hundred thousand, timers by the million."""

from __future__ import annotations

import random

import coro
from coro.timed import timers
from tests.soak.meter import Outcome, Report, measured

__all__ = ["sleepers", "spawns", "timers_armed"]

BATCH = 1000


def sleepers(scale: float, report: Report) -> Outcome:
    """100 000 threads that sleep at the same time."""
    count = max(100, int(100_000 * scale))
    chance = random.Random(20)

    def work() -> None:
        woken = coro.inverted_semaphore(count)

        def sleep(seconds: float) -> None:
            coro.sleep_relative(seconds)
            woken.release()

        for _ in range(count):
            coro.spawn(sleep, chance.uniform(0.5, 2.0))
        woken.block_till_zero()
        coro.sleep_relative(0.1)

    return coro.run(measured, f"{count:,} threads asleep at once, three times", 3, work, report)


def spawns(scale: float, report: Report) -> Outcome:
    """A million threads, a thousand at a time."""
    count = max(10, int(1_000_000 / BATCH / 10 * scale))

    def work() -> None:
        for _ in range(count):
            for thread in [coro.spawn(int) for _ in range(BATCH)]:
                thread.join()

    return coro.run(measured, f"{count * BATCH * 10:,} threads spawned and joined", 10, work, report)


def timers_armed(scale: float, report: Report) -> Outcome:
    """A million timers armed and cancelled, while others are pending."""
    count = max(1000, int(100_000 * scale))
    chance = random.Random(21)

    def work() -> None:
        # The usual daemon: a deadline for each request, which nearly always is in time.
        pending: list[list[object]] = []
        now = coro.get_now()
        for number in range(count):
            pending.append(timers.arm(now + chance.randrange(10**9, 60 * 10**9), int))
            if len(pending) > 500:
                timers.cancel(pending.pop(chance.randrange(len(pending))))
            if number % 1000 == 0:
                coro.yield_slice()
        for timer in pending:
            timers.cancel(timer)
        for _ in range(count // 100):
            with coro.timeout(30):
                coro.yield_slice()

    return coro.run(measured, f"{count * 10:,} timers armed and cancelled", 10, work, report)
