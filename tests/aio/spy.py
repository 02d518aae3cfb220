"""What the tests of asyncio programs share."""

from typing import Any


class Spy:
    """Notes what was seen, in order."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, what: Any) -> None:
        self.seen.append(what)
