"""Records to JSON, and JSON from a stranger to values.

Invariant: what `dumps` returns is one line of printable text, valid JSON, and free of NaN, whatever stands in the
records.  `loads_limited` raises DecodeError and nothing else, whatever bytes it is given, in time proportional to
their number.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import Any, Final

from coro.wire.protocol import MAX_JSON_DEPTH

__all__ = ["MAX_NUMBER_CHARS", "DecodeError", "EncodeError", "dumps", "loads_limited", "to_plain"]

# Longer than any number that a record holds: 64 bits are 20 characters, a float's repr is 24 at most.
MAX_NUMBER_CHARS: Final = 64
# Applications return what they like: deeper than this is a circle, or nothing that a person could read.
MAX_PLAIN_DEPTH: Final = 64
# Larger than this, an int takes long to write in decimal (and CPython refuses to from 4300 digits on).
_MAX_INT_BITS: Final = 1024


class DecodeError(ValueError):
    """The bytes are no JSON text that this side accepts.  The message says why, and shows nothing of them."""


class EncodeError(ValueError):
    """The value cannot be written as JSON.  The message names the type or the limit."""


# -- records to plain values

# Class to (field names, function that gets them all); filled as classes are met, and there are few.
_readers: dict[type, tuple[tuple[str, ...], Any]] = {}
_ATOMS: Final = frozenset((str, bool, type(None)))


def to_plain(value: Any, depth: int = 0) -> Any:
    """The value in JSON's types: dataclasses and mappings become dicts; tuples, lists and sets become lists.

    An infinite or undefined float becomes None; an int of more than 1024 bits, its hexadecimal text; a key that is
    no text, its str().
    Costs about 0.1 us a field.  Raises EncodeError for other types, and for more than 64 levels (a circle, mostly).
    Does not yield.
    """
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is float:
        return value if value - value == 0.0 else None
    if kind is int:
        return value if value.bit_length() <= _MAX_INT_BITS else hex(value)
    if depth >= MAX_PLAIN_DEPTH:
        raise EncodeError(f"a value for JSON may be nested {MAX_PLAIN_DEPTH} deep, this one is deeper")
    if kind is tuple or kind is list:
        return [to_plain(item, depth + 1) for item in value]
    reader = _readers.get(kind) or _new_reader(kind)
    if reader is None:
        return _unusual_to_plain(value, depth)
    names, get = reader
    # One call fetches all fields; only what is not an atom costs another call.
    return {
        name: item if type(item) in _ATOMS else to_plain(item, depth + 1)
        for name, item in zip(names, get(value), strict=True)
    }


def _new_reader(kind: type) -> tuple[tuple[str, ...], Any] | None:
    if not is_dataclass(kind):
        return None
    names = tuple(field.name for field in fields(kind))
    get: Any
    if len(names) > 1:
        get = attrgetter(*names)
    else:
        # attrgetter of one name returns the bare value.
        def get(record: object) -> tuple[Any, ...]:
            return tuple(getattr(record, name) for name in names)

    _readers[kind] = (names, get)
    return _readers[kind]


def _unusual_to_plain(value: object, depth: int) -> Any:
    if isinstance(value, dict):
        return {_key(key): to_plain(item, depth + 1) for key, item in dict.items(value)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item, depth + 1) for item in value]
    # Subclasses: enums, named ints and the like.  The base class's own methods run none of the user's code.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return to_plain(int.__int__(value), depth)
    if isinstance(value, float):
        return to_plain(float.__float__(value), depth)
    raise EncodeError(f"a {type(value).__name__} cannot be written as JSON")


def _key(key: object) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, (bool, int, float)):
        return str(to_plain(key))
    raise EncodeError(f"a {type(key).__name__} cannot be a key in JSON")


# -- plain values to text

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_NOT_ASCII_PRINTABLE = re.compile("[^ -~]")


def dumps(value: Any) -> str:
    r"""The compact JSON text of a plain value: one line, printable, so that it may go to a terminal as it is.

    Letters of all scripts stand as they are; what is not printable stands as \u escapes; a lone surrogate, which no
    UTF-8 can hold, becomes U+FFFD.
    Raises EncodeError for NaN and infinities, and for what to_plain() would have changed or refused.
    """
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"cannot be written as JSON: {error}") from None
    if text.isprintable():
        return text
    return _NOT_ASCII_PRINTABLE.sub(_json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable():
        return char
    code = ord(char)
    if 0xD800 <= code < 0xE000:
        return "\ufffd"
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


# -- text of a stranger to values

# Possessive: no backtracking, so the time is linear in the text.  A string without end runs to the text's end.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_NUMBER = re.compile(r"[-+.0-9eE]+")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def loads_limited(data: bytes, max_depth: int = MAX_JSON_DEPTH, max_number_chars: int = MAX_NUMBER_CHARS) -> Any:
    """Decode one JSON text from somebody who is not trusted.

    max_depth: so many arrays and objects may be open at once; checked before anything is decoded.
    max_number_chars: so long may a number be, sign, dot and exponent included.
    Raises DecodeError for all else: bad UTF-8, bad JSON, lone surrogates, NaN, infinities, numbers too large for a
    float, a name twice in one object.  Does not yield: 64 KiB take some milliseconds.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(f"not UTF-8: {error.reason} at byte {error.start + 1}") from None
    _refuse_excess(text, max_depth, max_number_chars)
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}") from None
    except RecursionError:
        raise DecodeError("nested too deep for the stack that is left here") from None
    if _SURROGATE_ESCAPE.search(text):
        try:
            _encoder.encode(value).encode("utf-8")
        except UnicodeEncodeError:
            raise DecodeError("a string holds half of a surrogate pair") from None
    return value


def _refuse_excess(text: str, max_depth: int, max_number_chars: int) -> None:
    skeleton = _STRING.sub('"', text)
    depth = 0
    for match in _BRACKET.finditer(skeleton):
        if match[0] in "[{":
            depth += 1
            if depth > max_depth:
                raise DecodeError(f"nested too deep: at most {max_depth} levels are allowed")
        else:
            depth -= 1
    longest = max(map(len, _NUMBER.findall(skeleton)), default=0)
    if longest > max_number_chars:
        raise DecodeError(f"a number has {longest} characters, at most {max_number_chars} are allowed")


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0.0:
        raise DecodeError("a number is too large for a 64-bit float")
    return number


def _refuse_constant(name: str) -> float:
    raise DecodeError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DecodeError("a name stands twice in one object")
    return found


_decoder = json.JSONDecoder(
    parse_float=_finite, parse_constant=_refuse_constant, object_pairs_hook=_unique, strict=True
)
