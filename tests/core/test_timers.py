"""The heap of deadlines: order, cancellation, memory; and against a model as plain as can be."""

import gc
import random
import weakref
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coro.timers import Timer, Timers

# Cancelled entries that may stay in the heap besides as many as are armed: what a rebuild waits for.
SLACK = 65


class Token:
    """Something that can be referred to weakly."""


def test_timers_fire_by_deadline() -> None:
    timers = Timers()
    fired: list[Any] = []
    for deadline in (30, 10, 20):
        timers.arm(deadline, fired.append, deadline)

    assert timers.expire(5) == 0
    assert timers.expire(20) == 2
    assert fired == [10, 20]
    assert timers.expire(1000) == 1
    assert fired == [10, 20, 30]


def test_equal_deadlines_fire_in_the_order_of_arming() -> None:
    timers = Timers()
    fired: list[Any] = []
    for name in "abcdefgh":
        timers.arm(5, fired.append, name)

    timers.expire(5)

    assert "".join(fired) == "abcdefgh"


def test_timer_fires_at_its_deadline_not_before() -> None:
    timers = Timers()
    fired: list[Any] = []
    timers.arm(10, fired.append)

    assert timers.expire(9) == 0
    assert timers.expire(10) == 1
    assert fired == [None]


def test_cancelled_timer_does_not_fire() -> None:
    timers = Timers()
    fired: list[Any] = []
    armed = [timers.arm(deadline, fired.append, deadline) for deadline in range(5)]
    for place in (0, 2, 4):
        timers.cancel(armed[place])

    assert len(timers) == 2
    timers.expire(10)
    assert fired == [1, 3]


def test_cancelling_twice_or_after_firing_is_harmless() -> None:
    timers = Timers()
    fired: list[Any] = []
    first = timers.arm(1, fired.append, 1)
    second = timers.arm(2, fired.append, 2)
    third = timers.arm(3, fired.append, 3)
    timers.cancel(second)
    timers.cancel(second)
    timers.expire(1)
    timers.cancel(first)

    assert len(timers) == 1
    timers.expire(3)
    timers.cancel(third)
    assert fired == [1, 3]
    assert len(timers) == 0


def test_action_may_arm_and_cancel() -> None:
    timers = Timers()
    fired: list[Any] = []
    others: list[Timer] = []

    def act(name: str) -> None:
        fired.append(name)
        for other in others:
            timers.cancel(other)
        timers.arm(20, fired.append, "armed by an action")

    timers.arm(1, act, "first")
    timers.arm(2, fired.append, "second")
    # So many that cancelling them rebuilds the heap while it is being expired.
    others.extend(timers.arm(deadline, fired.append, "cancelled") for deadline in range(2, 300))
    timers.arm(400, fired.append, "last")

    assert timers.expire(10) == 2
    assert len(timers) == 2
    assert timers.expire(1000) == 2
    assert len(timers) == 0
    assert fired == ["first", "second", "armed by an action", "last"]


def test_order_holds_after_many_were_cancelled() -> None:
    dice = random.Random(11)
    timers = Timers()
    fired: list[Any] = []
    armed = [timers.arm(dice.randrange(10_000), fired.append, number) for number in range(1000)]
    deadlines = [timer[0] for timer in armed]
    left = list(range(1000))
    dice.shuffle(left)
    while len(left) > 100:
        timers.cancel(armed[left.pop()])
    timers.expire(10_000)

    assert fired == sorted(left, key=lambda number: (deadlines[number], number))


def test_cancelling_lets_go_of_action_and_argument_at_once() -> None:
    timers = Timers()
    token = Token()
    gone = weakref.ref(token)
    # Not the newest: that one would leave the heap altogether.
    timer = timers.arm(10, print, token)
    timers.arm(20, print)
    del token
    timers.cancel(timer)

    assert gone() is None


def test_firing_lets_go_of_action_and_argument() -> None:
    timers = Timers()
    token = Token()
    gone = weakref.ref(token)
    timer = timers.arm(10, id, token)
    del token
    timers.expire(10)

    assert gone() is None
    assert timer[2] is None


def test_pending_lists_the_armed_soonest_first_and_is_a_copy() -> None:
    timers = Timers()
    armed = [timers.arm(deadline, print, deadline) for deadline in (30, 10, 20)]
    timers.cancel(armed[1])
    pending = timers.pending()

    assert [timer[0] for timer in pending] == [20, 30]
    pending.clear()
    assert len(timers) == 2


def test_clear_forgets_all_without_firing() -> None:
    timers = Timers()
    fired: list[Any] = []
    armed = [timers.arm(deadline, fired.append) for deadline in range(10)]
    timers.cancel(armed[3])
    timers.clear()
    for timer in armed:
        timers.cancel(timer)

    assert (len(timers), timers.heap, timers.expire(100), fired) == (0, [], 0, [])


@pytest.mark.parametrize("order", ["each at once", "oldest first", "newest first", "at random"])
def test_cancelled_timers_do_not_stay_until_their_deadline(order: str) -> None:
    timers = Timers()
    for deadline in range(10):
        timers.arm(deadline, print)
    dice = random.Random(3)
    armed: list[Timer] = []
    for number in range(20_000):
        armed.append(timers.arm(10**12 + dice.randrange(1000), print, number))
        if order == "each at once" or len(armed) == 1000:
            if order == "at random":
                dice.shuffle(armed)
            elif order == "newest first":
                armed.reverse()
            for timer in armed:
                timers.cancel(timer)
                assert len(timers.heap) <= 2 * len(timers) + SLACK
            armed.clear()

    assert len(timers) == 10
    assert len(timers.heap) <= 2 * 10 + SLACK


def test_million_of_timers_armed_and_cancelled_leaves_nothing() -> None:
    timers = Timers()
    far = 10**18
    window: list[Timer] = [timers.arm(far, print) for _ in range(100)]
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1_000_000):
        place = number * 37 % 100
        timers.cancel(window[place])
        window[place] = timers.arm(far + number, print)
    gc.collect()

    assert len(timers) == 100
    assert len(timers.heap) <= 2 * 100 + SLACK
    assert len(gc.get_objects()) - before <= 2 * 100 + SLACK


class TimersMachine(RuleBasedStateMachine):
    """Timers against a list of (deadline, order) that is sorted whenever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.timers = Timers()
        self.fired: list[int] = []
        # order -> (deadline, timer), of the armed; and all that ever were.
        self.armed: dict[int, tuple[int, Timer]] = {}
        self.every: list[tuple[int, Timer]] = []
        self.now = 0

    @initialize(many=st.booleans())
    def begin(self, many: bool) -> None:
        # With many timers, rebuilds come about.
        if many:
            for deadline in range(150):
                self.arm(deadline % 30)

    @rule(after=st.integers(0, 30))
    def arm(self, after: int) -> None:
        order = len(self.every)
        timer = self.timers.arm(self.now + after, self.fired.append, order)
        self.armed[order] = (self.now + after, timer)
        self.every.append((order, timer))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.every:
            order, timer = data.draw(st.sampled_from(self.every))
            self.timers.cancel(timer)
            self.armed.pop(order, None)

    @rule(share=st.sampled_from([2, 3, 4]))
    def cancel_many(self, share: int) -> None:
        for order, timer in self.every[::share]:
            self.timers.cancel(timer)
            self.armed.pop(order, None)

    @rule(after=st.integers(0, 20))
    def expire(self, after: int) -> None:
        self.now += after
        due = sorted((deadline, order) for order, (deadline, _) in self.armed.items() if deadline <= self.now)
        self.fired.clear()

        assert self.timers.expire(self.now) == len(due)
        assert self.fired == [order for _, order in due]
        for _, order in due:
            del self.armed[order]

    @rule()
    def clear(self) -> None:
        self.timers.clear()
        self.armed.clear()

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert len(self.timers) == len(self.armed)
        expected = sorted((deadline, order) for order, (deadline, _) in self.armed.items())
        assert [(timer[0], timer[3]) for timer in self.timers.pending()] == expected
        assert len(self.timers.heap) <= 2 * len(self.armed) + SLACK
        if expected:
            # A cancelled head only makes the loop look once in vain.
            assert self.timers.heap[0][0] <= expected[0][0]


TestTimersAgainstModel: Any = TimersMachine.TestCase
TestTimersAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
