"""in_os_thread() under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_os_threads import call_left, calls_in_os_threads, scheduled_from_os_thread


def test_each_call_is_made_once_and_each_failure_is_told_once() -> None:
    explore(calls_in_os_threads, schedules=scaled(2000), descriptors=False)


def test_callers_are_interrupted_at_any_switch() -> None:
    explore(calls_in_os_threads, schedules=scaled(2000), interrupts=2, descriptors=False)


def test_a_call_whose_caller_left_is_not_begun_any_more_in_all_schedules() -> None:
    explore(call_left, schedules=scaled(2000), exhaustive=True, deviations=4, interrupts=2, descriptors=False)


def test_a_thread_scheduled_from_an_os_thread_wakes_in_all_schedules() -> None:
    explore(scheduled_from_os_thread, schedules=scaled(1000), exhaustive=True, interrupts=1, descriptors=False)
