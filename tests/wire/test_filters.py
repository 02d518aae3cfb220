"""Filters: comparisons over the fields of records."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coro.wire.encode import to_plain
from coro.wire.filters import MAX_DEPTH, MAX_LENGTH, FilterError, compile_filter
from tests.wire.samples import HEALTH, thread

RECORD: dict[str, Any] = to_plain(thread(17, "smtp-in")) | {
    "loop": {"lag_p99_s": 0.25, "culprit": {"name": "db"}, "nobody": None},
    "holders": [5, 6],
    "flag": False,
    "quote": 'it\'s "so"\n',
    "nothing": None,
    "android": 1,
}


def holds(text: str, record: dict[str, Any] | None = None) -> bool:
    return compile_filter(text).matches(RECORD if record is None else record)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id == 17", True),
        ("id != 17", False),
        ("id == 17.0", True),
        ("waiting_s > 3", True),
        ("waiting_s > 3.5", False),
        (".5 < waiting_s < 1e2", True),
        ("1 < 2 < 1", False),
        ("1 < waiting_s <= 3.4 < 4", True),
        ("spawned_by >= -1", True),
        ("-1 == -1.0", True),
        ("state == 'waiting' and waiting_s > 1", True),
        ('state == "running" or share < 0.5', True),
        ("not state == 'running'", True),
        ("not not flag", False),
        ("not flag and id", True),
        ("state == 'waiting' or id == 1 and id == 2", True),
        ("(state == 'waiting' or id == 1) and id == 2", False),
        ("'smtp' in name", True),
        ("'x' not in name", True),
        ("state in ('waiting', 'new')", True),
        ("state in ['running']", False),
        ("state not in ()", True),
        ("id in (17,)", True),
        ("5 in holders", True),
        ("7 not in holders", True),
        ("holders == [5, 6]", True),
        ("name == 'smtp-in'", True),
        ("quote == 'it\\'s \"so\"\\n'", True),
        ('quote == "it\'s \\x22so\\u0022\\n"', True),
        ("nothing is None", True),
        ("nothing == None", True),
        ("nothing is not None", False),
        ("flag is False", True),
        ("flag == False", True),
        ("None is None", True),
        ("loop.lag_p99_s > 0.2", True),
        ("loop.culprit.name == 'db'", True),
        ("loop.nobody.name is None", True),
        ("nothing.deep.er == None", True),
        ("android == 1", True),
        ("  id==17  ", True),
        ("name < 'z'", True),
        ("flag < 1", True),
        ("id", True),
        ("flag", False),
        ("True", True),
    ],
)
def test_comparison_is_that_of_python(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_none_is_neither_less_nor_greater(operator: str) -> None:
    assert holds(f"nothing {operator} 5") is False
    assert holds(f"5 {operator} nothing") is False
    assert holds(f"nothing {operator} None") is False


def test_nothing_is_in_none() -> None:
    assert holds("'x' in nothing") is False
    assert holds("'x' not in nothing") is True
    assert holds("nothing in name") is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "filter: a field or a value is missing, at its end"),
        ("id ==", "a field or a value is missing, at its end"),
        ("id = 17", "neither a field, a number, a string nor an operator, at character 4, '= 17'"),
        ("id == 17 18", "an operator is missing, or this is too much, at character 10, '18'"),
        ("(id == 17", "')' is missing, at its end"),
        ("id == 17)", "too much, at character 9"),
        ("[1, 2", "',' is missing, at its end"),
        ("open('/etc/passwd')", "a filter cannot call anything, at character 1, "),
        ("name.upper() == 'X'", "a filter cannot call anything"),
        ("id + 1 == 2", "neither a field, a number"),
        ("9**9**9", "neither a field, a number"),
        ("-name", "only a number may have a sign"),
        ("--1", "only a number may have a sign"),
        ("id is 17", "'is' is for None, True and False only: compare with ==, at character 7"),
        ("id is name", "'is' is for None"),
        ("'a' 'b'", "an operator is missing"),
        ("'open", "neither a field"),
        ("'\\q'", "unknown escape '\\\\q' in a string, at character 1"),
        ("f'{id}'", "an operator is missing"),
        ("id[0]", "an operator is missing"),
        ("lambda: 0", "neither a field"),
        ("id if id else id", "an operator is missing"),
        ("x := 5", "neither a field"),
        ("17abc == 1", "neither a field"),
        ("1..real", "neither a field"),
        ("9" * 31, "neither a field"),
        ("id not 5", "'in' is missing, at character 8"),
        ("and", "a field or a value is missing"),
        ("id == \x1b[2J", "at character 7, '\\x1b[2J'"),
        ("ідентифікатор == 1", "neither a field"),
    ],
)
def test_what_is_no_comparison_is_refused(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(text)

    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("idd == 5", "unknown field 'idd' in 'idd'; known are: id, name, state, waiting_for"),
        ("loop.lag == 5", "unknown field 'lag' in 'loop.lag'; known are: lag_p99_s, culprit, nobody"),
        ("loop.__class__ == 5", "unknown field '__class__'"),
        ("name.upper == 5", "name.upper: upper cannot be looked up in a text"),
        ("holders.name == 5", "holders.name: name cannot be looked up in a list"),
        ("name < 5", "a text is neither less nor greater than a number"),
        ("loop > 5", "a record is neither less nor greater than a number"),
        ("5 in name", "a number cannot be in a text"),
        ("5 in id", "nothing can be in a number"),
    ],
)
def test_what_does_not_fit_the_record_is_refused(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        holds(text)

    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500 + ")" * 500,
        "[" * 500 + "]" * 500,
        "(" * 1000,
        "not " * 250,
        "not " * 249 + "id",
        "-" * 1000,
        "(not " * 100 + "id" + ")" * 100,
        "((" * 11 + "id" + "))" * 11,
    ],
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        compile_filter(text)


def test_limits_are_what_they_say() -> None:
    assert holds("(" * MAX_DEPTH + "id == 17" + ")" * MAX_DEPTH)
    with pytest.raises(FilterError, match=f"nested deeper than {MAX_DEPTH} levels"):
        compile_filter("(" * (MAX_DEPTH + 1) + "id == 17" + ")" * (MAX_DEPTH + 1))
    assert holds("id == 17".ljust(MAX_LENGTH))
    with pytest.raises(FilterError, match="a filter may have 1000 characters, this one has 1001"):
        compile_filter("id == 17".ljust(MAX_LENGTH + 1))


def test_wide_is_not_deep() -> None:
    assert holds(" or ".join(["id == 17"] * 80))
    assert holds("1" + " < 2" * 1 + " <= 2" * 150)
    # One after the other, parentheses do not add up.
    assert holds(" and ".join(["(id)"] * 100))


def test_nested_records_of_a_health_record() -> None:
    assert holds("loop.culprit.name == 'smtp-in' and threads.alive < 5000", to_plain(HEALTH))


WORDS = ["id", "name", "nothing", "flag", "loop.lag_p99_s", "and", "or", "not", "in", "is", "None", "True"]
SIGNS = ["(", ")", "[", "]", ",", "==", "!=", "<", "<=", ">", ">=", "-", "1", ".5", "'x'", '"y"']
TOKENS = st.sampled_from(WORDS + SIGNS)


@settings(deadline=None, max_examples=500)
@given(st.lists(TOKENS, max_size=25).map(" ".join) | st.text(max_size=50))
@example("0in [1]")
@example("1is None")
@example("1 in[1]")
def test_any_text_is_compiled_or_refused(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = holds(text)
        except FilterError as error:
            assert str(error).isprintable()
        else:
            assert result in (True, False)


SIMPLE = st.sampled_from(["id", "share", "switches", "17", "0", "-1", "1.5", "True", "False"])
COMPARISON = st.builds("{} {} {}".format, SIMPLE, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), SIMPLE)
EXPRESSION = st.recursive(
    COMPARISON,
    lambda inner: (
        st.builds("({} and {})".format, inner, inner)
        | st.builds("{} or {}".format, inner, inner)
        | st.builds("not {}".format, inner)
        | st.builds("{} and {}".format, inner, inner)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(EXPRESSION)
def test_meaning_is_that_of_python(text: str) -> None:
    try:
        filtered = compile_filter(text)
    except FilterError as error:
        assert "nested deeper" in str(error) or "1000 characters" in str(error)
        return

    assert filtered.matches(RECORD) is bool(eval(text, {}, dict(RECORD)))
