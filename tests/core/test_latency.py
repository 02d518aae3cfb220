"""Latency warnings: a thread that kept everybody else waiting is named."""

import gc
import io
from typing import Any

import pytest

import coro
from coro import testing
from coro.scheduler import scheduler
from coro.testing import FakeClock

Reports = list[tuple[Any, float, float]]


def run_for(seconds: float) -> None:
    """Have the current thread run so long, by the fake clock."""
    clock = scheduler.clock
    assert isinstance(clock, FakeClock)
    clock.advance(seconds)


def culprit(seconds: float, end: bool = False) -> None:
    run_for(seconds)
    if not end:
        coro.sleep_relative(1)


def report_of(seconds: float, end: bool = False) -> list[tuple[str, float]]:
    """Run a thread for so long under a latency hook: (name, duration) of what was reported."""
    reports: Reports = []
    coro.set_latency_hook(lambda *report: reports.append(report))

    def main() -> None:
        coro.spawn(culprit, seconds, end, thread_name="culprit").join()

    testing.run(main, real_descriptors=False)
    coro.set_latency_hook(None)
    return [(thread.name, ran_s) for thread, ran_s, _ in reports]


@pytest.mark.parametrize("end", [False, True])
def test_default_warning_names_the_thread_and_the_duration(end: bool, stderr: io.StringIO) -> None:
    """It comes also for a thread that ends in that slice; Shrapnel's does not."""

    def main() -> None:
        coro.spawn(culprit, 0.25, end, thread_name="culprit").join()

    testing.run(main, real_descriptors=False)

    assert stderr.getvalue().count("\n") == 1
    assert "name='culprit'" in stderr.getvalue()
    assert "ran for 0.250 s without yielding" in stderr.getvalue()


@pytest.mark.parametrize("end", [False, True])
def test_limit_is_a_fifth_of_a_second_by_default(end: bool) -> None:
    assert report_of(0.199, end) == []
    assert report_of(0.2, end) == [("culprit", 0.2)]
    assert report_of(7, end) == [("culprit", 7)]


def test_factor_is_in_units_of_a_fifth_of_a_second_and_the_old_one_is_returned() -> None:
    assert coro.set_latency_warning(2.5) == 1
    assert report_of(0.499) == []
    assert report_of(0.5) == [("culprit", 0.5)]
    assert coro.set_latency_warning(300) == 2.5
    assert report_of(59.9) == []
    assert report_of(60) == [("culprit", 60)]
    assert coro.set_latency_warning(0) == 300
    assert report_of(1000) == []
    assert coro.set_latency_warning(1) == 0
    assert report_of(0.2) == [("culprit", 0.2)]


@pytest.mark.parametrize(
    ("factor", "error"),
    [
        (-1, ValueError),
        (301, ValueError),
        (float("nan"), ValueError),
        ("x", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_wrong_factor_is_refused_with_the_limits(factor: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"the latency warning's factor must be .*got {factor!r}"):
        coro.set_latency_warning(factor)

    assert coro.set_latency_warning(1) == 1


def test_changed_limit_holds_for_threads_that_run_already() -> None:
    reports: Reports = []

    def main() -> None:
        coro.set_latency_hook(lambda *report: reports.append(report))

        def run_twice() -> None:
            run_for(0.15)
            coro.sleep_relative(1)
            run_for(0.15)
            coro.sleep_relative(1)
            run_for(0.15)
            coro.sleep_relative(1)

        thread = coro.spawn(run_twice)
        coro.sleep_relative(0.5)
        coro.set_latency_warning(0.5)
        coro.sleep_relative(1)
        assert [ran_s for _, ran_s, _ in reports] == [0.15]
        coro.set_latency_warning(1)
        thread.join()

    testing.run(main, real_descriptors=False)
    assert len(reports) == 1


def test_every_long_slice_is_reported_and_short_ones_between_are_not() -> None:
    reports: Reports = []

    def main() -> None:
        coro.set_latency_hook(lambda *report: reports.append(report))
        for seconds in (0.1, 0.5, 0.1, 0.3, 0.4, 0.1):
            run_for(seconds)
            coro.yield_slice()

    testing.run(main, real_descriptors=False)

    assert [ran_s for _, ran_s, _ in reports] == [0.5, 0.3, 0.4]


@pytest.mark.parametrize("how", ["ends", "set_exit", "raises"])
def test_last_slice_before_the_exit_is_reported_too(how: str, stderr: io.StringIO) -> None:
    def main() -> None:
        run_for(0.3)
        if how == "set_exit":
            coro.set_exit()
        elif how == "raises":
            raise ValueError

    if how == "set_exit":
        coro.spawn(main)
        with testing.fake_time(real_descriptors=False), pytest.raises(SystemExit):
            coro.event_loop()
    elif how == "raises":
        with pytest.raises(ValueError):
            testing.run(main, real_descriptors=False)
    else:
        testing.run(main, real_descriptors=False)

    assert "ran for 0.300 s without yielding" in stderr.getvalue()


# -- the hook


def test_hook_gets_thread_seconds_and_the_collectors_share_and_replaces_the_default(stderr: io.StringIO) -> None:
    reports: Reports = []

    def hook(thread: Any, ran_s: float, collector_s: float) -> None:
        assert scheduler.current is None, "it runs in the loop"
        reports.append((thread, ran_s, collector_s))

    assert coro.set_latency_hook(hook) is None

    def main() -> coro.coro:
        thread = coro.spawn(culprit, 0.5)
        thread.join()
        return thread

    thread = testing.run(main, real_descriptors=False)

    assert reports == [(thread, 0.5, 0.0)]
    assert stderr.getvalue() == ""
    assert coro.set_latency_hook(None) is hook


@pytest.mark.parametrize("error", [ValueError("spilled"), SystemExit("spilled")])
def test_hook_that_raises_is_reported_once_and_the_default_comes_back(
    error: BaseException, stderr: io.StringIO
) -> None:
    calls: list[str] = []

    def hook(thread: Any, ran_s: float, collector_s: float) -> None:
        calls.append(thread.name)
        raise error

    coro.set_latency_hook(hook)

    def main() -> str:
        for number in range(2):
            coro.spawn(culprit, 0.5, thread_name=f"culprit {number}").join()
        return "went on"

    assert testing.run(main, real_descriptors=False) == "went on"
    assert calls == ["culprit 0"]
    text = stderr.getvalue()
    assert text.count("the latency hook failed") == 1
    assert "spilled" in text
    for number in range(2):
        assert f"name='culprit {number}'" in text
    assert coro.set_latency_hook(None) is None


def test_keyboard_interrupt_in_the_hook_leaves_the_loop() -> None:
    def hook(*report: Any) -> None:
        raise KeyboardInterrupt

    coro.set_latency_hook(hook)

    with pytest.raises(KeyboardInterrupt):
        testing.run(culprit, 0.5, real_descriptors=False)
    assert not coro.all_threads


@pytest.mark.parametrize("hook", [5, "print"])
def test_hook_that_cannot_be_called_is_refused(hook: Any) -> None:
    with pytest.raises(TypeError, match=f"a latency hook must be callable or None, got {hook!r}"):
        coro.set_latency_hook(hook)

    assert coro.set_latency_hook(None) is None


def test_hook_that_blocks_is_refused_and_removed(stderr: io.StringIO) -> None:
    coro.set_latency_hook(lambda *report: coro.sleep_relative(1))

    def main() -> str:
        coro.spawn(culprit, 0.5).join()
        return "went on"

    assert testing.run(main, real_descriptors=False) == "went on"
    assert "would block the loop itself (a hook or handler): spawn() a thread for it" in stderr.getvalue()
    assert coro.set_latency_hook(None) is None


def test_time_in_the_hook_is_charged_to_nobody() -> None:
    coro.set_latency_hook(lambda *report: run_for(5))

    def main() -> list[coro.coro]:
        threads = [coro.spawn(culprit, 0.5), coro.spawn(coro.yield_slice)]
        for thread in threads:
            thread.join()
        return [*threads, coro.current()]

    first, second, main_thread = testing.run(main, real_descriptors=False)

    assert first.run_time_ns == coro.ticks_per_sec // 2
    assert (second.run_time_ns, main_thread.run_time_ns) == (0, 0)


# -- the collector


def test_pause_of_the_collector_is_told_apart(stderr: io.StringIO) -> None:
    class Slow:
        """A finaliser makes the pause as long as we like."""

        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            run_for(0.3)

    def collect(first_s: float) -> None:
        run_for(first_s)
        Slow()
        gc.collect()

    reports: Reports = []
    gc.collect()
    gc.disable()
    try:
        testing.run(collect, 0.1, real_descriptors=False)
        coro.set_latency_hook(lambda *report: reports.append(report))
        testing.run(collect, 0.2, real_descriptors=False)
    finally:
        gc.enable()

    assert "ran for 0.400 s without yielding, of which the garbage collector took 0.300 s" in stderr.getvalue()
    [(_, ran_s, collector_s)] = reports
    assert (ran_s, collector_s) == pytest.approx((0.5, 0.3))
