"""FILTER: a comparison over a record's fields, such as `state == "waiting" and waiting_s > 5`.

It reads as Python does, but it is a language of its own with a parser of its own: fields, numbers, strings, True,
False, None, comparisons (also chained), `in`, `is None`, and, or, not, parentheses.  There are no calls, no
arithmetic and no attributes, so there is nothing that could be misused, and no compiler that a hostile text could
bring down with its nesting, or that warns about it.

Invariant: whatever the text, FilterError is all that comes of it.  Work is linear in the text, which is at most
1000 characters long and 20 levels deep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from coro.wire.escape import printable
from coro.wire.words import UsageError, shown

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "Filter", "FilterError", "compile_filter"]

MAX_LENGTH: Final = 1000
MAX_DEPTH: Final = 20

Record = Mapping[str, Any]
Evaluate = Callable[[Record], Any]

_TOKEN = re.compile(
    r"""\s*+ (?:
        (?P<number> (?: [0-9]{1,30} (?: \. [0-9]{0,30} )? | \. [0-9]{1,30} )
                    (?: [eE] [+-]? [0-9]{1,3} )? (?![\w.]) )
      | (?P<string> '(?: [^'\\] | \\. )*+' | "(?: [^"\\] | \\. )*+" )
      | (?P<name>   [A-Za-z_]\w*+ (?: \. [A-Za-z_]\w*+ )*+ )
      | (?P<sign>   == | != | <= | >= | [<>()\[\],-] )
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_CONSTANTS: Final = {"True": True, "False": False, "None": None}
_WORDS: Final = frozenset(("and", "or", "not", "in", "is"))
_COMPARISONS: Final = frozenset(("==", "!=", "<", "<=", ">", ">=", "in", "is"))


class FilterError(UsageError):
    """The filter cannot be understood, or not be applied to these records.  The message says where and why."""


class Filter:
    """A filter, ready to be applied.  text: as it was given."""

    __slots__ = ("_evaluate", "text")

    def __init__(self, text: str, evaluate: Evaluate) -> None:
        self.text = text
        self._evaluate = evaluate

    def matches(self, record: Record) -> bool:
        """Whether the comparison holds for a plain record.

        None is neither less nor greater than anything, and nothing is in it.  A bare field holds if it is neither
        None, False, 0 nor empty.
        Raises FilterError for a field that the record has not, and for an order between a number and a text.
        """
        return bool(self._evaluate(record))


def compile_filter(text: str) -> Filter:
    """The filter that a text describes.

    Raises FilterError, also for more than 1000 characters or 20 levels.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"a filter may have {MAX_LENGTH} characters, this one has {len(text)}")
    return Filter(text, _Parser(text).parse())


# -- values


def _field(path: str) -> Evaluate:
    first, *others = path.split(".")

    def evaluate(record: Record) -> Any:
        try:
            value = record[first]
        except KeyError:
            raise _unknown(path, first, record) from None
        for name in others:
            if value is None:
                return None
            if not isinstance(value, Mapping):
                raise FilterError(f"{path}: {name} cannot be looked up in {_kind(value)}")
            if name not in value:
                raise _unknown(path, name, value)
            value = value[name]
        return value

    return evaluate


def _unknown(path: str, name: str, record: Record) -> FilterError:
    names = ", ".join([printable(str(key)) for key in list(record)[:100]])
    return FilterError(f"unknown field {shown(name)} in {shown(path)}; known are: {names or 'none'}")


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float)):
        return "a number"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, (list, tuple)) else "a record"


def _compare(operator: str, left: Any, right: Any) -> bool:
    if operator == "==":
        return bool(left == right)
    if operator == "!=":
        return bool(left != right)
    if operator == "is":
        return left is right
    if operator == "is not":
        return left is not right
    if operator in ("in", "not in"):
        return _contains(right, left) is (operator == "in")
    if left is None or right is None:
        return False
    return _ordered(operator, left, right)


def _contains(container: Any, item: Any) -> bool:
    if container is None:
        return False
    if isinstance(container, str):
        if item is None:
            return False
        if not isinstance(item, str):
            raise FilterError(f"{_kind(item)} cannot be in a text")
        return item in container
    if not isinstance(container, (list, tuple, Mapping)):
        raise FilterError(f"nothing can be in {_kind(container)}")
    # By hand, not `in`: that would hash, and a list cannot be.
    return any(item == other for other in container)


def _ordered(operator: str, left: Any, right: Any) -> bool:
    numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        raise FilterError(f"{_kind(left)} is neither less nor greater than {_kind(right)}")
    if operator == "<":
        return bool(left < right)
    if operator == "<=":
        return bool(left <= right)
    return bool(left > right) if operator == ">" else bool(left >= right)


# -- the parser: recursive descent, a method for each level of the grammar


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self.tokens_of(text))
        self.index = 0
        self.depth = 0

    def tokens_of(self, text: str) -> list[tuple[str, str, int]]:
        """(kind, text, position) of each token; a last one of kind "end"."""
        found: list[tuple[str, str, int]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position, end)
            if match is None or match.lastgroup is None:
                while text[position].isspace():
                    position += 1
                raise self.error("this is neither a field, a number, a string nor an operator", position)
            kind, token = match.lastgroup, match[match.lastgroup]
            if kind == "name" and token in _WORDS:
                kind = "sign"
            found.append((kind, token, match.start(match.lastgroup)))
            position = match.end()
        found.append(("end", "", end))
        return found

    def error(self, message: str, position: int | None = None) -> FilterError:
        if position is None:
            position = self.tokens[self.index][2]
        found = self.text[position : position + 20]
        where = f"at character {position + 1}, {shown(found)}" if found else "at its end"
        return FilterError(f"filter: {message}, {where}")

    def next_is(self, *tokens: str) -> bool:
        kind, token, _ = self.tokens[self.index]
        return kind == "sign" and token in tokens

    def accept(self, *tokens: str) -> bool:
        if self.next_is(*tokens):
            self.index += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.error(f"{token!r} is missing")

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels")

    def parse(self) -> Evaluate:
        evaluate = self.disjunction()
        if self.tokens[self.index][0] != "end":
            raise self.error("an operator is missing, or this is too much")
        return evaluate

    def disjunction(self) -> Evaluate:
        terms = [self.conjunction()]
        while self.accept("or"):
            terms.append(self.conjunction())
        return terms[0] if len(terms) == 1 else lambda record: any(term(record) for term in terms)

    def conjunction(self) -> Evaluate:
        terms = [self.negation()]
        while self.accept("and"):
            terms.append(self.negation())
        return terms[0] if len(terms) == 1 else lambda record: all(term(record) for term in terms)

    def negation(self) -> Evaluate:
        if not self.accept("not"):
            return self.comparison()
        self.enter()
        term = self.negation()
        self.depth -= 1
        return lambda record: not term(record)

    def comparison(self) -> Evaluate:
        operands = [self.operand()]
        operators: list[str] = []
        while operator := self.operator():
            operators.append(operator)
            operands.append(self.operand())
            if operator.startswith("is") and not self.is_constant(self.index - 1):
                raise self.error(
                    "'is' is for None, True and False only: compare with ==", self.tokens[self.index - 1][2]
                )
        if not operators:
            return operands[0]
        if len(operators) == 1:
            only, left, right = operators[0], operands[0], operands[1]
            return lambda record: _compare(only, left(record), right(record))

        def chained(record: Record) -> bool:
            values = [operand(record) for operand in operands]
            return all(map(_compare, operators, values, values[1:]))

        return chained

    def is_constant(self, index: int) -> bool:
        return self.tokens[index][1] in _CONSTANTS

    def operator(self) -> str:
        """The comparison operator that stands next; "" for none."""
        if self.accept("not"):
            self.expect("in")
            return "not in"
        token = self.tokens[self.index][1]
        if not self.next_is(*_COMPARISONS):
            return ""
        self.index += 1
        return "is not" if token == "is" and self.accept("not") else token

    def operand(self) -> Evaluate:
        kind, token, position = self.tokens[self.index]
        if self.accept("("):
            return self.parenthesis()
        if self.accept("["):
            return self.items("]", [])
        if self.accept("-"):
            kind, token, _ = self.tokens[self.index]
            if kind != "number":
                raise self.error("only a number may have a sign")
            token = f"-{token}"
        if kind not in ("number", "string", "name"):
            raise self.error("a field or a value is missing")
        self.index += 1
        if kind == "name" and token not in _CONSTANTS:
            if self.next_is("("):
                raise self.error("a filter cannot call anything", position)
            return _field(token)
        value = _CONSTANTS.get(token) if kind == "name" else self.literal(kind, token, position)
        return lambda record: value

    def literal(self, kind: str, token: str, position: int) -> Any:
        if kind == "number":
            return int(token) if token.lstrip("-").isdigit() else float(token)

        def unescape(match: re.Match[str]) -> str:
            if match[3] is None:
                return chr(int(match[1] or match[2], 16))
            if match[3] not in _ESCAPED:
                raise self.error(f"unknown escape {shown(match[0])} in a string", position)
            return _ESCAPED[match[3]]

        return _ESCAPE.sub(unescape, token[1:-1])

    def parenthesis(self) -> Evaluate:
        """What follows "(": an expression, or a tuple."""
        self.enter()
        if self.accept(")"):
            self.depth -= 1
            return lambda record: ()
        inner = self.disjunction()
        self.depth -= 1
        if self.next_is(","):
            self.index += 1
            return self.items(")", [inner])
        self.expect(")")
        return inner

    def items(self, closing: str, found: list[Evaluate]) -> Evaluate:
        self.enter()
        while not self.accept(closing):
            found.append(self.disjunction())
            if not self.next_is(closing):
                self.expect(",")
        self.depth -= 1
        return lambda record: [item(record) for item in found]
