"""The state machine of a service: actors are told what to do, strangers disturb them, and time goes by.

Time stands still unless the machine moves it, so a deadline falls where hypothesis wants it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

import coro
from coro.scheduler import scheduler
from coro.testing.stage import StageOptions, StandingClock
from coro.timed import timers
from tests.explorer.actors import ServiceModel
from tests.explorer.machine import MAX_OPTIONS, SETTINGS, ModelMachine
from tests.explorer.model import end
from tests.explorer.services_tools import is_parked

__all__ = ["ServiceMachine", "service_machine_for"]

_MAX_ACTORS = 6
# The longest list of operations that a model offers.
_MAX_OPERATIONS = 24
_MAX_ORDERS_AT_ONCE = 5
# So many turns in a row in which nobody ran: then nothing is on its way any more.
_QUIET_TURNS = 3
# What the runtime wants done once the others have run, it arms a timer for that is due the next moment.
_AT_ONCE_NS = 1
# More answers than any order takes that is carried out undisturbed.
_MAX_ANSWERS = 600
# A mutant that spins is stopped by this.
_MAX_SWITCHES = 20_000
_SECONDS = (0.5, 1.0, 2.0, 5.0)
# What strangers do.  The waits that a stranger's schedule() must not end.
_HOW = ("knock", "knock twice", "shut down", "schedule")
_WAITS_ON = ("pool", "join", "OS thread", "read", "write", "ready", "order")

# Whom among those that wait for an order, and which of the operations that are offered there.
_Order = tuple[int, int]
_ORDERS = st.tuples(st.integers(0, _MAX_ACTORS - 1), st.integers(0, _MAX_OPERATIONS - 1))

_ANSWERS = st.lists(st.integers(0, MAX_OPTIONS - 1), max_size=6)


class ServiceMachine(ModelMachine):
    """The rules; a subclass has the model."""

    model_class: type[ServiceModel]
    model: ServiceModel | None

    def __init__(self) -> None:
        self._quiet_turns = 0
        super().__init__(StageOptions(max_switches=_MAX_SWITCHES, descriptors=self.model_class.descriptors))

    def perform(self) -> None:
        model = self.model_class()
        with model.in_place():
            model.begin()
            self.model = model
            while not self.is_over:
                self._turn()
                self.driver.ask(0)
            model.dismiss()
            end(model, [actor.thread for actor in model.actors])

    def _turn(self) -> None:
        """One turn of the loop: all that can run runs once, due timers expire, ready descriptors are told."""
        before = self.stage.switches
        scheduler.poll_due = 0
        coro.yield_slice()
        if self.stage.switches > before + 1:
            self._quiet_turns = 0
        elif timers.heap and timers.heap[0][0] == scheduler.now + _AT_ONCE_NS:
            self.move_clock(_AT_ONCE_NS)
            self._quiet_turns = 0
        else:
            self._quiet_turns += 1

    def move_clock(self, nanoseconds: int) -> None:
        clock = scheduler.clock
        assert isinstance(clock, StandingClock)
        clock.advance_ns(nanoseconds)
        scheduler.poll_due = 0

    @rule(order=_ORDERS)
    def tell(self, order: _Order) -> None:
        """Give an order, to be carried out while other things happen."""
        if self.model is not None:
            self.model.tell(*order)

    @rule(orders=st.lists(_ORDERS, min_size=1, max_size=_MAX_ORDERS_AT_ONCE), choices=_ANSWERS)
    def do(self, orders: list[_Order], choices: list[int]) -> None:
        """Give orders, and let each be carried out as far as it goes.

        choices: what those who obey choose first.
        """
        for order in orders:
            self.tell(order)
            self.come_to_rest(choices)

    @rule(answers=_ANSWERS)
    def go_on(self, answers: list[int]) -> None:
        """Make the next choices."""
        for answer in answers:
            self.go_on_with(answer)

    @rule()
    def rest(self) -> None:
        """Let everything take its usual course until nothing happens any more, but by time."""
        self.come_to_rest([])

    def come_to_rest(self, choices: list[int]) -> None:
        left = list(choices)
        self._quiet_turns = 0
        for _ in range(_MAX_ANSWERS):
            if self._quiet_turns >= _QUIET_TURNS:
                break
            self.go_on_with(left.pop(0) if left and self.driver.is_asked_what else 0)
        else:
            raise AssertionError(f"nobody comes to rest: {self.stage.whereabouts()}")
        if self.model is not None:
            self.model.check_at_rest()

    @rule(seconds=st.sampled_from(_SECONDS))
    def pass_time(self, seconds: float) -> None:
        """Let time go by, whoever could run meanwhile."""
        self.move_clock(int(seconds * coro.ticks_per_sec))

    @rule(victim=st.integers(0, _MAX_ACTORS - 1), how=st.sampled_from(_HOW))
    def disturb(self, victim: int, how: str) -> None:
        """Be a stranger: interrupt a thread that is at something, shut it down, or schedule it for no reason."""
        if self.model is None:
            return
        victims = [thread for thread in self.model.victims() if thread is not scheduler.current]
        if not victims:
            return
        thread = victims[victim % len(victims)]
        if how.startswith("knock"):
            for _ in how.split():
                self.model.knock(thread)
        elif how == "shut down":
            self.model.shut_down_thread(thread)
        elif is_parked(thread) and thread.waiting_for in _WAITS_ON:
            thread.schedule("from a stranger")


def service_machine_for(name: str, model_class: type[ServiceModel]) -> type[ServiceMachine]:
    """The state machine of one service."""
    machine: Any = type(f"{name} machine", (ServiceMachine,), {"model_class": model_class})
    machine.TestCase.settings = SETTINGS
    made: type[ServiceMachine] = machine
    return made
