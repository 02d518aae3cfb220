"""What may be observed of nests of timeouts, shields and groups that are built, and left, by order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import coro
from coro.scheduler import scheduler
from tests.explorer.actors import Actor, ServiceModel
from tests.explorer.model import Operation
from tests.explorer.services_frames import Nest

__all__ = ["Shields", "Timeouts"]

_MAX_DEPTH = 3
_SECONDS = (1, 2, 0)


class _ToldNest(Nest):
    """A nest whose frames take orders."""

    def __init__(self, kinds: Sequence[str], actor: Actor) -> None:
        super().__init__(kinds, calls=False)
        self._actor = actor

    def steps(self, depth: int) -> None:
        self._actor.obey()

    def check_at_rest(self) -> None:
        """Assert that who waits for an order is not past a deadline, nor in a shield that is."""
        for frame in reversed(self.frames):
            is_over = frame.deadline <= scheduler.now
            if frame.protects:
                assert not is_over, "a shield was not lifted"
                return
            assert frame.shield is not None or not is_over, "a frame did not interrupt"


class Timeouts(ServiceModel):
    """A frame raises TimeoutError when its own time is over, not before, and never another's; its interrupt is
    seen nowhere outside; items that come at that moment are not lost.
    """

    kinds: tuple[str, ...] = ("timeout", "with_timeout")

    def __init__(self) -> None:
        super().__init__()
        self.nests: dict[coro.coro, _ToldNest] = {}
        self.items: coro.fifo = coro.fifo()
        self.taken: list[int] = []
        self.pushed = 0

    def enter(self, actor: Actor, thread: coro.coro) -> None:
        super().enter(actor, thread)
        self.nests[thread] = nest = _ToldNest(self.kinds, actor)
        nest.knocks, nest.items, nest.taken = self.knocks, self.items, self.taken

    def operations(self) -> list[Operation]:
        me = self.me()
        nest = self.nests[me.thread]
        frames: list[Operation] = []
        if len(nest.frames) < _MAX_DEPTH:
            frames = [partial(nest.enter_frame, 0, kind, seconds) for kind in self.kinds for seconds in _SECONDS]
        if not nest.frames:
            return [*frames, self.push]
        # Twice: there are many frames.
        leaves: list[Operation] = [me.leave, partial(nest.do, nest.sleep), partial(nest.do, nest.take), self.push]
        return [*leaves, *leaves, *frames]

    def push(self) -> None:
        self.items.push(self.pushed)
        self.pushed += 1

    def may_be_hit(self, thread: coro.coro) -> bool:
        # A member of a group is nobody's victim: only its failure is of interest.
        return thread in self.nests

    def interrupted(self, interrupt: coro.Interrupted) -> None:
        self.nests[coro.current()].check_interrupt(interrupt)

    def check_at_rest(self) -> None:
        super().check_at_rest()
        for actor in self.actors:
            if actor.is_waiting:
                self.nests[actor.thread].check_at_rest()

    def may_wait(self, thread: coro.coro) -> bool:
        return thread.waiting_on is self.items and not len(self.items)

    def at_end(self) -> None:
        super().at_end()
        assert sorted([*self.taken, *self.items]) == list(range(self.pushed)), f"{self.taken} of {self.pushed}"


class Shields(Timeouts):
    """And nothing from outside comes through a shield before its end or its limit; then it does."""

    kinds = ("shield", "timeout", "with_timeout", "group")
    knocks_in_order = False
