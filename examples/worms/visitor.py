"""A scripted visitor: a telnet client over TCP that looks at the arena with a terminal in memory.

It knows of the server only what any telnet knows: an address.  What it shows has come through the network as
bytes.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import coro
from examples.telnet import ECHO, NAWS, SGA, Telnet
from examples.worms.terminal import Terminal


class Visitor:
    """A connection, a telnet and a terminal."""

    def __init__(self, address: tuple[Any, ...], columns: int = 80, rows: int = 24) -> None:
        self.terminal = Terminal(columns, rows)
        self.telnet = Telnet(allowed=(NAWS,), allowed_to_peer=(ECHO, SGA), own_size=(columns, rows))
        self.connection = coro.tcp_sock() if len(address) == 2 else coro.tcp6_sock()
        self.connection.connect(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.connection.close()

    def press(self, keys: str) -> None:
        """Type something."""
        self.connection.send(keys.encode())

    def watch(self, seconds: float) -> bool:
        """Receive for so long; returns False if the server has hung up.

        Yields.  Raises OSError.
        """
        try:
            with coro.timeout(seconds):
                while data := self.connection.recv(65536):
                    self.terminal.receive(self.telnet.receive(data))
                    if answers := self.telnet.take_answers():
                        self.connection.send(answers)
        except coro.TimeoutError:
            return True
        return False
