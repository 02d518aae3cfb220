"""A line cut into words."""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coro.wire.words import UsageError, shown, split, words_with_ends


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  \t ", []),
        ("where 17", ["where", "17"]),
        ("ps -f 'waiting_s > 60' -n 3", ["ps", "-f", "waiting_s > 60", "-n", "3"]),
        ("""name 17 "a 'b' c" """, ["name", "17", "a 'b' c"]),
        ('a\\ b \\"c\\" \'d\\e\' "f\\"g\\h" ', ["a b", '"c"', "d\\e", 'f"g\\h']),
        ("''", [""]),
        ("x''\"y\"z", ["xyz"]),
        ("a\x0bb\u00a0c\x0c", ["a\x0bb\u00a0c\x0c"]),
    ],
)
def test_line_is_cut_as_a_shell_does(line: str, words: list[str]) -> None:
    assert split(line) == words


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name 'x", "the quote ' at character 6 does not end"),
        ('a "b\\"', 'the quote " at character 3 does not end'),
        ("a \\", "the line ends with a backslash that protects nothing"),
        ('"\\', 'the quote " at character 1 does not end'),
    ],
)
def test_unfinished_line_is_refused(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        split(line)

    assert str(caught.value) == message


@settings(deadline=None, max_examples=500)
@given(st.text(" \t\r\n'\"\\ab\x0b\u00a0é#;$", max_size=20) | st.text(max_size=40))
def test_words_are_those_of_shlex(line: str) -> None:
    try:
        expected = shlex.split(line)
    except ValueError:
        with pytest.raises(UsageError):
            split(line)
    else:
        assert split(line) == expected


def test_ends_tell_where_the_rest_begins() -> None:
    line = "eval 'a b'  rest 'with an open quote"
    found = words_with_ends(line)

    assert next(found) == ("eval", 4)
    assert next(found) == ("a b", 10)
    assert line[10:] == "  rest 'with an open quote"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("\x1b", "'\\x1b'"),
        ("x" * 100, f"'{'x' * 60}'..."),
        (5, "5"),
        (None, "None"),
        pytest.param(10**5000, "a number of 16610 bits", id="huge"),
        ([1], "a list"),
        ({"a": 1}, "a dict"),
    ],
)
def test_values_are_shown_short_and_printable(value: object, expected: str) -> None:
    assert shown(value) == expected
