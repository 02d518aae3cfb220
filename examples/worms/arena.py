"""The arena and the rules of worms: pure logic, without threads, terminals or a clock of its own.

A worm is a row of squares, the head last.  When it crawls, its head moves on to a free square and its tail
follows; while it is shorter than it wants to be the tail stays, and so it grows.  It turns now and then for no
reason, and always where a wall, a stone or a worm is in its way.  Boxed in, it turns about: its tail becomes
its head.  One that is boxed in at both ends for too long does not live on.

Every square of the arena holds one number, its code, so that a view can be cut out of the arena by slicing:

    colour << 5 | head << 4 | links

`links` has a bit for each neighbour that the square is connected with: 1 north, 2 east, 4 south, 8 west. Colour
0 is not a worm: code 0 is a free square, 1 to 15 is wall, and STONE is a stone.

Invariant: a square has a worm's code if and only if it is in that worm's body, and no square is in two bodies.
"""

from __future__ import annotations

from collections import deque
from random import Random

FREE = 0
HEAD = 16
STONE = HEAD
COLOUR_SHIFT = 5
# Colour 1 is "red".
COLOUR_NAMES = ("red", "salmon", "sand", "gold", "lime", "green", "mint", "aqua", "sky", "blue", "violet", "pink")
COLOURS = len(COLOUR_NAMES)

# Headings, clockwise; as a link each is the bit 1 << heading.
NORTH, EAST, SOUTH, WEST = range(4)
STEPS = ((0, -1), (1, 0), (0, 1), (-1, 0))
HEADING_OF = {step: heading for heading, step in enumerate(STEPS)}

TURN_CHANCE = 0.12
# How often in a row a worm may turn about before it gives up.
PATIENCE = 40
SHORTEST, LONGEST = 2, 60

SMALLEST_ARENA = (10, 5)
LARGEST_ARENA = (1000, 500)

LOGO = (
    " ######   ######   ## ####   ###### ",
    "##       ##    ##  ####     ##    ##",
    "##       ##    ##  ##       ##    ##",
    "##       ##    ##  ##       ##    ##",
    " ######   ######   ##        ###### ",
)

Square = tuple[int, int]


class Arena:
    """Squares, `width` by `height`, with a wall around them and the logo's stones in the middle.

    rows: the codes, rows[y][x], from (0, 0) to (width + 1, height + 1): the wall counts.  Worms write here.
    """

    def __init__(self, width: int, height: int, dice: Random) -> None:
        for size, least, most, name in zip(
            (width, height), SMALLEST_ARENA, LARGEST_ARENA, ("width", "height"), strict=True
        ):
            if not least <= size <= most:
                raise ValueError(f"an arena's {name} must be {least} to {most} squares, got {size}")
        self.width = width
        self.height = height
        self.dice = dice
        self.rows = [[FREE] * (width + 2) for _ in range(height + 2)]
        self._build_wall()
        self._lay_stones()

    def is_free(self, square: Square) -> bool:
        """Whether nothing is there."""
        x, y = square
        return self.rows[y][x] == FREE

    def find_free(self) -> Square | None:
        """A free square, any; None if the arena is so full that a hundred looks found none."""
        for _ in range(100):
            square = (self.dice.randint(1, self.width), self.dice.randint(1, self.height))
            if self.is_free(square):
                return square
        return None

    def _build_wall(self) -> None:
        right, bottom = self.width + 1, self.height + 1
        for x in range(1, right):
            self.rows[0][x] = self.rows[bottom][x] = 1 << EAST | 1 << WEST
        for y in range(1, bottom):
            self.rows[y][0] = self.rows[y][right] = 1 << NORTH | 1 << SOUTH
        self.rows[0][0] = 1 << EAST | 1 << SOUTH
        self.rows[0][right] = 1 << WEST | 1 << SOUTH
        self.rows[bottom][0] = 1 << EAST | 1 << NORTH
        self.rows[bottom][right] = 1 << WEST | 1 << NORTH

    def _lay_stones(self) -> None:
        """Lay the logo in the middle, if there is room around it."""
        if self.width < len(LOGO[0]) + 8 or self.height < len(LOGO) + 6:
            return
        left = (self.width - len(LOGO[0])) // 2 + 1
        top = (self.height - len(LOGO)) // 2 + 1
        for y, line in enumerate(LOGO, top):
            for x, mark in enumerate(line, left):
                if mark == "#":
                    self.rows[y][x] = STONE


class Worm:
    """A worm, of which nothing is in the arena until it is born.

    colour: 1 to COLOURS.
    wanted_length: it grows or shrinks to this as it crawls.
    body: its squares, the head last.
    """

    def __init__(self, arena: Arena, colour: int, wanted_length: int) -> None:
        self.arena = arena
        self.colour = colour
        self.wanted_length = wanted_length
        self.body: deque[Square] = deque()
        self.heading = arena.dice.randrange(4)
        self._turns_about = 0

    def be_born(self) -> bool:
        """Appear, one square long, somewhere; returns whether there was room."""
        square = self.arena.find_free()
        if square is None:
            return False
        self.body.append(square)
        self._mark(-1)
        return True

    def crawl(self) -> bool:
        """Make one step, or turn about; returns whether the worm lives on."""
        heading = self._choose_heading()
        if heading is None:
            self._turn_about()
            return self._turns_about < PATIENCE
        self._turns_about = 0
        self.heading = heading
        x, y = self.body[-1]
        step_x, step_y = STEPS[heading]
        self.body.append((x + step_x, y + step_y))
        self._mark(-1)
        self._mark(-2)
        # One too long follows its head; longer than that it was shortened, and draws in one more.
        for _ in range(min(2, len(self.body) - self.wanted_length)):
            self.shrink()
        return True

    def shrink(self) -> bool:
        """Draw in the tail by one square; returns whether anything is left."""
        x, y = self.body.popleft()
        self.arena.rows[y][x] = FREE
        if self.body:
            self._mark(0)
        return bool(self.body)

    def vanish(self) -> None:
        """Leave the arena at once."""
        while self.body:
            x, y = self.body.popleft()
            self.arena.rows[y][x] = FREE

    def _choose_heading(self) -> int | None:
        """Where to go: mostly straight on, aside at random or if need be; None if boxed in."""
        dice = self.arena.dice
        aside = [(self.heading + 1) % 4, (self.heading + 3) % 4]
        if dice.random() < 0.5:
            aside.reverse()
        at = 1 if dice.random() < TURN_CHANCE else 0
        headings = [*aside[:at], self.heading, *aside[at:]]
        x, y = self.body[-1]
        for heading in headings:
            step_x, step_y = STEPS[heading]
            if self.arena.is_free((x + step_x, y + step_y)):
                return heading
        return None

    def _turn_about(self) -> None:
        self._turns_about += 1
        self.body.reverse()
        self.heading = (self.heading + 2) % 4
        if len(self.body) > 1:
            (from_x, from_y), (x, y) = self.body[-2], self.body[-1]
            self.heading = HEADING_OF[x - from_x, y - from_y]
            self._mark(0)
        self._mark(-1)

    def _mark(self, index: int) -> None:
        """Write the code of one square of the body into the arena."""
        body = self.body
        at = index if index >= 0 else index + len(body)
        x, y = body[at]
        links = 0
        for neighbour in (at - 1, at + 1):
            if 0 <= neighbour < len(body):
                next_x, next_y = body[neighbour]
                links |= 1 << HEADING_OF[next_x - x, next_y - y]
        head = HEAD if at == len(body) - 1 else 0
        self.arena.rows[y][x] = self.colour << COLOUR_SHIFT | head | links
