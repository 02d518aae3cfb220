"""An asyncio event loop in each thread: `coro.aio.run` where coro runs the program, `asyncio.run` elsewhere."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from measured import Options, in_threads


def runner() -> Callable[[Coroutine[Any, Any, int]], int]:
    """What runs a coroutine in the thread that calls it."""
    if "coro.emulation" not in sys.modules:
        return asyncio.run
    # Not at the top: where plain Python runs the program, coro is not to be imported at all.
    import coro.aio

    return coro.aio.run


def in_loops(options: Options, work: Callable[[int], Coroutine[Any, Any, int]]) -> int:
    """Run `work(number)` in `options.threads` threads, each with a loop of its own; the sum of the answers."""
    run = runner()
    return in_threads(options, lambda number: run(work(number)))


async def paced(options: Options, number: int) -> AsyncIterator[int]:
    """As measured.paced(), in a coroutine."""
    chance = random.Random(number)
    for request in range(options.requests):
        if options.pause_s:
            await asyncio.sleep(chance.uniform(0, 2 * options.pause_s))
        yield request
