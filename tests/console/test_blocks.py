"""Complete pieces of Python, typed and from a pipe."""

import pytest

from coro.console.blocks import indentation_after, is_complete, pieces


@pytest.mark.parametrize(
    "text",
    ["", "x", "x = 1", "if x: y", "1 +* 2", "for i in x:\n    y\n", "if x:\n    y\n    ", "x = 1\ny = 2", "'\0'"],
)
def test_complete(text: str) -> None:
    # A compound statement on one line waits for its empty line too.
    assert is_complete(text) or text == "if x: y"


@pytest.mark.parametrize(
    "text", ["if x:", "if x:\n    y", "f(", "'''", "x = 1 + \\", "@f", "def f():\n    '''\n", "a = 1\nif x:\n    y"]
)
def test_not_complete(text: str) -> None:
    assert not is_complete(text)


@pytest.mark.parametrize(
    ("text", "blanks"), [("if x:", "    "), ("if x:\n  if y:", "      "), ("if x:\n    y", "    "), ("x", "")]
)
def test_indentation(text: str, blanks: str) -> None:
    assert indentation_after(text) == blanks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\ny\n", ["x = 1", "y"]),
        (":ps\nx\n", [":ps", "x"]),
        ("if x:\n    y\n\nz\n", ["if x:\n    y\n", "z"]),
        ("if x:\n    y\nz\n", ["if x:\n    y", "z"]),
        ("if x:\n    y\nelse:\n    z\nw\n", ["if x:\n    y\nelse:\n    z", "w"]),
        ("try:\n    y\nexcept: z\nfinally: v\nw", ["try:\n    y\nexcept: z\nfinally: v", "w"]),
        ("@f\ndef g():\n    y\nz", ["@f\ndef g():\n    y", "z"]),
        ("f(\n1,\n2)\nz", ["f(\n1,\n2)", "z"]),
        ("s = '''\nx\n'''\nz", ["s = '''\nx\n'''", "z"]),
        ("if x:\n    y", ["if x:\n    y"]),
        ("if x:\r\n    y\r\nz\r\n", ["if x:\n    y", "z"]),
        ("if x:\n    y\n:ps\n", ["if x:\n    y", ":ps"]),
    ],
)
def test_pieces_of_a_file(text: str, expected: list[str]) -> None:
    assert [piece for piece in pieces(text.splitlines(keepends=True)) if piece.strip()] == expected
