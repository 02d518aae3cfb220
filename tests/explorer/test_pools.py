"""Pools under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_pools import maps, pool_closed_while_waiting, pool_of_one, pools


def test_pools_run_each_job_once_and_never_too_many() -> None:
    explore(pools, schedules=scaled(3000), descriptors=False)


def test_pools_whose_threads_are_interrupted_at_any_switch() -> None:
    explore(pools, schedules=scaled(3000), interrupts=1, descriptors=False)


def test_a_place_of_a_pool_is_never_lost_in_all_schedules() -> None:
    explore(pool_of_one, schedules=scaled(2000), exhaustive=True, interrupts=2, descriptors=False)


def test_a_pool_that_is_closed_lets_nobody_wait() -> None:
    explore(pool_closed_while_waiting, schedules=scaled(2000), exhaustive=True, interrupts=2, descriptors=False)


def test_maps_give_values_in_order_and_are_outlived_by_none_of_their_calls() -> None:
    explore(maps, schedules=scaled(3000), descriptors=False)


def test_maps_whose_threads_are_interrupted_at_any_switch() -> None:
    explore(maps, schedules=scaled(1500), interrupts=2, descriptors=False)
