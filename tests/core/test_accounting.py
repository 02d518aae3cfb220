"""What every thread knows of itself."""

import io
import sys
from typing import Any

import pytest

import coro
from coro import testing
from coro.scheduler import scheduler
from coro.testing import FakeClock
from tests.core.ticking import TickingClock


def run_for(seconds: float) -> None:
    """Have the current thread run so long, by the fake clock."""
    clock = scheduler.clock
    assert isinstance(clock, FakeClock)
    clock.advance(seconds)


def test_run_time_is_what_the_thread_ran_and_not_what_it_waited() -> None:
    def work() -> None:
        run_for(0.001)
        coro.sleep_relative(10)
        run_for(0.002)
        coro.yield_slice()
        run_for(0.004)

    def main() -> None:
        thread = coro.spawn(work)
        coro.spawn(run_for, 0.1)
        thread.join()
        assert thread.run_time_ns == 7_000_000
        assert thread.longest_slice_ns == 4_000_000
        # Sleeping, yielding, ending.
        assert thread.switches == 3

    testing.run(main, real_descriptors=False)


@pytest.mark.parametrize("end", ["parks", "yields", "ends", "fails"])
def test_longest_slice_is_kept_whichever_way_it_ended(end: str, stderr: io.StringIO) -> None:
    def work(seconds: float) -> None:
        run_for(seconds)
        if end == "parks":
            coro.sleep_relative(1)
        elif end == "yields":
            coro.yield_slice()
        elif end == "fails":
            raise ValueError

    def main() -> None:
        for seconds in (0.01, 0.5):
            thread = coro.spawn(work, seconds)
            thread.join()
            assert thread.longest_slice_ns == thread.run_time_ns == seconds * coro.ticks_per_sec

    testing.run(main, real_descriptors=False)


def test_longest_slice_is_kept_over_shorter_and_beside_longer_than_the_latency_limit(stderr: io.StringIO) -> None:
    def main() -> None:
        me = coro.current()
        for seconds, longest in ((0.01, 0.01), (0.005, 0.01), (0.3, 0.3), (0.25, 0.3), (0.4, 0.4), (0.1, 0.4)):
            run_for(seconds)
            coro.yield_slice()
            assert me.longest_slice_ns == longest * coro.ticks_per_sec

    testing.run(main, real_descriptors=False)


def test_switches_are_counted() -> None:
    def switch(times: int) -> None:
        for turn in range(times):
            if turn % 2:
                coro.yield_slice()
            else:
                coro.sleep_relative(1)

    def main() -> None:
        threads = [coro.spawn(switch, times) for times in range(10)]
        for thread in threads:
            thread.join()
        # The last one is the end.
        assert [thread.switches for thread in threads] == [times + 1 for times in range(10)]

    testing.run(main, real_descriptors=False)


def test_run_times_add_up_to_no_more_than_the_time_that_passed(ticking_clock: TickingClock) -> None:
    """Every reading of the clock takes 1 µs here, and each is charged to one thread or to the loop."""
    threads: list[coro.coro] = []

    def work(turns: int) -> None:
        for turn in range(turns):
            coro.get_now()
            if turn % 3 == 0:
                coro.sleep_relative(0.0001)
            elif turn % 3 == 1:
                threads.append(coro.spawn(coro.get_now))
                threads[-1].join()
            else:
                coro.yield_slice()

    def main() -> None:
        threads.append(coro.current())
        mine = [coro.spawn(work, turns) for turns in range(30)]
        threads.extend(mine)
        for thread in mine:
            thread.join()

    begin = ticking_clock.now_ns
    coro.run(main)
    passed = ticking_clock.now_ns - begin

    total = sum(thread.run_time_ns for thread in threads)
    assert total <= passed
    # What the loop itself took, and slept, is the smaller part.
    assert total > passed // 4


def test_time_since_it_last_ran() -> None:
    def main() -> None:
        thread = coro.spawn(coro.sleep_relative, 100)
        coro.yield_slice()
        begin = coro.get_now()
        assert thread.last_switch_ns == begin
        coro.sleep_relative(7)
        assert coro.get_now() - thread.last_switch_ns == 7 * coro.ticks_per_sec
        thread.join()
        assert thread.last_switch_ns == begin + 100 * coro.ticks_per_sec

    testing.run(main, real_descriptors=False)


def test_what_it_waits_for() -> None:
    def main() -> None:
        target = coro.spawn(coro._yield)
        joiner, sleeper = coro.spawn(target.join), coro.spawn(coro.sleep_relative, 5)
        coro.sleep_relative(1)
        assert (joiner.waiting_for, joiner.waiting_on) == ("join", target)
        assert sleeper.waiting_for == "sleep"
        assert target.waiting_for == "schedule"
        target.schedule()
        joiner.join()
        sleeper.join()
        assert (joiner.waiting_on, sleeper.waiting_on) == (None, None)

    testing.run(main, real_descriptors=False)


def test_creator_and_line_of_the_spawn() -> None:
    def main() -> None:
        spawned = coro.spawn(int); line = sys._getframe().f_lineno  # fmt: skip  # noqa: E702
        made = coro.new(int)
        for thread, expected in ((spawned, line), (made, line + 1)):
            assert thread.creator_id == coro.current().id
            assert thread.spawn_line == f"{__file__}:{expected}"
        grandchild = coro.spawn(coro.spawn, int).result()
        assert grandchild.creator_id not in (coro.current().id, -1)
        made.shutdown()

    testing.run(main, real_descriptors=False)


def test_spawn_line_of_a_call_over_several_lines_and_of_a_thread_made_by_its_class() -> None:
    def main() -> None:
        first = sys._getframe().f_lineno
        thread = coro.spawn(
            int,
            thread_name="long",
        )
        assert thread.spawn_line == f"{__file__}:{first + 1}"
        by_class = coro.coro(int)
        assert by_class.spawn_line is None
        by_class.shutdown()

    testing.run(main, real_descriptors=False)


def test_thread_that_is_made_outside_the_loop_has_the_stub_as_creator() -> None:
    thread = coro.new(int)
    assert thread.creator_id == coro.current().id == -1
    thread.shutdown()


def test_carriers_time_belongs_to_the_thread_on_it() -> None:
    def main() -> None:
        threads: list[Any] = [coro.spawn(run_for, seconds) for seconds in (0.001, 0.002, 0.003)]
        for thread in threads:
            thread.join()
        assert [thread.run_time_ns for thread in threads] == [1_000_000, 2_000_000, 3_000_000]

    testing.run(main, real_descriptors=False)
