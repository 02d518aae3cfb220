"""Records to JSON; a stranger's JSON to values."""

import enum
import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coro.wire.encode import MAX_NUMBER_CHARS, DecodeError, EncodeError, dumps, loads_limited, to_plain
from tests.wire.samples import EVIL, SAMPLES

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


# -- to_plain


def test_nested_records_become_dicts_and_tuples_lists() -> None:
    plain = to_plain(SAMPLES["coro.thread-detail/1"][0])

    assert plain["spawn_chain"][0] == [1, "main", "/srv/mx.py:3"]
    assert plain["stack"]["frames"][1]["newer"] is True
    assert plain["thread"]["id"] == 17


@dataclass(frozen=True, slots=True)
class OneField:
    value: Any


@dataclass(frozen=True, slots=True)
class NoField:
    pass


class Colour(enum.IntEnum):
    RED = 1


class Named(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError("code of the user's ran")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OneField((1, 2)), {"value": [1, 2]}),
        (NoField(), {}),
        (OneField(math.nan), {"value": None}),
        ([math.inf, -math.inf, 1.5], [None, None, 1.5]),
        ({1: "a", None: "b", False: "c", 1.5: "d"}, {"1": "a", "False": "c", "None": "b", "1.5": "d"}),
        ({"a"}, ["a"]),
        (frozenset((1,)), [1]),
        (Colour.RED, 1),
        (True, True),
        (1 << 1024, hex(1 << 1024)),
    ],
)
def test_unusual_values_become_plain(value: object, expected: object) -> None:
    assert to_plain(value) == expected


def test_no_code_of_a_text_of_a_class_of_the_users_is_run() -> None:
    plain = to_plain(OneField(Named("x")))

    assert plain == {"value": "x"}
    assert type(plain["value"]) is str


@pytest.mark.parametrize("value", [object(), b"bytes", {(1,): 2}, int, 1j])
def test_what_json_has_no_type_for_is_refused(value: object) -> None:
    with pytest.raises(EncodeError, match="cannot be"):
        to_plain([value])


def test_a_circle_is_refused() -> None:
    circle: list[object] = []
    circle.append(circle)

    with pytest.raises(EncodeError, match="64 deep"):
        to_plain(circle)


@pytest.mark.parametrize("name", SAMPLES)
def test_plain_records_survive_a_round_trip(name: str) -> None:
    for record in SAMPLES[name]:
        plain = to_plain(record)
        text = dumps(plain)

        assert text.isprintable()
        assert json.loads(text) == json.loads(json.dumps(plain).replace("\\udc80", "\\ufffd"))


# -- dumps


def test_text_is_compact_and_printable() -> None:
    assert dumps({"a": [1, "é漢\x1b\x9b\x7f\u2028\U000e0041"]}) == (
        '{"a":[1,"é漢\\u001b\\u009b\\u007f\\u2028\\udb40\\udc41"]}'
    )


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert dumps(EVIL).encode() == b'"evil\\u001b[2J\\u009b31m\\u202e\xef\xbf\xbd\\nname"'


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), pytest.param(10**5000, id="huge")])
def test_what_to_plain_would_have_changed_is_refused(value: object) -> None:
    with pytest.raises(EncodeError):
        dumps([value])


@given(JSON_VALUES)
def test_any_value_comes_back_from_its_text(value: Any) -> None:
    text = dumps(value)

    assert text.isprintable()
    assert loads_limited(text.encode(), max_depth=30, max_number_chars=400) == value


# -- loads_limited


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"id": 1, "method": "ps"}', {"id": 1, "method": "ps"}),
        (b' [1.5, -2e3, true, null, ""] \r\n', [1.5, -2000.0, True, None, ""]),
        ('"é\\u00e9\\ud83d\\ude00"'.encode(), "éé😀"),
        (b'"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ \\" {{{"', "[" * 42 + ' " {{{'),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"' + b"7" * 1000 + b'"', "7" * 1000),
        (b"[" * 32 + b"]" * 32, None),
        (b"9" * MAX_NUMBER_CHARS, int("9" * MAX_NUMBER_CHARS)),
    ],
)
def test_good_json_is_decoded(data: bytes, expected: object) -> None:
    value = loads_limited(data)

    assert value == expected or expected is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"{} {}", "Extra data at character 4"),
        (b'"\x00"', "not JSON"),
        (b'"abc', "Unterminated string starting at character 1"),
        (b"\xff{}", "not UTF-8: invalid start byte at byte 1"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        ("\ufeff{}".encode(), "not JSON"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
        (b"[" * 33 + b"]" * 33, "at most 32 levels"),
        (b"[" * 100_000, "at most 32 levels"),
        (b'{"a":' * 100_000, "at most 32 levels"),
        (b"9" * 65, "a number has 65 characters, at most 64"),
        (b"-" + b"9" * 5000, "a number has 5001 characters"),
        (b"[0." + b"1" * 100 + b"]", "a number has 102 characters"),
        (b"1e999", "too large"),
        (b"[-1e999]", "too large"),
        (b"NaN", "NaN is not JSON"),
        (b"[Infinity]", "Infinity is not JSON"),
        (b"-Infinity", "not JSON"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'[{"b": {"a": 1, "\\u0061": 1}}]', "twice"),
    ],
)
def test_bad_json_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        loads_limited(data)


def test_limits_can_be_chosen() -> None:
    assert loads_limited(b"[[12345]]", max_depth=2, max_number_chars=5) == [[12345]]
    with pytest.raises(DecodeError, match="at most 1 level"):
        loads_limited(b"[[1]]", max_depth=1)
    with pytest.raises(DecodeError, match="at most 4"):
        loads_limited(b"12345", max_number_chars=4)


def test_recursion_limit_does_not_leak_when_more_depth_is_allowed_than_there_is_stack() -> None:
    with pytest.raises(DecodeError, match="nested too deep for the stack"):
        loads_limited(b"[" * 300_000 + b"]" * 300_000, max_depth=1_000_000)


@settings(deadline=None)
@given(st.binary(max_size=300))
@example(b'"\\')
@example(b'"\\"')
@example(b"\\ud800")
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        value = loads_limited(data)
    except DecodeError as error:
        assert str(error).isprintable()
    else:
        assert json.loads(data) == value


@settings(deadline=None)
@given(st.text('[]{}":,0123456789eE.-+ \\udD8abntrufalse', max_size=60))
def test_text_like_json_is_judged_as_the_standard_library_does(text: str) -> None:
    try:
        value = loads_limited(text.encode())
    except DecodeError as error:
        if str(error).startswith("not JSON"):
            with pytest.raises(json.JSONDecodeError):
                json.loads(text)
    else:
        assert json.loads(text) == value
