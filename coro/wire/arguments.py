"""The arguments of a command: from typed words, or from the parameters of a request, to checked values.

Both ways end in the same dict, parameter name to value, in which every parameter of the command stands; so what a
command does cannot depend on how it was called.

Invariant: UsageError is all that they raise, whatever was typed or sent; its message names object, value and limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from coro.wire.commands import Command, Parameter
from coro.wire.usage import help_text, usage
from coro.wire.words import UsageError, shown, split, words_with_ends

__all__ = [
    "UsageError",
    "check",
    "did_you_mean",
    "for_daemon",
    "help_text",
    "parse",
    "parse_line",
    "split",
    "usage",
]

_MAX_INT: Final = (1 << 63) - 1
_INT = re.compile(r"[+-]?[0-9]{1,20}")
_FLOAT = re.compile(r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,4})?")
_NEGATIVE = re.compile(r"-\.?[0-9]")
_KIND_NAMES: Final = {
    "int": "a whole number",
    "float": "a number",
    "thread": "a thread's id",
    "target": "a thread's id or all",
    "flag": "true or false",
}


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`; did you mean "where"?` if one of the names is close, else "": to be put at the end of a message."""
    # Comparing is quadratic in the length; nobody mistypes a name of 40 letters.
    if len(name) > 40:
        return ""
    import difflib

    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {shown(close[0])}?" if close else ""


def for_daemon(command: Command, arguments: Mapping[str, object]) -> dict[str, object]:
    """Those of parse()'s arguments that are sent: neither for presentation only, nor left at None."""
    kept = {parameter.name for parameter in command.parameters if not parameter.presentation}
    return {name: value for name, value in arguments.items() if name in kept and value is not None}


# -- typed


def parse(command: Command, words: Sequence[str], rest: str | None = None) -> dict[str, object]:
    """Arguments from what is typed behind the command's name.

    words: as split() makes them, or as a shell hands them over.
    rest: the same, unsplit, for a parameter of kind "rest"; None: the words joined by blanks stand for it.  For a
        command without such a parameter it is not looked at.
    Options may stand anywhere, in the forms -n 10, -n10, --limit 10, --limit=10, and are repeated where they take
    many values (else the last one counts); "--" ends them; a negative number is no option.
    Raises UsageError.
    """
    return _Parser(command).parse(words, rest)


def parse_line(command: Command, text: str) -> dict[str, object]:
    """Arguments from a prompt's line, without the command's name; splits it unless the command takes it unsplit.

    Raises UsageError, also for a quote that does not end.
    """
    if any(parameter.kind == "rest" for parameter in command.parameters):
        return parse(command, (), text)
    return parse(command, split(text))


class _Parser:
    """One call of parse()."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.options = {spelling: p for p in command.parameters for spelling in p.option or ()}
        self.positional = [p for p in command.parameters if p.option is None]
        self.values = _defaults(command)
        self.given: set[str] = set()
        self.loose: list[str] = []

    def parse(self, words: Sequence[str], rest: str | None) -> dict[str, object]:
        last = self.positional[-1] if self.positional else None
        if last is not None and last.kind == "rest":
            self.positional.pop()
            self.parse_with_rest(last, words, rest)
        else:
            self.take_all(words)
        self.fill_positional()
        for parameter in self.command.parameters:
            if parameter.required and parameter.name not in self.given:
                raise self.error(f"{parameter.name} is missing")
        return self.values

    def error(self, message: str) -> UsageError:
        return UsageError(f"{self.command.name}: {message} (usage: {usage(self.command)})")

    def take_all(self, words: Sequence[str]) -> None:
        index = 0
        while index < len(words):
            word = words[index]
            if word == "--":
                self.loose.extend(words[index + 1 :])
                return
            index += self.take(word, words[index + 1] if index + 1 < len(words) else None)

    def take(self, word: str, following: str | None) -> int:
        """Take one word, and the one behind it if it is an option's value.  Returns how many it took."""
        if len(word) < 2 or word[0] != "-" or (_NEGATIVE.match(word) and word[:2] not in self.options):
            self.loose.append(word)
            return 1
        if word.startswith("--"):
            spelling, equals, value = word.partition("=")
            return self.take_option(spelling, value if equals else None, following)
        letters = word[1:]
        while letters:
            parameter, spelling, letters = self.options.get(f"-{letters[0]}"), f"-{letters[0]}", letters[1:]
            if parameter is None or parameter.kind != "flag" or not letters:
                return self.take_option(spelling, letters or None, following)
            self.store(parameter, True)
        return 1

    def take_option(self, spelling: str, value: str | None, following: str | None) -> int:
        parameter = self.options.get(spelling)
        if parameter is None:
            raise self.error(f"unknown option {shown(spelling)}{did_you_mean(spelling, self.options)}")
        if parameter.kind == "flag":
            if value is not None:
                raise self.error(f"{spelling} takes no value, got {shown(value)}")
            self.store(parameter, True)
            return 1
        if value is not None:
            self.store(parameter, self.convert(parameter, value))
            return 1
        if following is None or following == "--" or following.partition("=")[0] in self.options:
            raise self.error(f"{spelling} needs a value")
        self.store(parameter, self.convert(parameter, following))
        return 2

    def store(self, parameter: Parameter, value: object) -> None:
        if parameter.many:
            kept = self.values[parameter.name] if parameter.name in self.given else []
            self.values[parameter.name] = [*kept, value]
        else:
            self.values[parameter.name] = value
        self.given.add(parameter.name)

    def convert(self, parameter: Parameter, word: str) -> object:
        return _from_word(self.command, parameter, word)

    def fill_positional(self) -> None:
        """Spread the words that are no options over the positional parameters, in order.

        An optional one, or one that takes many, leaves enough for the required ones behind it.
        """
        words = self.loose
        for index, parameter in enumerate(self.positional):
            needed = sum(later.required for later in self.positional[index + 1 :])
            available = len(words) if parameter.required and not parameter.many else len(words) - needed
            count = max(0, available if parameter.many else min(1, available))
            taken, words = words[:count], words[count:]
            for word in taken:
                self.store(parameter, self.convert(parameter, word))
        if words:
            raise self.error(f"unexpected argument {shown(words[0])}")

    def parse_with_rest(self, parameter: Parameter, words: Sequence[str], rest: str | None) -> None:
        """Take words for the other parameters as long as there are any; what follows is the rest."""
        if rest is None:
            count = self.take_leading(words)
            text = " ".join(words[count:])
        else:
            text = self.rest_of(rest)
        if text:
            self.store(parameter, self.convert(parameter, text))

    def take_leading(self, words: Sequence[str]) -> int:
        index = 0
        while index < len(words):
            word = words[index]
            if word == "--":
                return index + 1
            if not self.leads(word):
                return index
            index += self.take(word, words[index + 1] if index + 1 < len(words) else None)
        return index

    def leads(self, word: str) -> bool:
        """Whether the word belongs to another parameter than the rest.  An unknown option does not."""
        if word.partition("=")[0] in self.options or (word[:1] == "-" and word[:2] in self.options):
            return True
        return len(self.loose) < len(self.positional)

    def rest_of(self, line: str) -> str:
        """As take_leading(), in an unsplit line.  Quotes in the rest need not match: it is not split."""
        line = line.strip()
        if not self.options and not self.positional:
            return line
        position = 0
        while position < len(line):
            pair = list(_first_words(line, position, 2))
            words = [word for word, _ in pair]
            if words[0] != "--" and not self.leads(words[0]):
                break
            count = 1 if words[0] == "--" else self.take(words[0], words[1] if len(words) > 1 else None)
            position = pair[count - 1][1]
            if words[0] == "--":
                break
        return line[position:].strip()


def _first_words(line: str, position: int, count: int) -> Iterable[tuple[str, int]]:
    for index, pair in enumerate(words_with_ends(line, position)):
        yield pair
        if index + 1 == count:
            return


def _from_word(command: Command, parameter: Parameter, word: str) -> object:
    kind = parameter.kind
    if kind in ("str", "rest"):
        return _checked(command, parameter, word)
    if kind == "target" and word == "all":
        return "all"
    if kind == "float":
        if _FLOAT.fullmatch(word):
            return _checked(command, parameter, float(word))
    elif _INT.fullmatch(word):
        return _checked(command, parameter, int(word))
    raise _refused(command, parameter, word)


# -- sent


def check(command: Command, params: Mapping[str, object]) -> dict[str, object]:
    """Arguments from the parameters of a request, which are JSON values; strict about their types.

    null stands for "not given" where that is allowed.  Parameters for presentation are the client's business: they
    are accepted, ignored, and not in the result.
    Raises UsageError.
    """
    parameters = {parameter.name: parameter for parameter in command.parameters}
    for name in params:
        if name not in parameters:
            raise UsageError(f"{command.name} has no parameter {shown(name)}{did_you_mean(str(name), parameters)}")
    values = _defaults(command)
    for name, parameter in parameters.items():
        if parameter.presentation:
            del values[name]
            continue
        value = params.get(name)
        if value is not None:
            values[name] = _from_json(command, parameter, value)
        if parameter.required and (value is None or value == []):
            raise UsageError(f"{command.name}: the parameter {parameter.name} is missing")
    return values


def _from_json(command: Command, parameter: Parameter, value: object) -> object:
    if not parameter.many:
        return _checked(command, parameter, value)
    if not isinstance(value, (list, tuple)):
        raise UsageError(f"{command.name}: {parameter.name} must be a list, got {shown(value)}")
    return [_checked(command, parameter, item) for item in value]


# -- both


def _defaults(command: Command) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for parameter in command.parameters:
        default = parameter.default
        if parameter.many:
            default = list(default) if isinstance(default, (list, tuple)) else []
        elif parameter.kind == "flag":
            default = bool(default)
        values[parameter.name] = default
    return values


def _refused(command: Command, parameter: Parameter, value: object) -> UsageError:
    expected = _KIND_NAMES.get(parameter.kind, "text")
    return UsageError(f"{command.name}: {parameter.name} must be {expected}, got {shown(value)}")


def _checked(command: Command, parameter: Parameter, value: object) -> object:
    """One value of the parameter's kind.  Raises UsageError for any other."""
    kind = parameter.kind
    if kind == "flag":
        accepted = isinstance(value, bool)
    elif kind == "float":
        return _checked_float(command, parameter, value)
    elif kind in ("int", "thread") or (kind == "target" and value != "all"):
        return _checked_int(command, parameter, value)
    else:
        accepted = isinstance(value, str)
    if not accepted:
        raise _refused(command, parameter, value)
    if isinstance(value, str):
        _check_text(command, parameter, value)
    return value


def _check_text(command: Command, parameter: Parameter, value: str) -> None:
    if parameter.choices and value not in parameter.choices:
        raise UsageError(
            f"{command.name}: {parameter.name} must be one of {', '.join(parameter.choices)}, got {shown(value)}"
            + did_you_mean(value, parameter.choices)
        )
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        # A shell hands over bytes that are no UTF-8 as halves of surrogate pairs.
        raise UsageError(f"{command.name}: {parameter.name} must be UTF-8 text, got {shown(value)}") from None


def _checked_int(command: Command, parameter: Parameter, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refused(command, parameter, value)
    lowest = 0 if parameter.kind in ("thread", "target") else -_MAX_INT - 1
    if not lowest <= value <= _MAX_INT:
        expected = _KIND_NAMES[parameter.kind]
        raise UsageError(
            f"{command.name}: {parameter.name} must be {expected} from {lowest} to {_MAX_INT}, got {shown(value)}"
        )
    return value


def _checked_float(command: Command, parameter: Parameter, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refused(command, parameter, value)
    if isinstance(value, int) and not -_MAX_INT - 1 <= value <= _MAX_INT:
        raise _refused(command, parameter, value)
    number = float(value)
    if number - number != 0.0:
        raise UsageError(f"{command.name}: {parameter.name} must be a finite number, got {number}")
    return number
