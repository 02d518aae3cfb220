"""What may go to a terminal from data."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coro.wire.escape import printable

ANY_TEXT = st.text(st.characters(exclude_categories=[]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, ÄÖÜ, 漢字, 😀", "plain text, ÄÖÜ, 漢字, 😀"),
        ("", ""),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\x9bb", "a\\x9bb"),
        ("\x7f\x00\x07", "\\x7f\\x00\\x07"),
        ("a\n\r\tb", "a\\n\\r\\tb"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\ud800\udcff", "\\ud800\\udcff"),
        ("\ufeff\u200b", "\\ufeff\\u200b"),
        ("\U000e0041", "\\U000e0041"),
        ("\\x1b", "\\x1b"),
    ],
)
def test_what_is_not_printable_becomes_an_escape(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_kept_characters_stay() -> None:
    assert printable("a\n\tb\r\x1b", keep="\n\t") == "a\n\tb\\r\\x1b"


@given(ANY_TEXT)
def test_result_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    result = printable(text)

    assert result.isprintable()
    assert not {unicodedata.category(char) for char in result} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert printable(result) == result


@given(ANY_TEXT)
def test_printable_characters_all_stay_in_order(text: str) -> None:
    kept = [char for char in text if char.isprintable()]
    remaining = iter(printable(text))

    assert all(char in remaining for char in kept)
