"""repr() that is bounded: in length, and as far as it can be, in time.

Builtin containers, texts and numbers are walked here and cut before anything long is made of them; where they fit,
the result is that of repr().  Everything else is asked for its repr(), which may fail or never end: a failure is
described; to end it is the business of whoever interrupts the line.

Knows nothing of sessions.
"""

from __future__ import annotations

import builtins
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import perf_counter
from typing import Any, Final

__all__ = ["MAX_REPR_BYTES", "MAX_REPR_S", "cut", "describe_error", "safe_repr"]

MAX_REPR_BYTES: Final = 65_536
MAX_REPR_S: Final = 0.25

# Deeper containers are shown as `…`; the interpreter's own repr() would fail at a thousand.
_MAX_DEPTH: Final = 40
_MAX_INT_DIGITS: Final = 4300
# Decimal digits per bit.
_LOG10_2: Final = 0.30103
# What a note about something left out may cost.
_NOTE_BYTES: Final = 32

# Bound now: a line may replace builtins.repr, as it may replace anything.
_repr = builtins.repr

# By id: a metaclass may have an __eq__ of its own.
_LITERALS: Final = frozenset(map(id, (type(None), bool, float, complex, type(...), type(NotImplemented))))
_TEXTS: Final = frozenset(map(id, (str, bytes, bytearray)))
# What opens and closes each container, and what stands for one inside itself.
_BRACKETS: Final[dict[int, tuple[str, str, str]]] = {
    id(list): ("[", "]", "[...]"),
    id(tuple): ("(", ")", "(...)"),
    id(set): ("{", "}", "set(...)"),
    id(frozenset): ("frozenset({", "})", "frozenset(...)"),
    id(dict): ("{", "}", "{...}"),
    id(type({}.keys())): ("dict_keys([", "])", "..."),
    id(type({}.values())): ("dict_values([", "])", "..."),
    id(type({}.items())): ("dict_items([", "])", "..."),
    id(deque): ("deque([", "])", "[...]"),
    id(defaultdict): ("{", "})", "defaultdict(...)"),
}
_MAPPINGS: Final = frozenset(map(id, (dict, defaultdict)))


def safe_repr(
    value: object,
    *,
    max_bytes: int = MAX_REPR_BYTES,
    seconds: float = MAX_REPR_S,
    clock: Callable[[], float] = perf_counter,
) -> str:
    """repr(value), bounded.

    max_bytes: of the result in UTF-8, 128 at least; from the middle of what is longer something is left out, and
        the text says how much.
    seconds: after which no more elements of containers are looked at; a single repr() cannot be bounded here.
    Never fails for a repr() that does: it is described instead, `<Widget at 0x…: repr() raised ValueError: …>`.
    Raises what interrupts the caller meanwhile.  Yields only if the value's own code does.
    """
    max_bytes = max(128, max_bytes)
    try:
        text = _Walk(clock, clock() + seconds).text(value, max_bytes - _NOTE_BYTES)
    except Exception as error:
        # A container changed while it was walked, or the stack is full.
        text = _failed(value, error)
    return cut(text, max_bytes)


def cut(text: str, max_bytes: int) -> str:
    """A text of at most so many bytes of UTF-8; where its middle is left out, it says how many characters."""
    if len(text) * 4 <= max_bytes or _size(text) <= max_bytes:
        return text
    room = max(0, max_bytes - _NOTE_BYTES)
    head = _fitting(text[:room], room * 3 // 4)
    tail = _fitting(text[-room:][::-1], room - room * 3 // 4)[::-1] if room else ""
    return f"{head}… {_count(len(text) - len(head) - len(tail))} more …{tail}"


def describe_error(error: BaseException, max_bytes: int = 1024) -> str:
    """`ValueError: its text` in one piece, also of an exception whose __str__ fails."""
    try:
        text = str.__str__(str(error))
    except Exception:
        text = "<its text cannot be made>"
    name = type(error).__name__
    return cut(f"{name}: {text}" if text else name, max_bytes)


class _Walk:
    """One walk through a value.  path: the ids of the containers around the one being shown."""

    __slots__ = ("_clock", "_deadline", "_path")

    def __init__(self, clock: Callable[[], float], deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline
        self._path: set[int] = set()

    def text(self, value: object, room: int) -> str:
        """The text of a value, of `room` bytes or a little more."""
        kind = type(value)
        if id(kind) in _LITERALS:
            return _repr(value)
        if kind is int:
            return _int_text(value)  # type: ignore[arg-type]
        if id(kind) in _TEXTS:
            return _text_text(value, room)
        if id(kind) in _BRACKETS:
            return self._container(value, kind, room)
        return cut(_own_repr(value), max(room, 2 * _NOTE_BYTES))

    def _container(self, value: Any, kind: type, room: int) -> str:
        opening, closing, inside_itself = _BRACKETS[id(kind)]
        if id(value) in self._path:
            return inside_itself
        length = len(value)
        if kind is defaultdict:
            opening = f"defaultdict({self.text(value.default_factory, room // 4)}, {opening}"
        elif kind is deque and value.maxlen is not None:
            closing = f"], maxlen={value.maxlen})"
        elif kind is tuple and length == 1:
            closing = ",)"
        if length == 0 and (kind is set or kind is frozenset):
            return f"{kind.__name__}()"
        if length and len(self._path) >= _MAX_DEPTH:
            return f"{opening}…{closing}"
        self._path.add(id(value))
        try:
            return opening + ", ".join(self._elements(value, kind, room - len(opening) - len(closing))) + closing
        finally:
            self._path.discard(id(value))

    def _elements(self, value: Any, kind: type, room: int) -> list[str]:
        """The texts of as many elements as there is room for: three quarters of it from the front."""
        length = len(value)
        elements = value.items() if id(kind) in _MAPPINGS else value
        head = list(self._fill(elements, kind, room, room - room // 4))
        left = length - len(head)
        if left <= 0:
            return head
        tail: list[str] = []
        if kind is not set and kind is not frozenset:
            rest = room - sum(_size(text) + 2 for text in head)
            tail = list(self._fill(islice(reversed(elements), left), kind, rest, rest))
            tail.reverse()
        left -= len(tail)
        return [*head, f"… {_count(left)} more …", *tail] if left > 0 else [*head, *tail]

    def _fill(self, elements: Iterable[Any], kind: type, room: int, stop: int) -> Iterator[str]:
        """Yield elements' texts until `stop` of the room is used, or the time."""
        used = 0
        for element in elements:
            if used >= stop or self._clock() > self._deadline:
                return
            if id(kind) in _MAPPINGS:
                key = self.text(element[0], room - used)
                text = f"{key}: {self.text(element[1], room - used - _size(key) - 2)}"
            else:
                text = self.text(element, room - used)
            used += _size(text) + 2
            yield text


def _own_repr(value: object) -> str:
    try:
        text = _repr(value)
    except (Exception, SystemExit) as error:
        return _failed(value, error)
    # A subclass of str may lie about everything: this makes a true one.
    return text if type(text) is str else str.__getitem__(text, slice(None))


def _failed(value: object, error: BaseException) -> str:
    return f"<{type(value).__name__} at {id(value):#x}: repr() raised {describe_error(error)}>"


def _int_text(value: int) -> str:
    digits = int(value.bit_length() * _LOG10_2) + 1
    limit = sys.get_int_max_str_digits() or _MAX_INT_DIGITS
    # The factor is rounded up, so these are never too few.
    if digits <= min(limit, _MAX_INT_DIGITS):
        return _repr(value)
    sign = "negative " if value < 0 else ""
    return f"<{sign}int with ~{_count(digits)} digits>"


def _text_text(value: Any, room: int) -> str:
    """A str, bytes or bytearray: two literals when its middle is left out."""
    if len(value) <= room:
        text = _repr(value)
        if len(text) * 4 <= room or _size(text) <= room:
            return text
    # A character's literal may be ten times as long as the character: "\\U0010ffff".
    room = max(room - _NOTE_BYTES, 24)
    head = _literal(value[:room], room * 3 // 4)
    tail = _literal(value[-room:], room // 4, from_end=True)
    left = len(value) - head[1] - tail[1]
    return f"{head[0]} … {_count(left)} more … {tail[0]}"


def _literal(value: Any, room: int, *, from_end: bool = False) -> tuple[str, int]:
    """The literal of as much of a text as fits, and how much that is."""
    length = len(value)
    while length:
        part = value[-length:] if from_end else value[:length]
        text = _repr(part)
        size = _size(text)
        if size <= room:
            return text, length
        length = min(length - 1, length * room // size)
    return _repr(value[:0]), 0


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _fitting(text: str, room: int) -> str:
    """The longest beginning of a text that takes at most `room` bytes."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= room:
        return text
    end = room
    # A byte 0b10xxxxxx continues a character.
    while end and encoded[end] & 0xC0 == 0x80:
        end -= 1
    return encoded[:end].decode("utf-8", "surrogatepass")


def _count(number: int) -> str:
    """12345 as "12 345"."""
    return f"{number:,}".replace(",", " ")
