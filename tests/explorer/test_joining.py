"""join() and result() under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_joining import join_and_timeout_at_once, joining, joining_one


def test_who_joins_a_thread_learns_of_its_end_once_and_rightly() -> None:
    explore(joining, schedules=scaled(3000), descriptors=False)


def test_joining_holds_when_any_thread_is_interrupted_at_any_switch() -> None:
    explore(joining_one, schedules=scaled(4000), exhaustive=True, interrupts=3, descriptors=False)


def test_a_joiner_that_strangers_schedule_goes_on_waiting() -> None:
    explore(join_and_timeout_at_once, schedules=scaled(1500), descriptors=False)
