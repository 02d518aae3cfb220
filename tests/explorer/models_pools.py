"""What may be observed of a pool whose clients spawn, submit, map, close it and are interrupted."""

from __future__ import annotations

from functools import partial

import coro
from coro.testing import choose
from tests.explorer.actors import Actor, ServiceModel
from tests.explorer.model import Operation
from tests.explorer.services_pools import PoolScene

__all__ = ["Maps", "Pools"]


class _ToldScene(PoolScene):
    """Its jobs are actors, too."""

    def __init__(self, size: int, model: ServiceModel) -> None:
        super().__init__(size)
        self._model = model

    def work(self, number: int) -> None:
        actor = Actor(self._model, len(self._model.actors))
        actor.frames = [self, number]
        self._model.enter(actor, coro.current())
        actor.obey()


class Pools(ServiceModel):
    """Never more threads than places, and each job once; who waits for a place gets it in turn, and at once.

    Values come in order.  Each failure comes to who asked, or to the notifier.  Once the pool is closed, nobody
    waits for a place and no job begins; in the end all places are free.
    """

    first_actors = 4
    # When a pool is closed under a map() one of whose calls has failed, that the pool is closed comes second.
    may_be_heard = (RuntimeError,)

    def __init__(self) -> None:
        super().__init__()
        self.size = 1 + choose(2)
        self.scenes: list[PoolScene] = []
        self.renew()

    @property
    def scene(self) -> PoolScene:
        """The pool that is in use; what is left of others comes to its end."""
        return self.scenes[-1]

    def renew(self) -> None:
        self.scenes.append(_ToldScene(self.size, self))

    def operations(self) -> list[Operation]:
        me = self.me()
        if me.frames:
            scene, number = me.frames
            return [me.leave, me.leave, partial(scene.fail, number), self.pause]
        return [partial(self.scene.do, act) for act in self.acts()]

    def acts(self) -> list[Operation]:
        """What a client may ask of the pool."""
        scene = self.scene
        ends = [self.renew, self.renew] if scene.is_closed else [scene.close, scene.shut_down]
        return [*[scene.spawn, scene.submit, scene.map, scene.imap] * 2, *ends]

    def check(self) -> None:
        for scene in self.scenes:
            pool = scene.pool
            assert len(scene.running) <= len(pool) <= pool.size, f"{pool!r} runs {scene.running}"

    def check_at_rest(self) -> None:
        super().check_at_rest()
        for scene in self.scenes:
            assert not (scene.is_closed and scene.asking), f"{scene.asking} wait for {scene.pool!r}"

    def at_end(self) -> None:
        super().at_end()
        for scene in self.scenes:
            scene.at_end(self.heard)


class Maps(Pools):
    """The same pool, used for many items at a time."""

    first_actors = 2

    def acts(self) -> list[Operation]:
        scene = self.scene
        return [scene.map, scene.imap, scene.map, scene.imap, scene.spawn]
