"""Metrics for Prometheus."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import pytest

import coro
from coro import inspect, testing
from coro.inspect.metrics import FIRST_BUCKET, LAST_BUCKET, Metrics, metrics, metrics_text
from coro.loop import loop

parser = pytest.importorskip("prometheus_client.parser")


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in parser.text_string_to_metric_families(text)}


def value(found: dict[str, Any], family: str, sample: str | None = None) -> float:
    [one] = [one for one in found[family].samples if one.name == (sample or family)]
    return float(one.value)


def counts(**buckets: int) -> tuple[int, ...]:
    return tuple([buckets.get(f"b{bucket}", 0) for bucket in range(64)])


FIXED = Metrics(
    states={"new": 0, "runnable": 1, "running": 1, "waiting": 98},
    lag_counts=counts(b3=5, b20=10, b40=1),
    lag_total_s=600.5,
    current_gap_s=0.25,
    run_time_s=12.5,
    switches=1000,
    longest_slice_s=0.5,
    runnable=1,
    stalls=2,
    uncaught=3,
    ended=4,
    turns=16,
    poll_s=100.25,
    collector_s=0.125,
    timers=7,
    descriptors=8,
    uptime_s=1e6,
    version="0.1.0",
    python="3.11.7",
)


def test_every_metric_of_the_specification_is_there() -> None:
    found = families(metrics_text(FIXED))
    kinds = {name: family.type for name, family in found.items()}
    assert kinds == {
        "coro_info": "gauge",
        "coro_uptime_seconds": "gauge",
        "coro_threads": "gauge",
        "coro_run_queue_length": "gauge",
        "coro_loop_lag_seconds": "histogram",
        "coro_slice_seconds": "summary",
        "coro_longest_slice_seconds": "gauge",
        "coro_loop_current_turn_seconds": "gauge",
        "coro_timers": "gauge",
        "coro_descriptors": "gauge",
        "coro_switches": "counter",
        "coro_stalls": "counter",
        "coro_uncaught_exceptions": "counter",
        "coro_threads_ended": "counter",
        "coro_loop_turns": "counter",
        "coro_poll_seconds": "counter",
        "coro_collector_seconds": "counter",
    }
    assert all(family.documentation for family in found.values())
    assert value(found, "coro_switches", "coro_switches_total") == 1000
    assert value(found, "coro_stalls", "coro_stalls_total") == 2
    assert value(found, "coro_uncaught_exceptions", "coro_uncaught_exceptions_total") == 3
    assert value(found, "coro_slice_seconds", "coro_slice_seconds_sum") == 12.5
    assert value(found, "coro_slice_seconds", "coro_slice_seconds_count") == 1000
    assert value(found, "coro_uptime_seconds") == 1e6
    assert {one.labels["state"]: one.value for one in found["coro_threads"].samples} == FIXED.states
    [info] = found["coro_info"].samples
    assert info.labels == {"version": "0.1.0", "python": "3.11.7"}


def test_lag_is_a_histogram_with_cumulative_buckets() -> None:
    found = families(metrics_text(FIXED))["coro_loop_lag_seconds"]
    buckets = {float(one.labels["le"]): one.value for one in found.samples if one.name.endswith("_bucket")}
    bounds = sorted(buckets)
    assert len(bounds) == LAST_BUCKET - FIRST_BUCKET + 2
    assert bounds[-1] == math.inf
    assert [buckets[bound] for bound in bounds] == sorted(buckets.values())
    # What is below the first bucket is in it, what is beyond the last only in +Inf.
    assert buckets[2**13 / 1e9] == 5
    assert buckets[2**19 / 1e9] == 5
    assert buckets[2**20 / 1e9] == 15
    assert buckets[2**36 / 1e9] == 15
    assert buckets[math.inf] == 16
    assert {one.name: one.value for one in found.samples if "_bucket" not in one.name} == {
        "coro_loop_lag_seconds_sum": 600.5,
        "coro_loop_lag_seconds_count": 16,
    }


def test_labels_are_escaped() -> None:
    odd = 'a"b\\c\nd'
    [info] = families(metrics_text(replace(FIXED, version=odd)))["coro_info"].samples
    assert info.labels["version"] == odd


def test_numbers_of_a_running_loop() -> None:
    def main() -> None:
        for _ in range(5):
            coro.spawn(coro.sleep_relative, 100)
        coro.new(int)
        coro.sleep_relative(1)
        coro.spawn(int)
        found = metrics()
        assert found.states == {"new": 1, "runnable": 1, "running": 1, "waiting": 5}
        assert found.timers == 5
        assert found.turns == loop.iterations
        text = families(metrics_text(found))
        assert value(text, "coro_run_queue_length") == 1

    testing.run(main, real_descriptors=False)


def test_counters_never_fall() -> None:
    def main() -> None:
        former = metrics()
        for _ in range(20):
            threads = [coro.spawn(coro.yield_slice) for _ in range(50)]
            coro.yield_slice()
            coro.yield_slice()
            latter = metrics()
            assert latter.switches > former.switches
            assert latter.run_time_s >= former.run_time_s
            assert latter.ended >= former.ended
            former = latter
            threads[0].join()

    testing.run(main, real_descriptors=False)


def test_sum_of_lag_is_what_the_turns_took() -> None:
    """In a process of which this is not the first loop it is kept within what the buckets allow."""

    def main() -> None:
        before = metrics()
        time.sleep(0.1)
        coro.sleep_relative(0.01)
        after = metrics()
        assert 0 < after.lag_total_s - before.lag_total_s < 5
        assert sum(after.lag_counts) > sum(before.lag_counts)
        low = sum(count << (bucket - 1) for bucket, count in enumerate(after.lag_counts) if bucket)
        assert low <= after.lag_total_s * 1e9 + 1 <= 2 * low + 64

    coro.run(main)


def test_metrics_without_a_loop() -> None:
    assert families(inspect.metrics_text(inspect.metrics()))
