"""Keys, however the network cuts them."""

import pytest

from examples.worms.keyboard import LONGEST_SEQUENCE_BYTES, Keyboard


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"+-q", ["+", "-", "q"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H", ["up", "down", "right", "left", "home"]),
        (b"\x1bOA\x1bOD", ["up", "left"]),
        (b"\x1b[1;5C", ["right"]),
        (b"\x1b[3~\x1b[15~\x1bOP", []),
        (b"\x03\x04", ["ctrl-c", "ctrl-d"]),
        # What nc sends for a line, and bytes that are no keys.
        (b"+\n-\r\n\r\0\x00\x7f\xc3\xa9\xff", ["+", "-"]),
        # Escape itself is no key, nor is it the beginning of the next.
        (b"\x1bq", ["q"]),
        (b"\x1b\x1b[A", ["up"]),
        (b"\x1b[\x1b[Aq", ["[", "up", "q"]),
    ],
)
def test_bytes_become_keys(data: bytes, keys: list[str]) -> None:
    assert Keyboard().receive(data) == keys


def test_sequence_may_be_cut_anywhere() -> None:
    stream = b"a\x1b[Ab\x1bOB\x1b[1;2Cc"

    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            keyboard = Keyboard()
            pieces = (stream[:first], stream[first:second], stream[second:])
            keys = [key for piece in pieces for key in keyboard.receive(piece)]
            assert keys == ["a", "up", "b", "down", "right", "c"]


def test_endless_sequence_is_not_kept() -> None:
    keyboard = Keyboard()
    keyboard.receive(b"\x1b[")

    for _ in range(100):
        keyboard.receive(b"1" * 100)

    assert len(keyboard._rest) <= LONGEST_SEQUENCE_BYTES
    assert keyboard.receive(b"q")[-1] == "q"
