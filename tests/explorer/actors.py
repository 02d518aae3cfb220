"""Threads that do what they are told, also inside the blocks that they have entered, and models of what they use.

An actor waits for an order, and the order is one of the operations that its model offers it there and then.  In a
block (a group, a timeout, a shield) it takes orders until it is told to leave.  So the state machine builds any
nest, and interrupts it anywhere.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import coro
from coro.clock import FOREVER_TICKS
from coro.scheduler import scheduler
from coro.testing import ChanceInterrupt
from tests.explorer.model import Model, Operation
from tests.explorer.services_tools import Fault, Knock, Knocks, await_others, hear

__all__ = ["Actor", "ServiceModel"]

# A poll for any of these is what the kernel calls ready.
_POLLED = {"read": select.POLLIN, "write": select.POLLOUT, "ready": select.POLLIN | select.POLLOUT}


class Actor:
    """A thread that obeys.

    frames: what it is in, the outermost first; its model's affair.
    is_waiting: whether it waits for an order.
    """

    def __init__(self, model: ServiceModel, number: int) -> None:
        self.model = model
        self.number = number
        self.thread: Any = None
        self.frames: list[Any] = []
        self.order: int | None = None
        self.is_waiting = False
        self._is_leaving = False
        self._level = 0

    def __repr__(self) -> str:
        return f"<actor {self.number}, {self._level} deep>"

    @property
    def is_at_rest(self) -> bool:
        """Whether it waits for orders where nothing can interrupt it that matters."""
        return self.is_waiting and self._level == 1 and not self.frames

    def live(self) -> None:
        """What an actor runs that nobody has spawned: it outlives what interrupts it."""
        while not self.model.is_over:
            try:
                self.obey()
            except Knock as knock:
                self.model.knocks.receive(knock)
            except (coro.Shutdown, ChanceInterrupt):
                # The end of what it was at, not of itself.
                continue
        self.model.knocks.drain()

    def serve(self) -> None:
        """What an actor runs that somebody spawned: the first exception ends it."""
        try:
            self.obey()
            self.model.knocks.drain()
        except Knock as knock:
            self.model.knocks.receive(knock)
            raise

    def obey(self) -> None:
        """Do what is told, until told to leave, or until it is over."""
        self._level += 1
        try:
            while not (self._is_leaving or self.model.is_over):
                operation = self._next_operation()
                if operation is not None:
                    operation()
        finally:
            self._is_leaving = False
            self._level -= 1

    def _next_operation(self) -> Operation | None:
        self.is_waiting = True
        try:
            while self.order is None and not self.model.is_over:
                scheduler.park("order")
        except coro.Interrupted as interrupt:
            self.model.interrupted(interrupt)
            raise
        finally:
            self.is_waiting = False
        if self.order is None or self.model.is_over:
            return None
        operations = self.model.operations()
        operation, self.order = operations[self.order % len(operations)], None
        return operation

    # -- operations that all models may offer

    def leave(self) -> None:
        """Leave the block, by its end."""
        self._is_leaving = True

    def fail(self) -> None:
        """Leave the block by a failure, or end the thread by it."""
        raise Fault(f"the {self.number}th actor's")


class ServiceModel(Model):
    """A model whose threads are actors.

    The class says how many actors there are at first, whether sockets work, what failures the notifier may hear of
    beside Fault and Knock, and whether knocks keep their order.
    """

    first_actors = 3
    descriptors = False
    may_be_heard: tuple[type[BaseException], ...] = ()
    knocks_in_order = True

    def __init__(self) -> None:
        self.knocks = Knocks()
        self.heard: list[BaseException] = []
        self.actors: list[Actor] = []
        self.is_over = False
        # Threads that were shut down: what was queued behind that is dropped.
        self.shut_down_threads: set[coro.coro] = set()

    def surroundings(self) -> AbstractContextManager[object]:
        """What is held around it all; closed when every thread has ended."""
        return nullcontext()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Around the life of all actors."""
        with self.surroundings(), hear(*self.may_be_heard) as self.heard:
            yield

    def begin(self) -> None:
        """Spawn the first actors.  In the loop."""
        for number in range(self.first_actors):
            actor = Actor(self, number)
            self.enter(actor, coro.spawn(actor.live, thread_name=f"actor {number}"))

    def enter(self, actor: Actor, thread: coro.coro) -> None:
        """Take in an actor that was spawned a moment ago."""
        actor.thread = thread
        self.actors.append(actor)

    def me(self) -> Actor:
        """The current thread's actor."""
        thread = coro.current()
        return next(actor for actor in self.actors if actor.thread is thread)

    # -- what the machine does

    def tell(self, number: int, order: int) -> None:
        """Give an order to one of the actors that wait for one."""
        waiting = [actor for actor in self.actors if actor.is_waiting and actor.order is None]
        if waiting:
            actor = waiting[number % len(waiting)]
            actor.order = order
            scheduler.wake(actor.thread)

    def victims(self) -> list[coro.coro]:
        """The threads that may be interrupted: those that are at something."""
        resting = {actor.thread for actor in self.actors if actor.is_at_rest}
        return [
            thread
            for _, thread in sorted(coro.all_threads.items())
            if thread.started and not thread.dead and thread not in resting and self.may_be_hit(thread)
        ]

    def may_be_hit(self, thread: coro.coro) -> bool:
        return thread.name != "the scenario" and not thread.name.startswith("report on")

    def knock(self, thread: coro.coro) -> None:
        self.knocks.knock(thread)

    def shut_down_thread(self, thread: coro.coro) -> None:
        self.shut_down_threads.add(thread)
        thread.shutdown()

    def interrupted(self, interrupt: coro.Interrupted) -> None:
        """The current actor was interrupted while it waited for an order: assert that this may be."""

    def check_at_rest(self) -> None:
        """Assert what holds when nothing will happen until time goes by or somebody is told to do something."""
        for thread in list(coro.all_threads.values()):
            if thread.started and not thread.scheduled and not thread.dead and thread.waiting_for:
                assert not thread.interrupts or thread.shield is not None, (
                    f"{thread!r} could take {thread.interrupts}"
                )
                _check_waits_rightly(thread)

    def dismiss(self) -> None:
        """Let all actors end."""
        self.is_over = True
        for actor in self.actors:
            if actor.is_waiting:
                scheduler.wake(actor.thread)

    def at_end(self) -> None:
        await_others()
        self.knocks.check(excused=self.is_excused, in_order=self.knocks_in_order)

    def is_excused(self, thread: coro.coro) -> bool:
        """Whether a thread need not have received all its interrupts: they were dropped, or it ended before."""
        is_actor = any(actor.thread is thread for actor in self.actors)
        return not is_actor or thread.error is not None or thread in self.shut_down_threads

    def may_wait(self, thread: coro.coro) -> bool:
        return False


def _check_waits_rightly(thread: coro.coro) -> None:
    """Assert that what a thread waits for has not come yet; when nobody is about to be woken."""
    kind, target = thread.waiting_for, thread.waiting_on
    lost = f"{thread!r} waits for what has come: {kind} {target!r}"
    if kind == "join":
        if isinstance(target, coro.coro):
            assert not target.dead, lost
        else:
            assert getattr(target, "threads", ()) or target._crew.threads, lost
    elif kind == "pool":
        assert not target._is_closed and len(target) >= target.size, lost
    elif kind == "OS thread":
        assert not target.done, lost
    elif kind == "sleep":
        assert scheduler.now < target[0] <= FOREVER_TICKS, lost
    elif kind in _POLLED:
        poll = select.poll()
        poll.register(target.fd, _POLLED[kind])
        assert not poll.poll(0), lost
