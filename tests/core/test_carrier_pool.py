"""The bound of the pool of carriers."""

from __future__ import annotations

import pytest

import coro
from coro import testing
from coro.scheduler import MAX_PARKED_CARRIERS, scheduler


def spawn_sleepers(count: int) -> None:
    threads = [coro.spawn(coro.sleep_relative, 1) for _ in range(count)]
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("bound", [0, 1, 7, MAX_PARKED_CARRIERS + 20])
def test_bound_of_the_pool_can_be_set(bound: int) -> None:
    def main() -> int:
        spawn_sleepers(MAX_PARKED_CARRIERS + 50)
        return len(scheduler.parked)

    old = coro.set_max_parked_carriers(bound)
    try:
        assert old == MAX_PARKED_CARRIERS
        assert testing.run(main, real_descriptors=False) == bound
    finally:
        assert coro.set_max_parked_carriers(old) == bound


@pytest.mark.parametrize("count", [None, "10", 1.5, True])
def test_bound_that_is_no_int_is_refused(count: object) -> None:
    with pytest.raises(TypeError, match="max parked carriers must be an int, got"):
        coro.set_max_parked_carriers(count)  # type: ignore[arg-type]


def test_negative_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="max parked carriers must be 0 or more, got -1"):
        coro.set_max_parked_carriers(-1)
