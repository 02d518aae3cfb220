"""`coro eval`: what the code prints, then the repr of its value; if it raised, the traceback and exit code 1."""

from __future__ import annotations

import sys
from typing import Any

from coro.console.client import deadline_after
from coro.console.conversing import Abandoned, converse
from coro.console.failures import DONE, FAILED, Failure, NoAnswer
from coro.console.link import open_link, with_outside
from coro.console.options import Options
from coro.console.style import is_terminal
from coro.wire.escape import printable

__all__ = ["Output", "run", "shown"]


class Output:
    """stdout for what a line prints, as it comes.  at_start: the cursor is at the start of a line."""

    def __init__(self) -> None:
        self.at_start = True

    def write(self, text: str) -> None:
        """Write raw: it is the user's own line that prints."""
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self.at_start = text.endswith("\n")

    def end_line(self) -> None:
        """Go to the start of a line, if not there."""
        if not self.at_start:
            self.write("\n")


def shown(text: str) -> str:
    """A repr or a traceback, made safe for a terminal."""
    return printable(text, keep="\n\t")


def run(options: Options, code: str) -> int:
    """Evaluate, print, and return the exit code.  Raises Failure."""
    output = Output()
    # Code and what it reads may be secret.
    with open_link(options, secret=True) as link:
        request = link.client.request("eval", {"code": code})
        deadline = deadline_after(options.timeout)
        try:
            value = converse(link.client, request, write=output.write, read=_read_line, deadline=deadline)["value"]
        except (NoAnswer, Abandoned) as failure:
            output.end_line()
            raise with_outside(failure, link) from failure
    return _report(options, value, output)


def _read_line(prompt: str) -> str | None:
    """Answer the code's input() from stdin; the prompt goes to stderr, so that a pipe gets the output only."""
    if is_terminal(sys.stdin):
        print(printable(prompt, keep="\n\t"), end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    return line.removesuffix("\n") if line else None


def _report(options: Options, value: Any, output: Output) -> int:
    if not isinstance(value, dict):
        raise Failure("the daemon answered with something else than an evaluation")
    if options.json:
        import json

        output.end_line()
        print(json.dumps(value, ensure_ascii=True))
        return FAILED if value.get("error") or value.get("incomplete") else DONE
    if value.get("incomplete"):
        raise Failure("the code is not complete: more lines are needed")
    output.end_line()
    if value.get("error"):
        print(shown(str(value["error"])).rstrip("\n"), file=sys.stderr)
        return FAILED
    if value.get("value") is not None:
        print(shown(str(value["value"])))
    return DONE
