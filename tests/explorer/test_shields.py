"""Nests of shields and timeouts under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_frames import (
    calls_in_frames,
    groups_in_frames,
    shield_in_timeout,
    shields,
    timeout_in_shield,
    two_timeouts_while_a_group_ends,
)


def test_a_shield_lets_nothing_in_and_loses_nothing() -> None:
    explore(shields, schedules=scaled(4000), descriptors=False)


def test_a_shield_holds_back_interrupts_at_any_switch() -> None:
    explore(shields, schedules=scaled(3000), interrupts=3, descriptors=False)


def test_a_timeout_around_a_shield_waits_for_its_end_in_all_schedules() -> None:
    explore(shield_in_timeout, schedules=scaled(2000), exhaustive=True, interrupts=1, descriptors=False)


def test_a_timeout_inside_a_shield_passes_it_in_all_schedules() -> None:
    explore(timeout_in_shield, schedules=scaled(2000), exhaustive=True, descriptors=False)


def test_groups_in_shields_and_timeouts_keep_to_the_rules_of_both() -> None:
    explore(groups_in_frames, schedules=scaled(3000), descriptors=False)


def test_two_timeouts_that_expire_while_a_group_ends_in_a_shield_both_interrupt() -> None:
    explore(two_timeouts_while_a_group_ends, replay="z0", descriptors=False)
    explore(two_timeouts_while_a_group_ends, schedules=scaled(500), exhaustive=True, descriptors=False)


def test_calls_in_other_threads_keep_to_the_rules_of_shields_and_timeouts() -> None:
    explore(calls_in_frames, schedules=scaled(3000), descriptors=False)
