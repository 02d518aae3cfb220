"""Groups under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_groups import (
    group_ended_by_its_body,
    group_of_two,
    groups,
    interrupted_before_its_member_ran,
    knocked_owner,
    knocked_thrice,
)


def test_nested_groups_hand_on_each_failure_once_and_leave_nobody_behind() -> None:
    explore(groups, schedules=scaled(3000), descriptors=False)


def test_nested_groups_whose_threads_are_interrupted_at_any_switch() -> None:
    explore(groups, schedules=scaled(3000), interrupts=3, descriptors=False)


def test_a_failing_member_ends_its_group_in_all_schedules() -> None:
    explore(group_of_two, schedules=scaled(3000), exhaustive=True, interrupts=3, descriptors=False)


def test_a_member_of_a_group_gets_one_shutdown() -> None:
    explore(group_ended_by_its_body, schedules=scaled(2000), interrupts=2, descriptors=False)


def test_no_interrupt_of_the_owner_is_lost() -> None:
    explore(knocked_owner, schedules=scaled(3000), descriptors=False)


def test_interrupts_that_come_while_a_group_ends_keep_their_order() -> None:
    explore(knocked_thrice, replay="z0", descriptors=False)


def test_an_owner_that_cancels_its_last_member_is_not_woken() -> None:
    explore(interrupted_before_its_member_ran, replay="z0", descriptors=False)
