"""Completion of what is being typed, bounded in time and size, without running any code of the daemon's.

Names, attributes (`coro.all_threads[17].na`), string keys of dictionaries (`d["ke`), modules that are imported
already.  What only a call or a property could tell is not completed.

Commands, which begin with a colon, are the client's business.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from coro.backdoor.static_lookup import (
    UNKNOWN,
    Names,
    attribute,
    find,
    item,
    kind_of,
    names_of,
    string_items,
)

__all__ = ["MAX_CANDIDATES", "MAX_COMPLETION_S", "Completion", "complete"]

MAX_CANDIDATES: Final = 200
MAX_COMPLETION_S: Final = 0.005

# Sorting is not covered by the deadline, so this bounds it.
_MAX_MATCHES: Final = 2000
_MAX_NAME_CHARACTERS: Final = 200
# The clock is read once for so many names.
_NAMES_PER_READING: Final = 32
# Only so much of the text before the cursor is read; where a longer text is inside a string, names are offered.
_MAX_CHARACTERS: Final = 2000
# Names of the console's own among the builtins.
_HIDDEN: Final = "__coro_"

_TOKEN: Final = re.compile(
    r"""(?P<string>\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3})
    |(?P<long>\"{3}.*|'{3}.*)
    |(?P<short>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')
    |(?P<open>[\"'][^\n]*)
    |(?P<comment>\#[^\n]*)
    |(?P<name>[^\W\d]\w*)
    |(?P<number>\d[\w.]*)
    |(?P<space>(?:[^\S\n]|\\\n)+)
    |(?P<end>[\n;])
    |(?P<operator>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Completion:
    """What may stand at the cursor.

    start: the candidates replace the text from here to the cursor.
    candidates: (text, kind), sorted; kind is a word such as "module", "function", "keyword", or a class's name.
    truncated: there are more, or there was no time to look for them.
    """

    start: int
    candidates: tuple[tuple[str, str], ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int


class _OutOfTime(Exception):
    """The deadline has passed, or there are matches enough."""


def complete(
    text: str,
    cursor: int,
    namespace: dict[str, Any],
    builtins: dict[str, Any],
    *,
    seconds: float = MAX_COMPLETION_S,
    clock: Callable[[], float] = perf_counter,
) -> Completion:
    """Complete what stands before the cursor.

    cursor: how many characters of the text stand before it; out of range counts as the end.
    namespace, builtins: the names that the session's code sees.
    seconds: after which what was found so far is returned.
    Runs no code of the daemon's, raises nothing, does not yield.
    """
    if not 0 <= cursor <= len(text):
        cursor = len(text)
    tokens = [
        _Token(str(match.lastgroup), match.group(), match.start())
        for match in _TOKEN.finditer(text, max(0, cursor - _MAX_CHARACTERS), cursor)
    ]
    search = _Search(namespace, builtins, clock, clock() + seconds)
    try:
        search.complete(tokens, cursor)
    except (_OutOfTime, RuntimeError):
        # RuntimeError: another OS thread changed a dictionary while it was read.
        search.truncated = True
    found = sorted(search.found)
    candidates = tuple((name, search.found[name]) for name in found[:MAX_CANDIDATES])
    return Completion(search.start, candidates, search.truncated or len(found) > MAX_CANDIDATES)


class _Search:
    """One completion.

    found: name to kind.  start: of what the candidates replace.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        builtins: dict[str, Any],
        clock: Callable[[], float],
        deadline: float,
    ) -> None:
        self.found: dict[str, str] = {}
        self.start = 0
        self.truncated = False
        self._namespace = namespace
        self._builtins = builtins
        self._clock = clock
        self._deadline = deadline
        self._seen = 0

    def complete(self, tokens: list[_Token], cursor: int) -> None:
        """Find out what is being typed, and collect what it may become."""
        self.start = cursor
        last = tokens[-1] if tokens else None
        if last is not None and last.kind in ("long", "comment", "number"):
            return
        if last is not None and last.kind == "open":
            self._keys(tokens[:-1], last)
            return
        prefix = ""
        if last is not None and last.kind == "name":
            prefix = last.text
            self.start = last.start
            tokens = tokens[:-1]
        statement = _statement(tokens)
        if statement and statement[0].text in ("import", "from"):
            self._import(statement, prefix)
            return
        before = [token for token in tokens if token.kind != "space"]
        if before and before[-1].text == ".":
            value = self._value(before[:-1])
            if value is not UNKNOWN:
                self._add(names_of(value), prefix)
        elif not (before and before[-1].kind in _ENDS_A_VALUE and before[-1] is tokens[-1]):
            self._names(prefix)

    def _names(self, prefix: str) -> None:
        for word in (*keyword.kwlist, *keyword.softkwlist):
            if word.startswith(prefix) and word != "_":
                self.found[word] = "keyword"
        self._add(string_items(self._namespace), prefix)
        self._add(string_items(self._builtins), prefix)

    def _keys(self, before: list[_Token], opened: _Token) -> None:
        """The string keys of a dict, for `d["ke`; each candidate is the whole literal."""
        before = [token for token in before if token.kind != "space"]
        quote, prefix = opened.text[0], opened.text[1:]
        if not before or before[-1].text != "[" or "\\" in prefix:
            return
        value = self._value(before[:-1])
        if value is UNKNOWN:
            return
        self.start = opened.start
        for key, found in string_items(value):
            self._tick()
            if key.startswith(prefix) and len(key) <= _MAX_NAME_CHARACTERS and key.isprintable():
                escaped = key.replace("\\", "\\\\").replace(quote, "\\" + quote)
                self._keep(f"{quote}{escaped}{quote}", found)

    def _import(self, statement: list[_Token], prefix: str) -> None:
        words = [token.text for token in statement]
        if words[-1] == "as":
            return
        names = [index for index, word in enumerate(words) if word == "import"]
        if words[0] == "import" or not names:
            begin = max(index for index, word in enumerate(words) if word in ("import", "from", ","))
            package = "".join(words[begin + 1 :])
            if package and not package.endswith("."):
                # `from a.b im`: the module's name is complete.
                if words[0] == "from" and "import".startswith(prefix):
                    self.found["import"] = "keyword"
                return
            self._modules(package, prefix)
        elif words[-1] in ("import", ",", "("):
            package = "".join(words[1 : names[0]])
            module = find(sys.modules, package)
            if module is not UNKNOWN:
                self._add(names_of(module), prefix)
            self._modules(package + ".", prefix)

    def _modules(self, package: str, prefix: str) -> None:
        """The next components of the names of imported modules.  package: "" or ended by a dot."""
        for name, _ in string_items(sys.modules):
            self._tick()
            if name.startswith(package + prefix):
                component = name[len(package) :].partition(".")[0]
                if component.isidentifier() and _is_wanted(component, prefix):
                    self.found[component] = "module"

    def _value(self, tokens: list[_Token]) -> Any:
        """What a chain such as `coro.all_threads[17]` at the end of the tokens stands for; UNKNOWN if not known."""
        steps: list[_Token] = []
        position = len(tokens) - 1
        while position >= 0:
            token = tokens[position]
            if token.text == "]" and position >= 3 and tokens[position - 2].text == "[":
                steps.append(tokens[position - 1])
                position -= 3
                continue
            if token.kind != "name":
                return UNKNOWN
            steps.append(token)
            if position == 0 or tokens[position - 1].text != ".":
                break
            position -= 2
        return self._follow(steps[::-1]) if position >= 0 else UNKNOWN

    def _follow(self, steps: list[_Token]) -> Any:
        name = steps[0].text
        value = find(self._namespace, name)
        if value is UNKNOWN:
            value = find(self._builtins, name)
        for step in steps[1:]:
            self._check_time()
            if value is UNKNOWN:
                return UNKNOWN
            if step.kind == "name":
                value = attribute(value, step.text)
            elif step.kind == "short" and "\\" not in step.text:
                value = item(value, step.text[1:-1])
            elif step.kind == "number" and step.text.isdecimal():
                value = item(value, int(step.text))
            else:
                return UNKNOWN
        return value

    def _add(self, names: Names, prefix: str) -> None:
        for name, value in names:
            self._tick()
            if name.startswith(prefix) and name not in self.found and _is_wanted(name, prefix):
                self._keep(name, value)

    def _keep(self, name: str, value: Any) -> None:
        self.found[name] = kind_of(value)
        if len(self.found) > _MAX_MATCHES:
            raise _OutOfTime

    def _tick(self) -> None:
        self._seen += 1
        if self._seen % _NAMES_PER_READING == 0:
            self._check_time()

    def _check_time(self) -> None:
        if self._clock() > self._deadline:
            raise _OutOfTime


# After these a name cannot follow at once.
_ENDS_A_VALUE: Final = ("number", "string", "short")


def _statement(tokens: list[_Token]) -> list[_Token]:
    """The tokens of the last statement, without spaces."""
    begin = max((index + 1 for index, token in enumerate(tokens) if token.kind == "end"), default=0)
    return [token for token in tokens[begin:] if token.kind != "space"]


def _is_wanted(name: str, prefix: str) -> bool:
    """Whether a name can be typed, and is not private unless that was asked for."""
    if len(name) > _MAX_NAME_CHARACTERS or not name.isidentifier() or name.startswith(_HIDDEN):
        return False
    if name.startswith("__"):
        return prefix.startswith("__")
    return prefix.startswith("_") or not name.startswith("_")
