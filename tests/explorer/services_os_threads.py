"""in_os_thread(): each call made once or, if its caller left before, not at all; each failure told once."""

from __future__ import annotations

import coro
from coro.os_thread import OSThreadPool
from coro.testing import ChanceInterrupt, choose
from tests.explorer.services_tools import Fault, Knock, Knocks, hear, is_parked, pause

__all__ = ["Calls", "call_left", "calls_in_os_threads", "scheduled_from_os_thread"]


class Calls:
    """What the callers wanted, what was called, and what they got.

    called: how often each number was called.  received: the numbers whose callers got the failure.
    left: the numbers whose callers were interrupted.  unmade: those of them that had not been called by then.
    """

    def __init__(self, knocks: Knocks) -> None:
        self.pool = OSThreadPool(2, name="explored")
        self.knocks = knocks
        self.called: dict[int, int] = {}
        self.failures: dict[int, Fault] = {}
        self.received: set[int] = set()
        self.left: set[int] = set()
        self.unmade: set[int] = set()

    def function(self, number: int, *, fails: bool) -> int:
        self.called[number] = self.called.get(number, 0) + 1
        assert number not in self.unmade, f"call {number} was made after its caller had left"
        if fails:
            self.failures[number] = Fault(number)
            raise self.failures[number]
        return number * 10

    def caller(self, first: int) -> None:
        try:
            for number in range(first, first + 1 + choose(2)):
                pause()
                self.call(number, with_timeout=bool(choose(2)))
        except Knock as knock:
            self.knocks.receive(knock)
        self.knocks.drain()

    def call(self, number: int, *, with_timeout: bool) -> None:
        try:
            if with_timeout:
                value = coro.with_timeout(1, self.pool.call, self.function, number, fails=bool(choose(2)))
            else:
                value = self.pool.call(self.function, number, fails=bool(choose(2)))
        except Fault as fault:
            assert fault is self.failures[number]
            self.received.add(number)
        except coro.Interrupted as interrupt:
            self.left.add(number)
            if number not in self.called:
                self.unmade.add(number)
            if not isinstance(interrupt, coro.TimeoutError):
                raise
        else:
            assert value == number * 10 and number not in self.failures

    def await_late_failures(self, heard: list[BaseException]) -> None:
        """What was left goes on in its OS thread: let it come to its end, while the same loop runs."""
        for _ in range(100):
            if all(fault in heard or number in self.received for number, fault in self.failures.items()):
                return
            coro.sleep_relative(1)

    def check(self, heard: list[BaseException]) -> None:
        assert all(count == 1 for count in self.called.values()), self.called
        for number, fault in self.failures.items():
            count = sum(1 for one in heard if one is fault)
            assert count == (number not in self.received), f"{fault!r} was told to the notifier {count} times"
            assert number in self.received or number in self.left


def calls_in_os_threads() -> None:
    """One to three threads make calls in OS threads, with and without a timeout; strangers disturb them."""
    scene = Calls(Knocks())
    with hear() as heard, scene.pool:
        callers = [
            coro.spawn(scene.caller, 10 * number, thread_name=f"caller {number}") for number in range(1 + choose(3))
        ]
        for _ in range(choose(4)):
            pause()
            victim = callers[choose(len(callers))]
            if choose(2):
                scene.knocks.knock(victim)
            elif is_parked(victim) and victim.waiting_for == "OS thread":
                victim.schedule("from a stranger")
        for caller in callers:
            caller.join()
        scene.await_late_failures(heard)
    scene.knocks.check(excused=lambda thread: isinstance(thread.error, ChanceInterrupt))
    scene.check(heard)


def call_left() -> None:
    """The smallest: a call that fails, whose caller is interrupted before, while and after it is made."""
    scene = Calls(Knocks())
    with hear() as heard, scene.pool:

        def caller() -> None:
            try:
                scene.pool.call(scene.function, 1, fails=True)
            except Fault:
                scene.received.add(1)
            except ChanceInterrupt:
                scene.left.add(1)
                if 1 not in scene.called:
                    scene.unmade.add(1)
                raise

        one = coro.spawn(caller, thread_name="caller")
        for _ in range(3):
            # Interrupts come when somebody runs.
            coro.yield_slice()
        one.join()
        scene.await_late_failures(heard)
    scene.check(heard)


def scheduled_from_os_thread() -> None:
    """A call schedules a sleeping thread from its OS thread: that wakes, unless it has woken or ended before."""
    values: list[object] = []

    def sleep() -> None:
        values.append(coro._yield())

    def call() -> None:
        try:
            coro.in_os_thread(coro.schedule_from_os_thread, sleeper, "from an OS thread")
        except coro.DeadCoroutine:
            assert sleeper.dead

    sleeper = coro.spawn(sleep, thread_name="sleeper")
    coro.yield_slice()
    caller = coro.spawn(call, thread_name="caller")
    caller.join()
    if caller.error is not None and is_parked(sleeper):
        sleeper.schedule("otherwise")
    sleeper.join()
    if caller.error is None and sleeper.error is None:
        assert values == ["from an OS thread"], values
