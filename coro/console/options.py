"""The options that every command takes, told apart from the command's own words.

They may stand before and after the command.  Written by hand: argparse takes 20 ms to import, and knows no options
on both sides of a command.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

from coro.console.failures import UsageFailure
from coro.wire.escape import printable

__all__ = ["HELP", "Options", "parse"]

# Spelling → (attribute, what it takes).
_TAKING: Final = {
    "-t": "target",
    "--target": "target",
    "--timeout": "timeout",
    "--uid": "uid",
    "--token-file": "token_file",
    "--watch": "watch",
}
_FLAGS: Final = {"--json": "json", "-h": "help", "--help": "help", "-V": "version", "--version": "version"}
_MAX_SECONDS: Final = 86400.0

HELP: Final = (
    (
        "-t, --target TARGET",
        "a socket's path, a pid or HOST:PORT (default $CORO_TARGET, else the only daemon)",
    ),
    ("--json", "print the record or records, as JSON"),
    ("--watch S", "repeat every S seconds, in place on a terminal"),
    (
        "--timeout S",
        "give up after so many seconds of silence (default 10), check and ls after so many in all (0.8)",
    ),
    ("--uid UID", "trust a listener of this user as well as your own and root's"),
    (
        "--token-file PATH",
        "where the token is (default $CORO_TOKEN_FILE, else the token is $CORO_TOKEN)",
    ),
    ("-h, --help", "explain the command"),
    ("-V, --version", "print the version"),
)


@dataclass(slots=True)
class Options:
    """What was typed.

    timeout, watch: seconds.  word: the command; words: what belongs to it.
    fault: the first thing that was wrong; told later, because it depends on the command how.
    """

    target: str | None = None
    timeout: float | None = None
    uid: int | None = None
    token_file: str | None = None
    watch: float | None = None
    json: bool = False
    help: bool = False
    version: bool = False
    word: str | None = None
    words: list[str] = field(default_factory=list)
    fault: UsageFailure | None = None


def parse(arguments: list[str]) -> Options:
    """Split a command line.  Never raises; see Options.fault."""
    options = Options()
    left = list(reversed(arguments))
    while left:
        word = left.pop()
        if word == "--" and options.word is not None:
            # Its parser must know that what follows is no option.
            options.words += [word, *reversed(left)]
            break
        try:
            if not _take(options, word, left):
                _keep(options, word)
        except UsageFailure as fault:
            options.fault = options.fault or fault
    if options.target is None:
        options.target = os.environ.get("CORO_TARGET") or None
    return options


def _keep(options: Options, word: str) -> None:
    if options.word is not None:
        options.words.append(word)
    elif word.startswith("-") and word != "--":
        raise UsageFailure(f"there is no option {printable(word)}; see coro --help")
    elif word != "--":
        options.word = word


def _take(options: Options, word: str, left: list[str]) -> bool:
    """Take a word, and its value from `left`, if it is one of the options here."""
    spelling, equals, value = word.partition("=")
    if word in _FLAGS:
        setattr(options, _FLAGS[word], True)
        return True
    if not equals and word.startswith("-t") and not word.startswith("--") and len(word) > 2:
        spelling, equals, value = "-t", "=", word[2:]
    name = _TAKING.get(spelling)
    if name is None:
        return False
    if not equals:
        if not left:
            raise UsageFailure(f"{spelling} needs a value")
        value = left.pop()
    if name in ("timeout", "watch"):
        setattr(options, name, _seconds(spelling, value))
    elif name == "uid":
        options.uid = _uid(value)
    elif not value:
        raise UsageFailure(f"{spelling} needs a value, got nothing")
    else:
        setattr(options, name, value)
    return True


def _seconds(spelling: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    # The comparison is False for a NaN.
    if not 0 < seconds <= _MAX_SECONDS:
        raise UsageFailure(f"{spelling} must be above 0 and at most 86400 seconds, got {printable(value)}")
    return seconds


def _uid(value: str) -> int:
    if value.isascii() and value.isdecimal() and int(value) < 1 << 32:
        return int(value)
    raise UsageFailure(f"--uid must be a user's number, 0 to 4294967295, got {printable(value)}")
