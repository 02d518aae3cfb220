"""join() and result(): what may be observed by those who wait for a thread's end."""

from __future__ import annotations

from typing import Any

import coro
from coro.scheduler import scheduler
from coro.testing import choose
from tests.explorer.services_tools import Fault, Knock, Knocks, hear, is_parked, pause, wait_for_ever

__all__ = ["JoiningScene", "join_and_timeout_at_once", "joining", "joining_one"]


class JoiningScene:
    """Threads that end in some way, and others that wait for that.

    outcomes: what each target has come to: its value, or what it raised.
    received: the ids of the failures that joiners got.
    """

    def __init__(self) -> None:
        self.knocks = Knocks()
        self.targets: list[coro.coro] = []
        self.joiners: list[coro.coro] = []
        self.outcomes: dict[coro.coro, object] = {}
        self.received: set[int] = set()

    def target(self, number: int) -> int:
        me = coro.current()
        try:
            self.work(number)
        except (Fault, coro.Interrupted) as error:
            self.outcomes[me] = error
            if isinstance(error, Knock):
                self.knocks.receive(error)
            raise
        self.outcomes[me] = number
        return number

    def work(self, number: int) -> None:
        """What a target does."""
        pause()
        if choose(2):
            raise Fault(number)

    def joiner(self) -> None:
        try:
            pause()
            self.join()
        except Knock as knock:
            self.knocks.receive(knock)
        self.knocks.drain()

    def join(self) -> None:
        target = self.targets[choose(len(self.targets))]
        for_result = bool(choose(2))
        timeout = (None, 1.0, 2.0)[choose(3)]
        began = coro.get_now()
        try:
            if for_result:
                self.ask(target, timeout)
            else:
                target.join(timeout)
            assert target.dead, f"{target!r} was joined, but has not ended"
        except coro.TimeoutError:
            assert timeout is not None and coro.get_now() - began >= timeout * coro.ticks_per_sec
            assert not target.dead, "the end came before the time was over, and wins at the same moment"
        finally:
            assert coro.current() not in (target.joiners or ()), "who has stopped waiting is still registered"

    def ask(self, target: coro.coro, timeout: float | None) -> None:
        try:
            value: Any = target.result(timeout)
        except Fault as fault:
            assert fault is self.outcomes[target]
            self.received.add(id(fault))
        except coro.DeadCoroutine:
            assert isinstance(target.error, coro.Interrupted)
        else:
            assert value == self.outcomes[target], (
                f"{target!r} has returned {self.outcomes[target]!r}, got {value!r}"
            )

    def check(self, heard: list[BaseException]) -> None:
        """Assert that each failure was told: once to the notifier, or to who has joined."""
        for target in self.targets:
            error = target.error
            if isinstance(error, Fault):
                notified = sum(1 for one in heard if one is error)
                assert notified <= 1, "one failure was notified twice"
                assert notified or id(error) in self.received, f"nobody has heard of {error!r}"

    def disturb(self) -> None:
        for _ in range(choose(3)):
            everybody = self.joiners + self.targets
            victim = everybody[choose(len(everybody))]
            act = choose(3)
            if act == 0 and is_parked(victim):
                victim.schedule("from a stranger")
            elif act == 1:
                self.knocks.knock(victim)
            elif act == 2 and victim in self.targets:
                victim.shutdown()
            pause()


def joining() -> None:
    """One or two threads end by a value, a failure or an interrupt; up to three join them; a stranger disturbs."""
    scene = JoiningScene()
    with hear() as heard:
        scene.targets = [
            coro.spawn(scene.target, number, thread_name=f"target {number}") for number in range(1 + choose(2))
        ]
        scene.joiners = [
            coro.spawn(scene.joiner, thread_name=f"joiner {number}") for number in range(1 + choose(3))
        ]
        coro.spawn(scene.disturb, thread_name="stranger")
    scene.knocks.check(excused=lambda thread: thread in scene.targets)
    scene.check(heard)


def joining_one() -> None:
    """The smallest: one thread ends while another waits for its result, with a timeout of the same length."""
    target = coro.spawn(coro.sleep_relative, 1.0, thread_name="target")
    received: list[object] = []

    def joiner() -> None:
        try:
            received.append(target.result(1.0))
        except coro.TimeoutError:
            assert not target.dead
        except coro.DeadCoroutine as error:
            assert isinstance(target.error, coro.Interrupted)
            received.append(error)
        if received:
            assert target.dead

    coro.spawn(joiner, thread_name="joiner").join()
    assert target.observers == len(received)


def join_and_timeout_at_once() -> None:
    """A stranger schedules the joiner again and again: only the end, or the time, ends the wait."""
    target = coro.spawn(wait_for_ever, thread_name="target")
    ends: list[bool] = []

    def joiner() -> None:
        try:
            target.join((None, 3.0)[choose(2)])
        except coro.TimeoutError:
            ends.append(False)
        else:
            ends.append(True)
            assert target.dead

    one = coro.spawn(joiner, thread_name="joiner")
    for _ in range(4):
        scheduler.yield_slice()
        if is_parked(one):
            one.schedule()
        pause()
    target.shutdown()
    one.join()
    assert len(ends) == 1
