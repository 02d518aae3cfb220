"""One command, once: asked of the daemon, and its result shown.

Invariant: stdout gets the result and nothing else, so that it can be piped; words about it go to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from coro.console.client import Answer
from coro.console.failures import DONE, CommandFailure, NoAnswer, UsageFailure
from coro.console.link import DEFAULT_TIMEOUT_S, Link, open_link, with_outside
from coro.console.options import Options
from coro.console.style import is_terminal, size_of, style_for
from coro.wire.arguments import UsageError, for_daemon, parse
from coro.wire.commands import Command
from coro.wire.protocol import INVALID_PARAMS, METHOD_NOT_FOUND

__all__ = ["STUCK", "arguments_of", "ask", "params_of", "print_result", "result_lines", "run"]


STUCK: Final = "the daemon's loop is stuck: its sentinel answered"


def run(options: Options, command: Command, link: Link | None = None) -> int:
    """Ask for a command and print its result; returns the exit code.

    link: an open connection, which is used and closed; None opens one.  Raises Failure.
    """
    arguments = arguments_of(options, command)
    if command.name == "exit-daemon":
        arguments["yes"] = arguments.get("yes") or _confirmed(options)
        if not arguments["yes"]:
            print("coro: not confirmed: the daemon goes on", file=sys.stderr)
            return DONE
    if command.name == "eval":
        from coro.console import evaluating

        return evaluating.run(options, str(arguments["code"]))
    with link or open_link(options) as link:
        answer = ask(link, command, arguments, options.timeout or DEFAULT_TIMEOUT_S)
    print_result(command, arguments, answer["value"], as_json=options.json)
    if answer.get("answered_by") == "sentinel":
        sys.stdout.flush()
        print(f"coro: {STUCK}", file=sys.stderr)
    return DONE


def arguments_of(options: Options, command: Command) -> dict[str, Any]:
    """The command's arguments as typed.  Raises UsageFailure."""
    try:
        return parse(command, options.words)
    except UsageError as error:
        raise UsageFailure(str(error)) from error


def params_of(command: Command, arguments: Mapping[str, object]) -> dict[str, object]:
    """What is sent: not what has its default anyway, so that an older daemon need not know it."""
    defaults = {parameter.name: parameter.default for parameter in command.parameters}
    return {
        name: value
        for name, value in for_daemon(command, arguments).items()
        if value != defaults[name] and value != [] and value is not False
    }


def ask(link: Link, command: Command, arguments: Mapping[str, object], silence: float | None) -> Answer:
    """The command's answer.  silence: see Client.call_patiently().  Raises Failure."""
    try:
        return link.client.call_patiently(command.name, params_of(command, arguments), silence)
    except NoAnswer as failure:
        raise with_outside(failure, link) from failure
    except CommandFailure as failure:
        if failure.code == INVALID_PARAMS:
            raise UsageFailure(str(failure)) from failure
        if failure.code == METHOD_NOT_FOUND:
            raise CommandFailure(
                failure.code, f"{link.address.text} does not know {command.name}: {failure}"
            ) from None
        raise


def result_lines(
    command: Command, arguments: Mapping[str, object], value: Any, *, width: int | None
) -> Iterator[str]:
    """The lines of a result for stdout.  Raises UsageFailure for a filter that does not fit."""
    from coro.wire.present import present

    try:
        for line in present(command, arguments, value, style=style_for(), width=width):
            if line is not None:
                yield line
    except UsageError as error:
        raise UsageFailure(str(error)) from error


def print_result(command: Command, arguments: Mapping[str, object], value: Any, *, as_json: bool) -> None:
    """Print a result as JSON, a table on a terminal, or plain columns.  Raises UsageFailure, and OSError."""
    if as_json:
        print(json_text(arguments, value))
        return
    size = size_of()
    # Many small writes would make a long table slow over ssh.
    write = sys.stdout.write
    for line in result_lines(command, arguments, value, width=size and size[0]):
        write(line + "\n")


def json_text(arguments: Mapping[str, object], value: Any) -> str:
    """A value as JSON, sorted, filtered and limited as the arguments say.  Raises UsageFailure."""
    if isinstance(value, list):
        from coro.wire.present import select

        try:
            value = [record for record in select(arguments, value) if record is not None]
        except UsageError as error:
            raise UsageFailure(str(error)) from error
    # ASCII only: names from the daemon cannot reach a terminal as control sequences.
    return json.dumps(value, ensure_ascii=True, indent=2 if is_terminal(sys.stdout) else None)


def _confirmed(options: Options) -> bool:
    """Ask at the terminal whether the daemon shall exit.  Raises UsageFailure if there is none to ask at."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageFailure("exit-daemon asks first, and there is no terminal to ask at; say --yes if you mean it")
    with open_link(options) as link:
        who = f"{link.name} (pid {link.pid})"
    # input() prompts on stdout, which may be a pipe.
    print(f"End the daemon {who}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
