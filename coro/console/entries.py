"""What is entered at the prompt: Python, or a command behind a colon; carried out over the connection, and shown.

Invariant: what fails in the daemon, or is wrong usage, is told and done with; only the loss of the connection and
the wish to leave are raised.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, Final

from coro.console import options as option_parser
from coro.console.commands import application_commands
from coro.console.conversing import converse
from coro.console.evaluating import Output, shown
from coro.console.failures import CommandFailure, Failure, NotReached, UsageFailure
from coro.console.link import DEFAULT_TIMEOUT_S, Link
from coro.console.options import Options
from coro.console.running import STUCK, params_of, print_result
from coro.wire.arguments import UsageError, did_you_mean, parse, split
from coro.wire.commands import COMMANDS, Command
from coro.wire.escape import printable
from coro.wire.usage import help_text

__all__ = ["Entries", "Leave"]

_LEAVING: Final = ("quit", "exit", "quit()", "exit()", ":quit", ":exit")


class Leave(Exception):
    """The session shall end."""


class Entries:
    """Carries out entries, one after the other.

    link: the connection, which its owner replaces after a loss, by renew().
    commands: what may stand behind a colon, those of the application included.
    history: what was entered, oldest first.
    """

    def __init__(self, options: Options, link: Link, read: Callable[[str], str | None]) -> None:
        """read: asks the user for a line, for input() and confirmations; see converse()."""
        self.link = link
        self.commands: dict[str, Command] = {}
        self.history: list[str] = []
        self.output = Output()
        self._options = options
        self._read = read
        self._highlight: Callable[[str, bool], str] = lambda text, is_traceback: text
        self.renew(link)

    def renew(self, link: Link) -> None:
        """Go on over another connection, perhaps with another daemon.  Raises NotReached."""
        self.link = link
        self.commands = {name: command for name, command in COMMANDS.items() if command.where != "shell"}
        try:
            self.commands |= application_commands(link, DEFAULT_TIMEOUT_S)
        except CommandFailure:
            # An older daemon that does not describe its commands has the usual ones.
            return

    def set_highlight(self, highlight: Callable[[str, bool], str]) -> None:
        """Have reprs and tracebacks (the flag) coloured on their way to stdout."""
        self._highlight = highlight

    def execute(self, text: str) -> bool:
        """Carry out an entry; False if it failed.  Raises Leave, and NotReached when the connection is lost."""
        stripped = text.strip()
        if not stripped:
            return True
        if stripped in _LEAVING:
            raise Leave
        self.history.append(text)
        try:
            if stripped.startswith(":"):
                self._command(stripped[1:])
                return True
            return self._python(text)
        except NotReached:
            self.output.end_line()
            raise
        except Failure as failure:
            self.output.end_line()
            self._tell(str(failure))
            return False

    def _tell(self, text: str) -> None:
        sys.stdout.flush()
        print(text, file=sys.stderr, flush=True)

    def _converse(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        request = self.link.client.request(method, params)
        answer = converse(self.link.client, request, write=self.output.write, read=self._read)
        self.output.end_line()
        if answer.get("answered_by") == "sentinel":
            self._tell(STUCK)
        return answer

    # -- Python

    def _python(self, text: str) -> bool:
        # A block ends with an empty line.
        value = self._converse("eval", {"code": text + "\n", "interactive": True})["value"]
        if not isinstance(value, dict):
            raise Failure("the daemon answered with something else than an evaluation")
        if value.get("incomplete"):
            raise Failure("the daemon's Python needs more lines: nothing ran")
        error = value.get("error")
        if error:
            self._tell(self._highlight(shown(str(error)).rstrip("\n"), True))
            return False
        if value.get("value") is not None:
            print(self._highlight(shown(str(value["value"])), False), flush=True)
        return True

    # -- commands

    def _command(self, line: str) -> None:
        try:
            name, *words = split(line)
        except UsageError as error:
            raise UsageFailure(str(error)) from error
        except ValueError:
            raise UsageFailure("a command stands behind the colon; :help lists them") from None
        command = self.commands.get(name)
        if command is None:
            hint = did_you_mean(name, self.commands)
            raise UsageFailure(f"there is no command {printable(repr(name))}{hint or '; :help lists them'}")
        options = option_parser.parse([name, *words])
        if options.fault is not None:
            raise options.fault
        if options.help:
            print("\n".join(help_text(command)))
        elif options.watch is not None:
            self._watch(options, command)
        else:
            self._ask(options, command)

    def _ask(self, options: Options, command: Command) -> None:
        try:
            arguments = parse(command, options.words)
        except UsageError as error:
            raise UsageFailure(str(error)) from error
        if command.name == "help":
            value = self._described(arguments.get("command"))
        elif command.name == "history":
            value = [{"number": number, "text": text} for number, text in enumerate(self.history, 1)]
        else:
            if command.name == "exit-daemon" and not arguments["yes"]:
                arguments["yes"] = self._confirmed()
                if not arguments["yes"]:
                    raise Failure("not confirmed: the daemon goes on")
            value = self._converse(command.name, params_of(command, arguments))["value"]
        print_result(command, arguments, value, as_json=options.json)
        sys.stdout.flush()
        if command.name == "exit-daemon":
            # It goes by our own wish: nobody waits for its return.
            raise Leave

    def _described(self, name: object) -> list[Any]:
        from coro.wire.described import command_record
        from coro.wire.encode import to_plain

        if name is not None and name not in self.commands:
            raise UsageFailure(
                f"there is no command {printable(repr(name))}{did_you_mean(str(name), self.commands)}"
            )
        chosen = [self.commands[str(name)]] if name is not None else list(self.commands.values())
        return [to_plain(command_record(command)) for command in chosen]

    def _confirmed(self) -> bool:
        try:
            answer = self._read(f"End the daemon {self.link.name} (pid {self.link.pid})? [y/N] ")
        except KeyboardInterrupt:
            return False
        return (answer or "").strip().lower() in ("y", "yes")

    def _watch(self, options: Options, command: Command) -> None:
        """Watch over a connection of its own, so that this one stays as it is."""
        from coro.console import watch

        address = self.link.address
        same = address.path or address.text
        watch.run(
            dataclasses.replace(self._options, target=same, watch=options.watch, words=options.words), command
        )
