"""Parking, yielding, scheduling and interrupting under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_parking import disturbed, disturbed_sleepers, yields_in_turn


def test_each_park_ends_by_what_was_sent_and_nothing_is_lost() -> None:
    explore(disturbed, schedules=scaled(4000), descriptors=False)


def test_sleepers_that_are_woken_or_shut_down_leave_nothing() -> None:
    explore(disturbed_sleepers, schedules=scaled(2500), interrupts=2, descriptors=False)


def test_who_yields_waits_for_all_that_are_runnable_in_all_schedules() -> None:
    explore(yields_in_turn, schedules=scaled(1500), exhaustive=True, interrupts=1, descriptors=False)
