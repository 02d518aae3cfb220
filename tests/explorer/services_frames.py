"""Nests of timeouts, shields and groups: who may be interrupted by whose deadline, and when.

A leaf sleeps, yields or takes an item.  What is asserted:
- a frame raises coro.TimeoutError only when its own time is over, and its interrupt is seen nowhere outside;
- who sleeps through to the end was not past a deadline that should have interrupted him;
- nothing from outside comes through a shield that is not lifted;
- each interrupt of a stranger arrives once; items are not lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import coro
from coro.clock import FOREVER_TICKS
from coro.scheduler import scheduler
from coro.testing import choose
from tests.explorer.services_tools import Fault, Knock, Knocks, hear, is_own_interrupt, pause

__all__ = [
    "Nest",
    "calls_in_frames",
    "equal_deadlines",
    "groups_in_frames",
    "item_at_the_deadline",
    "shield_in_timeout",
    "shields",
    "timeout_in_shield",
    "timeouts",
    "two_timeouts_while_a_group_ends",
]

_SECONDS = (1, 2, 3, 0)


@dataclass
class _Frame:
    """A frame that is entered.

    deadline: in ticks: when its timeout interrupts, its shield is lifted, or a thread of its group has failed.
    """

    deadline: int
    shield: Any = None
    is_group: bool = False

    @property
    def protects(self) -> bool:
        return self.shield is not None and not self.shield.lifted


class Nest:
    """A thread in a nest of frames.

    frames: those that it is in, the outermost first.
    """

    def __init__(self, kinds: Sequence[str], *, calls: bool) -> None:
        self.kinds = kinds
        # Whether leaves call other threads, too; working: how many of those are at it.
        self.calls = calls
        self.working = 0
        self.knocks = Knocks()
        self.frames: list[_Frame] = []
        self.items: coro.fifo = coro.fifo()
        self.taken: list[int] = []

    def program(self) -> None:
        """What the thread runs."""
        try:
            self.steps(3)
        except Knock as knock:
            self.knocks.receive(knock)
        assert not self.frames
        waiting: Any = coro.current().interrupts or ()
        assert not any(map(is_own_interrupt, waiting)), "an interrupt of a frame that was left stays behind"
        self.knocks.drain()

    def steps(self, depth: int) -> None:
        for _ in range(1 + choose(2)):
            if depth and choose(2):
                self.enter(depth)
            else:
                self.leaf()

    def enter(self, depth: int) -> None:
        """Do some steps in some frame."""
        self.enter_frame(depth, self.kinds[choose(len(self.kinds))], _SECONDS[choose(len(_SECONDS))])

    def enter_frame(self, depth: int, kind: str, seconds: int) -> None:
        """Do steps in a frame of this kind, and assert that what leaves it may leave it."""
        frame = _Frame(scheduler.clock() + seconds * coro.ticks_per_sec)
        before = list(self.frames)

        def inside() -> None:
            self.frames.append(frame)
            try:
                self.steps(depth - 1)
            finally:
                self.frames.pop()

        try:
            self.run_in_frame(kind, seconds, frame, inside)
        except ExceptionGroup as error:
            assert frame.is_group
            assert all(isinstance(part, Fault) for part in error.exceptions), error.exceptions
        except coro.TimeoutError:
            assert frame.shield is None and not frame.is_group
            assert scheduler.clock() >= frame.deadline, "a timeout expires before its time"
        except coro.Interrupted as interrupt:
            # At a shield's end, too: then it has waited for that.
            self.check_interrupt(interrupt)
            raise
        finally:
            assert self.frames == before

    def run_in_frame(self, kind: str, seconds: int, frame: _Frame, inside: Callable[[], None]) -> None:
        if kind == "with_timeout":
            coro.with_timeout(seconds, inside)
        elif kind == "timeout":
            with coro.timeout(seconds) as scope:
                inside()
            assert not scope.expired or scheduler.clock() >= frame.deadline
        elif kind == "shield":
            frame.shield = coro.shielded(seconds)
            with frame.shield:
                inside()
            is_protected = any(outer.protects for outer in self.frames)
            assert is_protected or not coro.current().interrupts, "a shield's end has not raised what waited"
        else:
            frame.is_group = True
            frame.deadline = FOREVER_TICKS
            with coro.Group() as group:
                group.spawn(self.member, frame, thread_name="member")
                inside()

    def member(self, frame: _Frame) -> None:
        pause()
        if choose(2):
            frame.deadline = scheduler.clock()
            raise Fault("a member's")

    def leaf(self) -> None:
        acts = (self.sleep, scheduler.yield_slice, self.take, self.map, self.parallel, self.in_os_thread)
        self.do(acts[choose(len(acts) if self.calls else 3)])

    def do(self, act: Callable[[], object]) -> None:
        """Do something that waits, and assert that what interrupts it may do so."""
        try:
            act()
        except coro.Interrupted as interrupt:
            self.check_interrupt(interrupt)
            raise

    def take(self) -> None:
        self.taken.append(self.items.pop())

    def work(self, number: int) -> int:
        """What is called in other threads: it may take its time, also to clean up."""
        self.working += 1
        try:
            pause()
            return -number
        except coro.Shutdown:
            coro.sleep_relative(1)
            raise
        finally:
            self.working -= 1

    def map(self) -> None:
        pool = coro.Pool(1 + choose(2))
        try:
            assert pool.map(self.work, (1, 2)) == [-1, -2]
        finally:
            assert not self.working and not len(pool)

    def parallel(self) -> None:
        try:
            assert coro.in_parallel([(self.work, (1,)), (self.work, (2,))]) == [-1, -2]
        finally:
            assert not self.working

    def in_os_thread(self) -> None:
        assert coro.in_os_thread(abs, -3) == 3

    def sleep(self) -> None:
        seconds = 1 + choose(3)
        until = scheduler.clock() + seconds * coro.ticks_per_sec
        coro.sleep_relative(seconds)
        assert scheduler.clock() >= until, "a sleep ended early"
        protected = 0
        for frame in reversed(self.frames):
            if frame.shield is not None:
                protected = max(protected, frame.deadline)
            else:
                # What was armed before the sleep comes first at equal times; a failure may come behind.
                deadline = frame.deadline + frame.is_group
                assert deadline > until or protected > until, "a frame did not interrupt"

    def check_interrupt(self, interrupt: coro.Interrupted) -> None:
        """Assert that this may arrive in the current thread now."""
        if isinstance(interrupt, coro.TimeoutError):
            raise AssertionError(f"{interrupt!r} was raised by a frame that was left")
        if not is_own_interrupt(interrupt):
            assert not any(frame.protects for frame in self.frames), f"{interrupt!r} comes through a shield"
            return
        now = scheduler.clock()
        for frame in reversed(self.frames):
            if frame.protects:
                break
            if frame.shield is None and frame.deadline <= now:
                return
        raise AssertionError(f"{interrupt!r} belongs to no frame whose time is over: {self.frames}")


def _program(kinds: Sequence[str], *, calls: bool = False) -> None:
    nest = Nest(kinds, calls=calls)
    with hear():
        thread = coro.spawn(nest.program, thread_name="nest")
        pushed = 0
        for _ in range(choose(4)):
            pause()
            if choose(2):
                nest.knocks.knock(thread)
            else:
                nest.items.push(pushed)
                pushed += 1
        while not thread.dead:
            coro.sleep_relative(2)
            nest.items.push(pushed)
            pushed += 1
    nest.knocks.check(excused=lambda thread: thread.error is not None, in_order="shield" not in kinds)
    assert [*nest.taken, *nest.items] == list(range(pushed)), f"{pushed} items were pushed, {nest.taken} were taken"


def timeouts() -> None:
    """A nest of with_timeout() and coro.timeout() blocks."""
    _program(("timeout", "with_timeout"))


def shields() -> None:
    """A nest of shields and timeouts."""
    _program(("shield", "timeout", "with_timeout"))


def groups_in_frames() -> None:
    """A nest of groups, shields and timeouts."""
    _program(("group", "shield", "timeout", "with_timeout"))


def calls_in_frames() -> None:
    """A nest of all of them, whose leaves have a pool, in_parallel() and OS threads work for them."""
    _program(("group", "shield", "timeout", "with_timeout"), calls=True)


def equal_deadlines() -> None:
    """Two timeouts of one length around a sleep of that length: the outer one was armed first, and expires."""
    ends: list[str] = []

    def inner() -> None:
        try:
            with coro.timeout(1):
                coro.sleep_relative(1)
                ends.append("slept")
        except coro.TimeoutError:
            ends.append("inner")

    def outer() -> None:
        try:
            coro.with_timeout(1, inner)
        except coro.TimeoutError:
            ends.append("outer")

    # Somebody runs meanwhile, and then.
    coro.spawn(coro.sleep_relative, 1, thread_name="bystander")
    coro.spawn(outer, thread_name="outer").join()
    assert len(ends) <= 1 and ends in ([], ["outer"]), ends


def item_at_the_deadline() -> None:
    """An item comes at the moment of a timeout: it is taken, or it is there for the next who asks."""
    items: coro.fifo = coro.fifo()
    taken: list[int] = []

    def take() -> None:
        for _ in range(2):
            try:
                with coro.timeout(1):
                    taken.append(items.pop())
            except coro.TimeoutError:
                coro.sleep_relative(0)

    taker = coro.spawn(take, thread_name="taker")
    pushed = choose(4)
    for number in range(pushed):
        coro.sleep_relative(choose(2))
        items.push(number)
    taker.join()
    assert [*taken, *items] == list(range(pushed)), taken


def shield_in_timeout() -> None:
    """A timeout that expires in a shielded block waits for its end, and is raised at the timeout's own frame."""
    has_finished: list[bool] = []

    def clean_up() -> None:
        try:
            with coro.timeout(1):
                with coro.shielded((5, 2)[choose(2)]):
                    coro.sleep_relative(3 if choose(2) else 1)
                    has_finished.append(True)
                raise AssertionError("the shield's end did not raise what waited")
        except coro.TimeoutError:
            pass

    thread = coro.spawn(clean_up, thread_name="cleaner")
    began = coro.get_now()
    coro.sleep_relative(choose(3))
    thread.shutdown()
    thread.join()
    if not has_finished and thread.switches:
        assert coro.get_now() - began >= 2 * coro.ticks_per_sec or not thread.started, "a shield let something in"


def timeout_in_shield() -> None:
    """A timeout inside a shield passes it, while what comes from outside waits."""
    ends: list[str] = []

    def clean_up() -> None:
        with coro.shielded(math.inf):
            try:
                with coro.timeout(1):
                    coro.sleep_relative(2)
                    ends.append("slept")
            except coro.TimeoutError:
                ends.append("timeout")
            coro.sleep_relative(1)
            ends.append("went on")

    thread = coro.spawn(clean_up, thread_name="cleaner")
    coro.sleep_relative(choose(3))
    has_begun = bool(thread.switches)
    thread.shutdown()
    thread.join()
    assert ends == ["timeout", "went on"] if has_begun else not ends, ends


def two_timeouts_while_a_group_ends() -> None:
    """In a shield, both timeouts of a nest expire while a group waits for its thread: each interrupts its frame."""
    ends: list[str] = []

    def member() -> None:
        try:
            coro.sleep_relative(100)
        finally:
            coro.sleep_relative(3)

    def inside() -> None:
        try:
            with coro.timeout(1), coro.Group() as group:
                group.spawn(member)
        except coro.TimeoutError:
            ends.append("inner")
        coro.sleep_relative(10)
        ends.append("slept")

    def owner() -> None:
        with coro.shielded(math.inf):
            try:
                coro.with_timeout(2, inside)
            except coro.TimeoutError:
                ends.append("outer")

    coro.spawn(owner, thread_name="owner").join()
    assert ends in (["inner", "outer"], ["outer"]), ends
