"""The words at the shell: the daemon's commands, those that only the shell has, and those of the application.

Invariant: what a word means is decided by tables alone, the built-in one first; a daemon cannot change what a
built-in word does.
"""

from __future__ import annotations

from typing import Final

from coro.console.check import CHECK
from coro.console.failures import CommandFailure, NotReached, UsageFailure
from coro.console.link import Link
from coro.wire.arguments import did_you_mean
from coro.wire.commands import COMMANDS, Command, Parameter
from coro.wire.escape import printable
from coro.wire.protocol import COMMAND_FAILED, INVALID_PARAMS, METHOD_NOT_FOUND

__all__ = ["ATTACH", "BUILT_IN", "LS", "application_command", "application_commands", "unknown_command"]

LS: Final = Command(
    "ls",
    "observe",
    "look",
    "list the daemons that run here",
    "coro.daemon/1",
    (Parameter("all", "flag", "also those of all other users (for root)", option=("-a", "--all")),),
    many=True,
    where="shell",
    examples=("ls", "ls --all --json"),
)
ATTACH: Final = Command(
    "attach",
    "eval",
    "session",
    "an interactive session: Python in the daemon, and all commands after a colon",
    "coro.evaluation/1",
    where="shell",
    description="Reads lines from a pipe as well; the exit code is 1 then if the last one failed.",
    examples=("attach", "attach < script.py"),
)

# All that the shell knows by itself; those that work at the prompt only are left out.
BUILT_IN: Final[dict[str, Command]] = {
    LS.name: LS,
    ATTACH.name: ATTACH,
    **{name: command for name, command in COMMANDS.items() if command.where != "prompt"},
    CHECK.name: CHECK,
}


def application_commands(link: Link, timeout: float | None) -> dict[str, Command]:
    """The commands that the application added to the daemon, by name.  Raises as Client.call()."""
    return _described(link, {}, timeout)


def application_command(link: Link, word: str, timeout: float | None) -> Command | None:
    """The command of this name that the application added; None if there is none.  Raises as Client.call()."""
    try:
        return _described(link, {"command": word}, timeout).get(word)
    except CommandFailure as failure:
        if failure.code in (COMMAND_FAILED, INVALID_PARAMS, METHOD_NOT_FOUND):
            return None
        raise


def _described(link: Link, params: dict[str, object], timeout: float | None) -> dict[str, Command]:
    from coro.wire.described import command_from_record

    value = link.client.call("help", params, timeout)["value"]
    found = {}
    for record in value if isinstance(value, list) else [value]:
        try:
            command = command_from_record(record)
        except (ValueError, AttributeError):
            continue
        if command.name not in COMMANDS and command.name not in BUILT_IN:
            found[command.name] = command
    return found


def unknown_command(word: str, not_asked: NotReached | None = None) -> Exception:
    """The failure for a word that is no command.  not_asked: why no daemon could be asked for its own commands."""
    if word in COMMANDS:
        return UsageFailure(f"{word} works at the prompt only; see coro attach")
    hint = did_you_mean(word, BUILT_IN)
    message = f"there is no command {printable(repr(word))}{hint or '; see coro --help'}"
    if not_asked is None or hint:
        return UsageFailure(message)
    # It may well be one of the application's: then it is not the usage that is wrong.
    return NotReached(f"{message}; and no daemon could be asked for its own: {not_asked}")
