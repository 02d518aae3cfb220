"""Loop lag by window of time."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import pytest

import coro
from coro import inspect, testing
from coro.inspect.history import SAMPLES_KEPT, LagHistory
from coro.loop import LONG_TURN_BUCKET, LONG_TURN_NS, LONG_TURNS_KEPT
from coro.loop import loop as the_loop
from coro.scheduler import scheduler

S = 1_000_000_000
MS = 1_000_000


class FakeLoop:
    """What a LagHistory needs of a loop, turned by hand."""

    def __init__(self, started_ns: int = 100 * S) -> None:
        self.running = True
        self.token = object()
        self.started_ns = started_ns
        self.lag_histogram = [0] * 64
        self.long_turns: deque[int] = deque(maxlen=LONG_TURNS_KEPT)
        self.iterations = 0

    def turn(self, took_ns: int, times: int = 1) -> None:
        for _ in range(times):
            self.iterations += 1
            self.lag_histogram[took_ns.bit_length()] += 1
            if took_ns >= LONG_TURN_NS:
                self.long_turns.append(took_ns)


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def history(loop: FakeLoop) -> LagHistory:
    fake: Any = loop
    return LagHistory(fake)


def test_window_counts_what_happened_in_it(loop: FakeLoop, history: LagHistory) -> None:
    now = loop.started_ns + 2 * S
    loop.turn(500 * MS, 10)
    for _ in range(30):
        assert history.sample(now)
        loop.turn(MS, 100)
        now += S
    recent = history.window(10, now)
    assert (recent.turns, recent.covered_s) == (1000, 10)
    assert recent.p50_s == recent.max_s == 0.001048576
    # Nothing from before the third second of the loop's life.
    longer = history.window(300, now)
    assert (longer.turns, longer.covered_s) == (3000, 30)
    assert longer.max_s == 0.001048576
    whole = history.window(None, now)
    assert (whole.turns, whole.covered_s, whole.max_s) == (3010, 32, 0.5)


def test_samples_are_taken_once_a_second_and_bounded(loop: FakeLoop, history: LagHistory) -> None:
    now = loop.started_ns
    taken = 0
    for _ in range(SAMPLES_KEPT * 10 * 2):
        taken += history.sample(now)
        now += S // 10
    assert taken == pytest.approx(SAMPLES_KEPT * 2, abs=3)
    assert history.window(10**6, now).covered_s == pytest.approx(SAMPLES_KEPT, abs=2)


def test_first_two_seconds_are_left_out(loop: FakeLoop, history: LagHistory) -> None:
    loop.turn(S)
    assert not history.sample(loop.started_ns + 2 * S - 1)
    assert history.window(10, loop.started_ns + S).turns == 0
    assert history.sample(loop.started_ns + 2 * S)


def test_new_loop_starts_afresh(loop: FakeLoop, history: LagHistory) -> None:
    history.sample(loop.started_ns + 5 * S)
    loop.turn(S)
    assert history.window(10, loop.started_ns + 6 * S).turns == 1
    loop.started_ns += 10 * S
    loop.token = object()
    assert history.window(10, loop.started_ns + S).covered_s == 0
    assert not history.sample(loop.started_ns + S)
    assert history.sample(loop.started_ns + 3 * S)
    assert history.window(10, loop.started_ns + 4 * S).turns == 0


def test_no_sample_of_a_loop_that_does_not_run(loop: FakeLoop, history: LagHistory) -> None:
    loop.running = False
    assert not history.sample(loop.started_ns + 5 * S)


def test_window_without_samples_has_no_numbers(loop: FakeLoop, history: LagHistory) -> None:
    record = history.window(10, loop.started_ns + 100 * S)
    assert (record.turns, record.p99_s, record.max_s, record.covered_s) == (0, None, None, 0)


def test_long_turns_are_told_as_they_were(loop: FakeLoop, history: LagHistory) -> None:
    """By buckets alone 70 ms would be told as 134 ms, and set off an alarm at 0.1 s."""
    now = loop.started_ns + 5 * S
    loop.turn(3 * S, 7)
    history.sample(now)
    loop.turn(70 * MS, 95)
    loop.turn(600 * MS, 5)
    record = history.window(10, now + S)
    assert (record.p50_s, record.p90_s, record.p99_s, record.max_s) == (0.07, 0.07, 0.6, 0.6)


def test_upper_bounds_where_long_turns_were_forgotten(loop: FakeLoop, history: LagHistory) -> None:
    history.sample(loop.started_ns + 5 * S)
    loop.turn(70 * MS, LONG_TURNS_KEPT + 1)
    record = history.window(10, loop.started_ns + 6 * S)
    assert record.p99_s == record.max_s == pytest.approx(0.134, abs=0.001)


def test_limit_of_long_turns_is_the_edge_of_its_bucket() -> None:
    assert LONG_TURN_NS.bit_length() == LONG_TURN_BUCKET
    assert (LONG_TURN_NS - 1).bit_length() == LONG_TURN_BUCKET - 1


def test_present_turn_counts_for_the_longest(loop: FakeLoop, history: LagHistory) -> None:
    history.sample(loop.started_ns + 5 * S)
    assert history.window(10, loop.started_ns + 6 * S, 700 * MS).max_s == 0.7
    loop.turn(MS)
    record = history.window(10, loop.started_ns + 6 * S, 700 * MS)
    assert (record.turns, record.p99_s, record.max_s) == (1, 0.001048576, 0.7)


def test_forgetting_leaves_the_present_turn_out(loop: FakeLoop, history: LagHistory) -> None:
    now = loop.started_ns + 5 * S
    history.sample(now)
    history.forget()
    assert not history.sample(now + 2 * S)
    loop.turn(100 * S)
    assert history.sample(now + 3 * S)
    assert history.window(10, now + 4 * S).turns == 0


def test_the_loop_remembers_its_long_turns() -> None:
    def main() -> None:
        coro.sleep_relative(0.001)
        before = len(the_loop.long_turns)
        time.sleep(0.08)
        coro.sleep_relative(0.001)
        assert len(the_loop.long_turns) == min(before + 1, LONG_TURNS_KEPT)
        assert 0.08e9 <= the_loop.long_turns[-1] < 2e9

    coro.run(main)


def test_lag_samples_by_itself_once_a_second() -> None:
    def main() -> None:
        assert [window.window_s for window in inspect.lag().windows] == [10, 300, None]
        assert inspect.lag().windows[0].covered_s == 0
        for _ in range(15):
            coro.sleep_relative(1)
            inspect.lag()
        short, longer, whole = inspect.lag().windows
        assert short.covered_s == 10
        assert longer.covered_s == 13
        assert whole.covered_s == 15
        assert short.turns > 0
        assert short.p99_s is not None

    testing.run(main, real_descriptors=False)


def test_lag_inside_the_loop_knows_the_present_turn() -> None:
    with testing.fake_time(real_descriptors=False) as clock:

        def main() -> None:
            coro.sleep_relative(1)
            assert inspect.lag().current_s == 0
            clock.advance(0.5)
            record = inspect.lag()
            assert record.current_s == 0.5
            assert record.windows[2].max_s == 0.5

        coro.run(main)


def test_queue_tells_how_long_the_first_has_waited() -> None:
    with testing.fake_time(real_descriptors=False) as clock:

        def waits() -> None:
            coro.yield_slice()

        def main() -> None:
            assert inspect.lag().queue_s == 0
            # One that was made just now, then one that yielded.
            coro.spawn(waits)
            clock.advance(0.25)
            assert inspect.lag().queue_s == 0.25
            coro.yield_slice()
            assert inspect.lag().queue_s == 0
            # Of one that slept for an hour and was woken just now, the hour is no waiting.
            sleeper = coro.spawn(coro.sleep_relative, 7200)
            coro.sleep_relative(3600)
            sleeper.schedule()
            clock.advance(0.125)
            assert inspect.lag().queue_s == 0.125
            assert inspect.lag().runnable == 1
            coro.yield_slice()
            # Nor is the time before a thread is started.
            late = coro.new(int)
            coro.sleep_relative(3600)
            late.start()
            assert inspect.lag().queue_s == 0

        coro.run(main)


def test_lag_without_a_loop() -> None:
    record = inspect.lag()
    assert (record.current_s, record.queue_s) == (0, 0)
    assert scheduler.current is None
