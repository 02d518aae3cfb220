"""Groups: what may be observed of nested groups of threads that fail, spawn, and are interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import coro
from coro.testing import ChanceInterrupt, choose
from tests.explorer.services_tools import (
    Fault,
    Knock,
    Knocks,
    hear,
    is_own_interrupt,
    is_parked,
    pause,
    wait_for_ever,
)

__all__ = [
    "GroupScene",
    "group_ended_by_its_body",
    "group_of_two",
    "groups",
    "interrupted_before_its_member_ran",
    "knocked_owner",
    "knocked_thrice",
]


Body = Callable[[coro.Group, list[coro.coro]], object]


class GroupScene:
    """What happened in a program of groups.

    handed_on: failures that left a block as a part of its exception group.
    kept: failures of blocks that an interrupt left: the notifier is to hear of them.
    """

    def __init__(self) -> None:
        self.handed_on: list[BaseException] = []
        self.kept: list[BaseException] = []

    def block(self, depth: int) -> None:
        """Run a group with one to three threads; raises what leaves the block, when that is as it must be."""

        def body(group: coro.Group, members: list[coro.coro]) -> None:
            for _ in range(1 + choose(3)):
                self.add_member(group, members, self.member, group, members, depth)
                if choose(2):
                    pause()
            self.body_end(group)

        self.run(body)

    def run(self, run_body: Body, *, is_inner: bool = False) -> None:
        """Run a group with this body; raises what leaves the block, when that is as it must be.

        is_inner: whether the current thread is in another group's body already, which may interrupt it here.
        """
        members: list[coro.coro] = []
        body: BaseException | None = None
        group = coro.Group()
        outcome: BaseException | None = None
        try:
            with group:
                try:
                    run_body(group, members)
                except BaseException as error:
                    body = error
                    raise
        except BaseException as error:
            outcome = error
        self.check(group, members, body, outcome, is_inner=is_inner)
        if outcome is not None:
            raise outcome

    def body_end(self, group: coro.Group) -> None:
        act = choose(4)
        if act == 1:
            pause()
        elif act == 2:
            raise Fault("the body's")
        elif act == 3:
            group.shutdown()

    def member(self, group: coro.Group, members: list[coro.coro], depth: int) -> int:
        act = choose(7 if depth else 6)
        if act == 1:
            pause()
        elif act == 2:
            raise Fault("a member's")
        elif act == 3:
            pause()
            raise Fault("a late member's")
        elif act == 4:
            self.add_member(group, members, self.member, group, members, depth)
        elif act == 5:
            group.shutdown()
            pause()
        elif act == 6:
            self.block(depth - 1)
        return act

    def add_member(
        self, group: coro.Group, members: list[coro.coro], function: Callable[..., object], *args: object
    ) -> None:
        was_open = group.is_open
        try:
            members.append(group.spawn(function, *args, thread_name=f"member {len(members)}"))
        except RuntimeError:
            assert not was_open, f"{group!r} is open and takes no thread"
        else:
            assert was_open, f"{group!r} is shutting down and takes a thread"

    def check(
        self,
        group: coro.Group,
        members: list[coro.coro],
        body: BaseException | None,
        outcome: BaseException | None,
        *,
        is_inner: bool = False,
    ) -> None:
        alive = [member for member in members if not member.dead]
        assert not alive, f"{alive} outlive their group"
        assert len(group) == 0 and not group.is_open
        waiting: Any = coro.current().interrupts or ()
        assert is_inner or not any(map(is_own_interrupt, waiting)), "the group's own interrupt stays behind"
        errors = [member.error for member in members if member.error is not None]
        failures: list[BaseException] = [error for error in errors if not isinstance(error, coro.Shutdown)]
        if isinstance(body, Fault):
            failures.append(body)
        if outcome is None:
            assert not failures, f"{failures} were swallowed"
            assert body is None
        elif isinstance(outcome, BaseExceptionGroup):
            assert set(map(id, outcome.exceptions)) == set(map(id, failures)), (outcome.exceptions, failures)
            assert len(outcome.exceptions) == len(failures)
            assert isinstance(outcome, ExceptionGroup) == all(isinstance(error, Exception) for error in failures)
            self.handed_on += failures
        else:
            is_outer = is_inner and is_own_interrupt(outcome)
            assert is_outer or isinstance(outcome, (ChanceInterrupt, Knock, coro.Shutdown)), (
                f"{outcome!r} leaves a group"
            )
            self.kept += failures

    def check_heard(self, heard: list[BaseException]) -> None:
        """Assert that the notifier was told of each failure that nobody else received, and of no other."""
        for error in self.handed_on:
            assert not any(one is error for one in heard), f"{error!r} was handed on and notified"
        for error in self.kept:
            assert sum(1 for one in heard if one is error) == 1, f"{error!r} was kept back, and not notified once"


def groups() -> None:
    """Nested groups whose members fail, spawn, shut down, and may be interrupted, as may the owner."""
    scene = GroupScene()
    with hear() as heard:
        coro.spawn(scene.block, 1, thread_name="owner")
    scene.check_heard(heard)


def group_of_two() -> None:
    """The smallest: a member fails while another waits for ever, and the owner in the body or at its end."""
    scene = GroupScene()

    def owner() -> None:
        members: list[coro.coro] = []
        outcome: BaseException | None = None
        group = coro.Group()
        try:
            with group:
                members.append(group.spawn(wait_for_ever, thread_name="waits"))
                members.append(group.spawn(fail, thread_name="fails"))
                wait_for_ever()
        except BaseException as error:
            outcome = error
        assert outcome is not None, "the body waits for ever, yet the block came to its end"
        # A body that was interrupted by the group itself has not failed.
        scene.check(group, members, None, outcome)

    def fail() -> None:
        raise Fault("a member's")

    with hear() as heard:
        coro.spawn(owner, thread_name="owner")
    scene.check_heard(heard)


def group_ended_by_its_body() -> None:
    """A body that ends by a shutdown or a failure, or not at all: who waits for ever is shut down, once."""
    scene = GroupScene()
    shutdowns: list[int] = []

    def member(number: int) -> None:
        try:
            wait_for_ever()
        except coro.Shutdown:
            shutdowns.append(number)
            # The clean-up must not be hit by a second one.
            coro.sleep_relative(1)
            shutdowns.append(number)
            raise

    def owner() -> None:
        members: list[coro.coro] = []
        outcome: BaseException | None = None
        body: BaseException | None = None
        group = coro.Group()
        try:
            with group:
                for number in range(2):
                    members.append(group.spawn(member, number, thread_name=f"member {number}"))
                pause()
                if choose(2):
                    body = Fault("the body's")
                    raise body
                group.shutdown()
        except BaseException as error:
            outcome = error
        scene.check(group, members, body if isinstance(outcome, BaseExceptionGroup) else None, outcome)
        started = [thread for thread in members if thread.switches]
        if all(isinstance(thread.error, coro.Shutdown) for thread in members):
            assert len(shutdowns) % 2 == 0 and len(shutdowns) <= 2 * len(started), shutdowns

    with hear() as heard:
        coro.spawn(owner, thread_name="owner")
    if not any(isinstance(error, Fault) for error in heard):
        scene.check_heard(heard)


def knocked_owner() -> None:
    """A stranger interrupts the owner of a group, more than once, and schedules it: no interrupt is lost."""
    knocks = Knocks()
    scene = GroupScene()

    def owner() -> None:
        try:
            scene.block(0)
        except Knock as knock:
            knocks.receive(knock)
        except ExceptionGroup:
            # Handed on, and checked.
            pass
        knocks.drain()

    with hear() as heard:
        one = coro.spawn(owner, thread_name="owner")
        for _ in range(1 + choose(4)):
            pause()
            if choose(3):
                knocks.knock(one)
            elif is_parked(one):
                one.schedule("from a stranger")
    knocks.check()
    scene.check_heard(heard)


def knocked_thrice() -> None:
    """The third interrupt waits behind the second when the last member ends: they keep their order."""
    knocks = Knocks()

    def owner() -> None:
        try:
            with coro.Group() as group:
                group.spawn(wait_for_ever, thread_name="member")
        except Knock as knock:
            knocks.receive(knock)
        knocks.drain()

    one = coro.spawn(owner, thread_name="owner")
    for count in (1, 2):
        coro.yield_slice()
        coro.yield_slice()
        for _ in range(count):
            knocks.knock(one)
    one.join()
    knocks.check()


def interrupted_before_its_member_ran() -> None:
    """An interrupt is raised as the block begins to wait, and cancels the only member: nobody wakes the owner."""

    def owner() -> None:
        try:
            with coro.timeout(0), coro.Group() as group:
                group.spawn(wait_for_ever, thread_name="member")
        except coro.TimeoutError:
            pass
        before = coro.get_now()
        coro.sleep_relative(1)
        assert coro.get_now() - before == coro.ticks_per_sec, "who ran already was woken, and does not sleep"

    coro.spawn(owner, thread_name="owner").join()
