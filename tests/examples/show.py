"""An arena with a server and visitors, in one process and under fake time: a second costs a few milliseconds."""

import re
from collections.abc import Callable
from random import Random

import coro
from coro import testing
from examples.worms.arena import Arena
from examples.worms.colony import Colony
from examples.worms.view import Sessions, View, attend
from examples.worms.visitor import Visitor

ARENA = (160, 50)


class Show:
    """A colony with a server, and what a test looks at."""

    def __init__(self, worms: int, size: tuple[int, int]) -> None:
        dice = Random(1)
        self.colony = Colony(Arena(*size, dice), dice)
        self.sessions = Sessions()
        self.visitors: list[Visitor] = []
        self.server = coro.tcp_server(("127.0.0.1", 0), attend, self.colony, self.sessions)
        self.colony.add(worms)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.address

    def visit(self, columns: int = 80, rows: int = 24) -> Visitor:
        """A visitor who has seen the first frames."""
        visitor = Visitor(self.address, columns, rows)
        self.visitors.append(visitor)
        assert visitor.watch(0.5)
        return visitor

    def view(self) -> View:
        """The youngest session's view."""
        return list(self.sessions.open.values())[-1]


def at_a_show(life: Callable[[Show], None], worms: int = 50, size: tuple[int, int] = ARENA) -> None:
    """Run `life(show)` in a thread."""

    def main() -> None:
        show = Show(worms, size)
        try:
            life(show)
        finally:
            show.server.close()
            for visitor in show.visitors:
                visitor.connection.close()

    testing.run(main)


def status(visitor: Visitor) -> str:
    return visitor.terminal.lines()[-1]


def number_of(what: str, visitor: Visitor) -> int:
    """A number from the status line."""
    found = re.search(rf"\b{what} (\d+)", status(visitor))
    assert found is not None, status(visitor)
    return int(found[1])
