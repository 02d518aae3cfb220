"""What may be observed by those who wait for the end of threads that end when, and how, they are told."""

from __future__ import annotations

import coro
from tests.explorer.actors import Actor, ServiceModel
from tests.explorer.model import Operation
from tests.explorer.services_joining import JoiningScene
from tests.explorer.services_tools import Knocks

__all__ = ["Joining"]


class _ToldScene(JoiningScene):
    """Its targets are actors, too."""

    def __init__(self, model: ServiceModel, knocks: Knocks) -> None:
        super().__init__()
        self.knocks = knocks
        self._model = model

    def work(self, number: int) -> None:
        actor = Actor(self._model, len(self._model.actors))
        actor.frames = [number]
        self._model.enter(actor, coro.current())
        actor.obey()


class Joining(ServiceModel):
    """join() returns when its thread has ended, and not before; result() gives what it ended with.

    The end wins over a timeout at the same moment.  Who has stopped waiting is not registered any more.  Each
    failure comes to those who ask for the result, or to the notifier, once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scene = _ToldScene(self, self.knocks)

    def operations(self) -> list[Operation]:
        me = self.me()
        if me.frames:
            return [me.leave, me.fail, self.pause]
        if not self.scene.targets:
            return [self.spawn]
        return [self.spawn, self.scene.join, self.scene.join, self.scene.join]

    def spawn(self) -> None:
        number = len(self.scene.targets)
        self.scene.targets.append(coro.spawn(self.scene.target, number, thread_name=f"target {number}"))

    def is_excused(self, thread: coro.coro) -> bool:
        return super().is_excused(thread) or thread in self.scene.targets

    def at_end(self) -> None:
        super().at_end()
        self.scene.check(self.heard)
