"""The bytes that a terminal sends, as keys.

A letter is one byte.  An arrow is an escape sequence of three or more, `ESC [ A` or `ESC O A`, and a network
may cut it anywhere; what is cut waits for its rest.
"""

from __future__ import annotations

import re

LONGEST_SEQUENCE_BYTES = 32

# ECMA-48: parameters, intermediate bytes, one final byte.
SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*([@-~])|O([ -~]))")
BEGINNING = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")

ARROWS = {b"A": "up", b"B": "down", b"C": "right", b"D": "left", b"H": "home"}
CONTROLS = {3: "ctrl-c", 4: "ctrl-d"}


class Keyboard:
    """Turns what arrives into keys: printable characters stand for themselves, the rest has names."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, data: bytes) -> list[str]:
        """Take in a piece of the stream; returns the keys in it.  What is no key is left out."""
        data = self._rest + data
        self._rest = b""
        keys = []
        at = 0
        while at < len(data):
            if sequence := SEQUENCE.match(data, at):
                at = sequence.end()
                key = ARROWS.get(sequence[1] or sequence[2])
            elif BEGINNING.match(data, at) and len(data) - at <= LONGEST_SEQUENCE_BYTES:
                self._rest = data[at:]
                break
            else:
                byte = data[at]
                at += 1
                key = chr(byte) if 32 <= byte < 127 else CONTROLS.get(byte)
            if key is not None:
                keys.append(key)
        return keys
