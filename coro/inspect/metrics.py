"""Metrics in the text format of Prometheus, version 0.0.4."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from coro import collector
from coro.descriptors import descriptors
from coro.inspect.census import census
from coro.inspect.lag import current_gap_ns
from coro.inspect.process import uptime_s
from coro.inspect.stalls import stall_count
from coro.loop import loop
from coro.scheduler import scheduler
from coro.timed import timers

__all__ = ["CONTENT_TYPE", "Metrics", "metrics", "metrics_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Buckets up to 2**13 ns (8 us) to 2**36 ns (69 s); what is beyond them is in the first one, and in +Inf.
FIRST_BUCKET = 13
LAST_BUCKET = 36


def _version() -> str:
    try:
        return version("coro")
    except PackageNotFoundError:
        return "unknown"


# Read at import: the package on disk may be another one ninety days later.
VERSION = _version()


@dataclass(frozen=True, slots=True)
class Metrics:
    """What metrics_text() prints.  Seconds since the process started, where a name does not say otherwise.

    states: how many threads stand in each state.  lag_counts: the loop's `lag_histogram`.
    lag_total_s: what all turns took together.
    """

    states: Mapping[str, int]
    lag_counts: tuple[int, ...]
    lag_total_s: float
    current_gap_s: float
    run_time_s: float
    switches: int
    longest_slice_s: float
    runnable: int
    stalls: int
    uncaught: int
    ended: int
    turns: int
    poll_s: float
    collector_s: float
    timers: int
    descriptors: int
    uptime_s: float
    version: str
    python: str


def metrics() -> Metrics:
    """Gather the numbers.  Yields, in slices; outside the loop it works in one go."""
    counted = census()
    counts = tuple(loop.lag_histogram)
    return Metrics(
        states=counted.states,
        lag_counts=counts,
        lag_total_s=_lag_total_ns(counts) / 1e9,
        current_gap_s=current_gap_ns(scheduler.clock()) / 1e9,
        run_time_s=counted.run_time_total_ns / 1e9,
        switches=counted.switches_total,
        longest_slice_s=counted.longest_slice_ns / 1e9,
        runnable=len(scheduler.ready),
        stalls=stall_count(),
        uncaught=scheduler.uncaught_count,
        ended=scheduler.ended_count,
        turns=loop.iterations,
        poll_s=loop.poll_time_ns / 1e9,
        collector_s=collector.total_pause_ns() / 1e9,
        timers=len(timers),
        descriptors=len(descriptors.table),
        uptime_s=uptime_s(),
        version=VERSION,
        python=platform.python_version(),
    )


def _lag_total_ns(counts: tuple[int, ...]) -> int:
    """What all turns took together.

    Exact for the first loop of a process: all the time but that in the poller.  With later loops the time between
    them is not known; then it is kept within what the buckets allow.
    """
    total = loop.last_poll_ns - loop.started_ns - loop.poll_time_ns
    low = sum([count << (bucket - 1) for bucket, count in enumerate(counts) if count and bucket])
    high = sum([count << bucket for bucket, count in enumerate(counts) if count])
    return min(max(total, low), high)


def metrics_text(metrics: Metrics) -> str:
    """The metrics in the text format of Prometheus.  Pure."""
    page = _Page()
    page.add("coro_info", "gauge", "The runtime.", {"version": metrics.version, "python": metrics.python}, 1)
    page.add("coro_uptime_seconds", "gauge", "Age of the process.", {}, metrics.uptime_s)
    page.head("coro_threads", "gauge", "Live threads by state.")
    for state, count in metrics.states.items():
        page.sample("coro_threads", {"state": state}, count)
    page.add("coro_run_queue_length", "gauge", "Threads that wait for their turn.", {}, metrics.runnable)
    _add_lag(page, metrics)
    help_text = "Slices that have ended, each from one switch to the next: how many, and how long all together."
    page.head("coro_slice_seconds", "summary", help_text)
    page.sample("coro_slice_seconds_sum", {}, metrics.run_time_s)
    page.sample("coro_slice_seconds_count", {}, metrics.switches)
    for name, help_text, gauge in (
        ("coro_longest_slice_seconds", "The longest slice of any live thread.", metrics.longest_slice_s),
        ("coro_loop_current_turn_seconds", "Time since the loop polled; 0 while it polls.", metrics.current_gap_s),
        ("coro_timers", "Armed timers.", metrics.timers),
        ("coro_descriptors", "Descriptors that the poller knows.", metrics.descriptors),
    ):
        page.add(name, "gauge", help_text, {}, gauge)
    for name, help_text, counter in (
        ("coro_switches_total", "Times that a thread left the processor.", metrics.switches),
        ("coro_stalls_total", "Stalls of the loop that were noticed.", metrics.stalls),
        ("coro_uncaught_exceptions_total", "Threads ended by an exception that nobody caught.", metrics.uncaught),
        ("coro_threads_ended_total", "Threads that have ended.", metrics.ended),
        ("coro_loop_turns_total", "Turns of the loop.", metrics.turns),
        ("coro_poll_seconds_total", "Time that the loop waited for descriptors and timers.", metrics.poll_s),
        ("coro_collector_seconds_total", "Time that the garbage collector took in the loop.", metrics.collector_s),
    ):
        page.add(name, "counter", help_text, {}, counter)
    return page.text()


def _add_lag(page: _Page, metrics: Metrics) -> None:
    name = "coro_loop_lag_seconds"
    page.head(name, "histogram", "Turns of the loop by length: for so long a ready descriptor or due timer waits.")
    counts = metrics.lag_counts
    for bucket in range(FIRST_BUCKET, LAST_BUCKET + 1):
        page.sample(f"{name}_bucket", {"le": repr((1 << bucket) / 1e9)}, sum(counts[: bucket + 1]))
    page.sample(f"{name}_bucket", {"le": "+Inf"}, sum(counts))
    page.sample(f"{name}_sum", {}, metrics.lag_total_s)
    page.sample(f"{name}_count", {}, sum(counts))


class _Page:
    """Lines of the text format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def head(self, name: str, kind: str, help_text: str) -> None:
        """Begin a metric."""
        escaped = help_text.replace("\\", r"\\").replace("\n", r"\n")
        self._lines.append(f"# HELP {name} {escaped}")
        self._lines.append(f"# TYPE {name} {kind}")

    def sample(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Add one value of the metric that was begun."""
        text = ",".join([f'{label}="{_escaped(content)}"' for label, content in labels.items()])
        self._lines.append(f"{name}{{{text}}} {value!r}" if text else f"{name} {value!r}")

    def add(self, name: str, kind: str, help_text: str, labels: Mapping[str, str], value: float) -> None:
        """Add a metric that has one value."""
        self.head(name, kind, help_text)
        self.sample(name, labels, value)

    def text(self) -> str:
        """All lines."""
        return "\n".join(self._lines) + "\n"


def _escaped(content: str) -> str:
    return content.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
