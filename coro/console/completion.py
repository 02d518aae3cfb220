"""Completion at the prompt: Python names by the daemon's `complete`; behind a colon commands, options, thread ids.

Invariant: never holds up the typing for longer than ANSWER_TIMEOUT_S, and never fails: a daemon that is slow, stuck
or gone has no candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from coro.console.failures import Failure, NoAnswer
from coro.console.link import Link
from coro.wire.commands import Command, Parameter
from coro.wire.escape import printable
from coro.wire.protocol import MAX_LINE_BYTES

__all__ = ["PromptCompleter"]

ANSWER_TIMEOUT_S: Final = 0.4
# After it did not answer in time, the daemon is left alone for so long.
_PAUSE_S: Final = 5.0
# For so long a list of threads is good enough.
_THREADS_AGE_S: Final = 2.0
_MAX_THREADS: Final = 500


class PromptCompleter(Completer):
    """Completes what is typed at the prompt.

    link: gives the connection, on which no request may be under way.
    commands: gives what may stand behind a colon.
    """

    def __init__(self, link: Callable[[], Link], commands: Callable[[], dict[str, Command]]) -> None:
        self._link = link
        self._commands = commands
        self._silent_until = 0.0
        self._threads: list[dict[str, Any]] = []
        self._threads_until = 0.0

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """The candidates, for prompt_toolkit."""
        before = document.text_before_cursor
        if before.startswith(":"):
            return self._for_command(before[1:])
        if not before.strip() or before.endswith((" ", "\n")):
            return []
        return self._for_python(document)

    # -- Python

    def _for_python(self, document: Document) -> Iterator[Completion]:
        text, cursor = document.text, document.cursor_position
        # Not in a request's size after escaping.
        if len(text) > MAX_LINE_BYTES // 8:
            return
        value = self._ask("complete", {"text": text, "cursor": cursor})
        if not isinstance(value, dict):
            return
        start, candidates = value.get("start"), value.get("candidates")
        if not isinstance(start, int) or not 0 <= start <= cursor or not isinstance(candidates, list):
            return
        for candidate in candidates:
            name = candidate.get("text") if isinstance(candidate, dict) else None
            if isinstance(name, str) and name.isprintable():
                yield Completion(name, start - cursor, display_meta=printable(str(candidate.get("kind", ""))))

    def _ask(self, method: str, params: dict[str, Any]) -> Any:
        if time.monotonic() < self._silent_until:
            return None
        try:
            return self._link().client.call(method, params, ANSWER_TIMEOUT_S)["value"]
        except NoAnswer:
            self._silent_until = time.monotonic() + _PAUSE_S
            return None
        except Failure:
            # An older daemon, or none any more: the prompt will notice.
            return None

    # -- commands

    def _for_command(self, line: str) -> Iterator[Completion]:
        *former, last = line.split(" ")
        words = [word for word in former if word]
        if not words:
            yield from _starting(
                last, ((name, command.summary) for name, command in sorted(self._commands().items()))
            )
            return
        command = self._commands().get(words[0])
        if command is None:
            return
        previous = _option(command, words[-1]) if len(words) > 1 else None
        if previous is not None and previous.kind != "flag":
            yield from self._values(previous, last)
        elif last.startswith("-"):
            yield from _starting(last, _options(command))
        else:
            positional = _positional(command, words[1:])
            if positional is not None:
                yield from self._values(positional, last)
            elif not last:
                yield from _starting(last, _options(command))

    def _values(self, parameter: Parameter, last: str) -> Iterator[Completion]:
        """What a parameter's value may be."""
        yield from _starting(last, ((choice, "") for choice in parameter.choices))
        if parameter.kind == "target":
            yield from _starting(last, [("all", "all threads")])
        if parameter.kind in ("target", "thread"):
            yield from _starting(last, self._thread_ids())
        if parameter.name == "command":
            yield from _starting(last, ((name, each.summary) for name, each in sorted(self._commands().items())))

    def _thread_ids(self) -> Iterator[tuple[str, str]]:
        if time.monotonic() > self._threads_until:
            value = self._ask("ps", {})
            self._threads = (
                [record for record in value if isinstance(record, dict)] if isinstance(value, list) else []
            )
            self._threads_until = time.monotonic() + _THREADS_AGE_S
        for record in self._threads[:_MAX_THREADS]:
            about = " ".join(str(record.get(key) or "") for key in ("name", "state", "waiting_for"))
            yield str(record.get("id")), about


def _starting(prefix: str, candidates: Iterable[tuple[str, str]]) -> Iterator[Completion]:
    for text, about in candidates:
        if text.startswith(prefix) and text.isprintable():
            yield Completion(text, -len(prefix), display_meta=printable(about)[:60])


def _options(command: Command) -> list[tuple[str, str]]:
    """The spellings of the options, the long ones."""
    return [(each.option[-1], each.summary) for each in command.parameters if each.option] + [("--json", "as JSON")]


def _option(command: Command, word: str) -> Parameter | None:
    return next((each for each in command.parameters if word in (each.option or ())), None)


def _positional(command: Command, words: list[str]) -> Parameter | None:
    """The parameter for which the next word stands."""
    count = 0
    skip = False
    for word in words:
        option = _option(command, word)
        if skip or option is not None or word.startswith("--"):
            skip = option is not None and option.kind != "flag"
            continue
        count += 1
    positional = [each for each in command.parameters if each.option is None]
    if count < len(positional):
        return positional[count]
    return positional[-1] if positional and positional[-1].many else None
