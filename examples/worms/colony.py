"""The worms' threads, and what a visitor may do to all worms at once.

Here is what coro is for.  A worm's life is written as a worm lives it: crawl, sleep, crawl, sleep, until it is
boxed in for good.  There is no table of who moves when and no callback; the local variables of `_live` are its
memory.  A thousand worms are a thousand such threads.

They share the arena without a lock.  A thread runs until it waits, and crawl() does not wait: nobody ever sees
half a step.

A worm is culled by shutting its thread down: coro.Shutdown is raised where it sleeps, and on the way out its
`finally` takes it off the arena.  The same happens to all of them when the program ends.
"""

from __future__ import annotations

from random import Random

import coro
from examples.worms.arena import COLOUR_NAMES, COLOURS, LONGEST, SHORTEST, Arena, Worm

MAX_WORMS = 1000
SLOWEST, FASTEST = 1 / 8, 8.0
# How long a worm sleeps between two steps, at speed 1; each has its own temper.
BRISK_S, LAZY_S = 0.05, 0.25
FADING_S = 0.03
LENGTH_STEP = 3


class Colony:
    """All worms of an arena.

    speed: how many times faster than at first they crawl, SLOWEST to FASTEST.
    threads: the thread of each worm that lives, oldest first.
    """

    def __init__(self, arena: Arena, dice: Random) -> None:
        self.arena = arena
        self.dice = dice
        self.speed = 1.0
        self.threads: dict[Worm, coro.coro] = {}
        self._longer_by = 0
        self._number = 0

    def __len__(self) -> int:
        return len(self.threads)

    def add(self, count: int) -> int:
        """Spawn worms, as long as there are no more than MAX_WORMS; returns how many.  Does not yield."""
        count = min(count, MAX_WORMS - len(self.threads))
        for _ in range(count):
            self._number += 1
            length = clamp(self.dice.randint(6, 20) + self._longer_by, SHORTEST, LONGEST)
            colour = self._number % COLOURS
            worm = Worm(self.arena, colour + 1, length)
            # Whoever sees it crawl finds its thread in the console, and the other way round.
            name = f"worm-{self._number}-{COLOUR_NAMES[colour]}"
            self.threads[worm] = coro.spawn(self._live, worm, thread_name=name)
        return count

    def cull(self, count: int) -> int:
        """Shut down the youngest worms; returns how many.  Does not yield."""
        count = min(count, len(self.threads))
        for _ in range(count):
            _, thread = self.threads.popitem()
            thread.shutdown()
        return count

    def lengthen(self, squares: int) -> None:
        """Make all worms longer, those to come too; shorter with a negative number."""
        self._longer_by = clamp(self._longer_by + squares, -LONGEST, LONGEST)
        for worm in self.threads:
            worm.wanted_length = clamp(worm.wanted_length + squares, SHORTEST, LONGEST)

    def hurry(self, factor: float) -> None:
        """Make all worms faster; slower with a factor below 1."""
        self.speed = min(max(self.speed * factor, SLOWEST), FASTEST)

    def _live(self, worm: Worm) -> None:
        """A worm's life: the whole of its thread."""
        pause_s = self.dice.uniform(BRISK_S, LAZY_S)
        try:
            lives = worm.be_born()
            while lives:
                coro.sleep_relative(pause_s / self.speed)
                lives = worm.crawl()
            while worm.body and worm.shrink():
                coro.sleep_relative(FADING_S)
        finally:
            worm.vanish()
            self.threads.pop(worm, None)


def clamp(value: int, least: int, most: int) -> int:
    """The value, or the limit that it is beyond."""
    return min(max(value, least), most)
