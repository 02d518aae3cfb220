"""What the words at the prompt do.  `registry` knows them all; `look` and `act` are the built-in ones."""

from __future__ import annotations

from coro.backdoor.commands import act, look, talk
from coro.backdoor.commands.registry import (
    CommandError,
    Implementation,
    command,
    find,
    known_commands,
    remove_command,
)

__all__ = [
    "CommandError",
    "Implementation",
    "act",
    "command",
    "find",
    "known_commands",
    "look",
    "remove_command",
    "talk",
]
