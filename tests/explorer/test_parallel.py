"""in_parallel() under many schedules."""

from __future__ import annotations

from coro.testing import explore
from tests.explorer.scaling import scaled
from tests.explorer.services_parallel import parallel, parallel_knocked, parallel_pair


def test_results_of_parallel_functions_come_in_order() -> None:
    explore(parallel, schedules=scaled(2500), descriptors=False)


def test_parallel_functions_end_before_the_call_does_whoever_is_interrupted() -> None:
    explore(parallel, schedules=scaled(2500), interrupts=3, descriptors=False)


def test_a_failing_parallel_function_is_told_of_once_in_all_schedules() -> None:
    explore(parallel_pair, schedules=scaled(2000), exhaustive=True, interrupts=2, descriptors=False)


def test_no_interrupt_of_the_caller_of_parallel_functions_is_lost() -> None:
    explore(parallel_knocked, schedules=scaled(2000), descriptors=False)
