"""Nests of timeouts under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_frames import equal_deadlines, item_at_the_deadline, timeouts


def test_a_timeout_expires_in_its_own_frame_and_in_time() -> None:
    explore(timeouts, schedules=scaled(4000), descriptors=False)


def test_nested_timeouts_let_other_interrupts_pass() -> None:
    explore(timeouts, schedules=scaled(3000), interrupts=2, descriptors=False)


def test_of_equal_deadlines_the_one_armed_first_expires_in_all_schedules() -> None:
    explore(equal_deadlines, schedules=scaled(2000), exhaustive=True, interrupts=2, descriptors=False)


def test_an_item_that_comes_at_the_deadline_is_not_lost() -> None:
    explore(
        item_at_the_deadline, schedules=scaled(2500), exhaustive=True, deviations=4, interrupts=1, descriptors=False
    )
