"""The entry point: which word was typed, and what runs for it.

Invariant: whatever happens ends with an exit code and, if it failed, one message on stderr; a traceback of this
program's own is a fault of it.  `check` is dispatched first and imports nothing of the others.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from coro.console import options as option_parser
from coro.console.failures import DONE, FAILED, WRONG_USAGE, Failure
from coro.console.options import Options

if TYPE_CHECKING:
    from coro.wire.commands import Command

__all__ = ["main"]

# As a shell shows a program that was ended by SIGINT.
INTERRUPTED: Final = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the `coro` command with these arguments (None: the process's own); returns the exit code."""
    options = option_parser.parse(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that is no UTF-8 one shows escapes instead of ending the program.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(options, ours=arguments is None)
        sys.stdout.flush()
    except Failure as failure:
        return _told(str(failure), failure.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has seen enough.  Python flushes again at exit: into nothing, then.
        _silence(sys.stdout)
        return DONE
    except OSError as error:
        # A full disk, mostly: what concerns the daemon has become a Failure.
        _silence(sys.stdout)
        return _told(f"cannot write: {error.strerror or error}", FAILED)
    return code


def _told(message: str, code: int) -> int:
    try:
        sys.stdout.flush()
        print(f"coro: {message}", file=sys.stderr)
    except OSError:
        _silence(sys.stdout)
    return code


def _silence(stream: object) -> None:
    try:
        fd = stream.fileno()  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)


def _run(options: Options, *, ours: bool = False) -> int:
    """ours: the process is, and may be ended."""
    word = options.word
    if word == "check" and not (options.help or options.version):
        from coro.console import check

        code = check.run(options)
        if ours:
            # Taking the interpreter down in good order would take 8 ms more.
            sys.stdout.flush()
            os._exit(code)
        return code
    if options.fault is not None:
        raise options.fault
    if options.version:
        return _version()
    if word is None:
        _help(options)
        return DONE if options.help else WRONG_USAGE
    if word == "help":
        if options.words:
            options.word, *options.words = options.words
            options.help = True
            return _run(options)
        _help(options)
        return DONE
    return _command(options, word)


def _command(options: Options, word: str) -> int:
    from coro.console import commands
    from coro.console.failures import NotReached
    from coro.console.link import DEFAULT_TIMEOUT_S, open_link
    from coro.wire.commands import COMMANDS

    command = commands.BUILT_IN.get(word)
    if command is not None:
        return _built_in(options, command)
    if word in COMMANDS:
        raise commands.unknown_command(word)
    try:
        link = open_link(options)
    except NotReached as failure:
        raise commands.unknown_command(word, failure) from failure
    with link:
        command = commands.application_command(link, word, options.timeout or DEFAULT_TIMEOUT_S)
        if command is None:
            raise commands.unknown_command(word)
        if options.help:
            return _explain(command)
        if options.watch is None:
            from coro.console import running

            return running.run(options, command, link)
    return _watched(options, command)


def _built_in(options: Options, command: Command) -> int:
    if options.help:
        return _explain(command)
    if command.name == "attach":
        from coro.console import attach

        return attach.run(options)
    if options.watch is not None:
        return _watched(options, command)
    if command.name == "ls":
        from coro.console import listing

        return listing.run(options)
    from coro.console import running

    return running.run(options, command)


def _watched(options: Options, command: Command) -> int:
    from coro.console import watch

    return watch.run(options, command)


def _version() -> int:
    from importlib import metadata

    print(f"coro {metadata.version('coro')}")
    return DONE


def _explain(command: Command) -> int:
    from coro.wire.usage import help_text

    print("usage: coro [OPTIONS] " + "\n".join(help_text(command)))
    print("\noptions that every command takes:")
    _print_options()
    return DONE


def _print_options() -> None:
    for spelling, summary in option_parser.HELP:
        print(f"  {spelling:<19} {summary}")


def _help(options: Options) -> None:
    """The list of commands; with those of the application if a target was named."""
    from coro.console import commands
    from coro.console.link import DEFAULT_TIMEOUT_S, open_link
    from coro.console.running import json_text, result_lines
    from coro.wire.commands import COMMANDS
    from coro.wire.described import command_record
    from coro.wire.encode import to_plain

    known = list(commands.BUILT_IN.values())
    added: list[Command] = []
    if options.target and options.word == "help":
        with open_link(options) as link:
            added = list(commands.application_commands(link, options.timeout or DEFAULT_TIMEOUT_S).values())
    records = [to_plain(command_record(command)) for command in [*known, *added]]
    if options.json:
        print(json_text({}, records))
        return
    print("usage: coro [-t TARGET] COMMAND [ARGS]\n\nLooks into a running daemon, and steers it.\n\noptions:")
    _print_options()
    print("\ncommands (coro help COMMAND explains one):\n")
    for line in result_lines(COMMANDS["help"], {}, records, width=None):
        print(line)
    print("\nexit codes: 0 done, 1 the command failed, 2 wrong usage, 3 no daemon reached")
    print("(of check: 0 ok, 1 warning, 2 critical, 3 unknown)")
