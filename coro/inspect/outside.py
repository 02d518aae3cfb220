"""Looking at the loop from another OS thread, while it is stuck or goes on.

What is here never parks, takes no lock, imports nothing, and runs no code of the application's.  Inside the loop
the functions of `coro.inspect` do the same in slices.

`give_up`, where there is one, is asked every 0.1 ms of work; once it says True, GivenUp is raised.  So an answer
that takes long (100 000 threads) can be left to the loop as soon as it turns again.
"""

from __future__ import annotations

from coro.inspect.culprit import culprit
from coro.inspect.detail import info
from coro.inspect.health import facts_from_outside
from coro.inspect.lag import current_gap_ns, lag
from coro.inspect.polling import loop_is_polling
from coro.inspect.slices import GivenUp
from coro.inspect.stacks import stack, stack_groups, stacks
from coro.inspect.stalls import stalls
from coro.inspect.threads import thread, threads

__all__ = [
    "GivenUp",
    "culprit",
    "current_gap_ns",
    "facts_from_outside",
    "info",
    "lag",
    "loop_is_polling",
    "stack",
    "stack_groups",
    "stacks",
    "stalls",
    "thread",
    "threads",
]
