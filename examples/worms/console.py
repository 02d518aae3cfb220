"""What this daemon adds to its console: two commands and a health check.

A command is a function: its signature is what one may type, its docstring the help.  Both commands appear at the
prompt (`:worms`), at the shell (`coro worms`), in the completion and in the help at once.

A line of Python at the prompt sees `colony`, `arena` and `coro`.
"""

from __future__ import annotations

from typing import Any

import coro
import coro.backdoor
from examples.worms.arena import FREE, LONGEST, SHORTEST, Worm
from examples.worms.colony import Colony, clamp

# An arena with a smaller part of its squares free is crowded.
CROWDED = 0.1


def open_console(colony: Colony) -> coro.backdoor.Backdoor:
    """Open the backdoor at the default place, a socket named by pid in the user's runtime directory.

    Raises OSError if there is no such place.
    """
    add_commands(colony)
    return coro.backdoor.start(
        welcome_message="The worms.  Try :worms, :feed ID, and Python: len(colony)",
        global_dict={"colony": colony, "arena": colony.arena, "coro": coro},
    )


def add_commands(colony: Colony) -> None:
    """Tell the backdoor what it can do with this colony."""

    @coro.backdoor.command(role="observe")
    def worms(longest: int = 10) -> list[dict[str, Any]]:
        """List the longest worms."""
        by_length = sorted(colony.threads.items(), key=lambda item: -len(item[0].body))
        return [describe(worm, thread) for worm, thread in by_length[: max(0, longest)]]

    @coro.backdoor.command
    def feed(id: int, squares: int = 10) -> str:
        """Have a worm grow."""
        for worm, thread in colony.threads.items():
            if thread.id == id:
                before = worm.wanted_length
                worm.wanted_length = clamp(before + squares, SHORTEST, LONGEST)
                return f"{thread.name} wants to be {worm.wanted_length} squares long, was {before}"
        raise coro.backdoor.CommandError(f"thread {id} is no worm; `worms` lists some")

    @coro.backdoor.check(name="arena")
    def arena() -> object:
        """Whether worms live, and have room."""
        if not colony.threads:
            return "no worm lives"
        squares = colony.arena.width * colony.arena.height
        free = sum(row.count(FREE) for row in colony.arena.rows)
        if free < CROWDED * squares:
            return "warning", f"the arena is crowded: {free} squares of {squares} are free"
        return True


def describe(worm: Worm, thread: coro.coro) -> dict[str, Any]:
    """A worm as a record, which --json shows as it is."""
    x, y = worm.body[-1] if worm.body else (None, None)
    return {
        "id": thread.id,
        "name": thread.name,
        "length": len(worm.body),
        "wanted": worm.wanted_length,
        "x": x,
        "y": y,
    }
