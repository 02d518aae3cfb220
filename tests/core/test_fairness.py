"""Busy threads never starve timers and descriptors.

Fault 5 of the original: its scheduler ran the queue of runnable threads until it was empty before it looked at
timers and descriptors, so threads that kept scheduling each other put a 1 ms sleep off by 0.4 s, or for ever.

No test here measures real time, but the last, which has a very wide limit: the clock moves 1 µs with each
reading, so the number of switches between two polls is what is tested.
"""

import os
from collections.abc import Callable

import pytest

import coro
from coro.scheduler import POLL_INTERVAL_NS
from tests.core.ticking import TickingClock

# A poll falls due after POLL_INTERVAL_NS; what remains to be run then is one turn.
LATE_NS = POLL_INTERVAL_NS + 20_000
MAX_SWITCHES = LATE_NS // 1_000

Busy = Callable[[list[int]], None]


def schedule_each_other(turns: list[int]) -> None:
    """Two threads that schedule each other for ever."""
    threads: list[coro.coro] = []

    def partner(other: int) -> None:
        while True:
            turns[0] += 1
            coro.schedule(threads[other])
            coro._yield()

    threads.append(coro.new(partner, 1))
    threads.append(coro.new(partner, 0))
    threads[0].start()


def yield_for_ever(turns: list[int]) -> None:
    """Threads that only yield."""

    def yielder() -> None:
        while True:
            turns[0] += 1
            coro.yield_slice()

    for _ in range(3):
        coro.spawn(yielder)


def sleep_for_nothing(turns: list[int]) -> None:
    """Threads that sleep for no time."""

    def sleeper() -> None:
        while True:
            turns[0] += 1
            coro.sleep_relative(0)

    for _ in range(3):
        coro.spawn(sleeper)


def spawn_chain(turns: list[int]) -> None:
    """A chain of threads each of which spawns the next."""

    def link() -> None:
        turns[0] += 1
        coro.spawn(link)

    coro.spawn(link)


def spawn_and_join(turns: list[int]) -> None:
    """A thread that spawns and joins."""

    def spawner() -> None:
        while True:
            turns[0] += 1
            coro.spawn(int).join()

    coro.spawn(spawner)


def interrupt_each_other(turns: list[int]) -> None:
    """Two threads that interrupt each other for ever."""
    threads: list[coro.coro] = []

    def partner(other: int) -> None:
        while True:
            turns[0] += 1
            try:
                if threads[other].started:
                    threads[other].raise_exception(KeyError)
                else:
                    threads[other].start()
                coro._yield()
            except KeyError:
                continue

    threads.append(coro.new(partner, 1))
    threads.append(coro.new(partner, 0))
    threads[0].start()


every_kind = pytest.mark.parametrize(
    "busy",
    [
        schedule_each_other,
        yield_for_ever,
        sleep_for_nothing,
        spawn_chain,
        spawn_and_join,
        interrupt_each_other,
    ],
)


@every_kind
def test_timer_is_never_late(busy: Busy, ticking_clock: TickingClock) -> None:
    def main() -> None:
        turns = [0]
        busy(turns)
        for _ in range(50):
            before = turns[0]
            deadline = coro.get_now() + 1_000_000
            coro.sleep_absolute(deadline)
            assert coro.get_now() - deadline <= LATE_NS
            assert turns[0] > before + 50, "the others were busy meanwhile"

    coro.run(main)


@every_kind
def test_ready_descriptor_is_seen_after_a_bounded_number_of_switches(
    busy: Busy, ticking_clock: TickingClock
) -> None:
    def main() -> None:
        read_end, write_end = os.pipe()
        turns = [0]
        written_at: list[int] = []

        def write() -> None:
            while True:
                coro.sleep_relative(0.0017)
                written_at.append(turns[0])
                os.write(write_end, b"x")

        busy(turns)
        coro.spawn(write)
        for _ in range(20):
            coro.wait_for_read(read_end)
            os.read(read_end, 1)
            assert turns[0] - written_at[-1] <= MAX_SWITCHES
        os.close(read_end)
        os.close(write_end)

    # The writer is shut down before its pipe is gone.
    coro.set_exception_notifier(lambda thread, error: None)
    coro.run(main)


@every_kind
def test_call_from_another_os_thread_is_seen_though_all_are_busy(busy: Busy) -> None:
    """set_exit() comes through the same door; under the real clock, for an OS thread needs real time."""
    coro.spawn(busy, [0])
    coro.spawn(lambda: (coro.sleep_relative(0.005), coro.set_exit(3)))

    with pytest.raises(SystemExit) as caught:
        coro.event_loop()
    assert caught.value.code == 3


def test_two_hundred_thousand_spawns_hold_off_no_timer(ticking_clock: TickingClock) -> None:
    count = 200_000

    def main() -> None:
        spawned = 0
        latest_ns = 0

        def link(left: int) -> None:
            nonlocal spawned
            spawned += 1
            if left > 1:
                coro.spawn(link, left - 1)

        coro.spawn(link, count)
        wakes = 0
        while spawned < count:
            deadline = coro.get_now() + 1_000_000
            coro.sleep_absolute(deadline)
            latest_ns = max(latest_ns, coro.get_now() - deadline)
            wakes += 1
        assert spawned == count
        assert latest_ns <= LATE_NS
        assert wakes > 50

    coro.run(main)


def test_runnable_threads_take_turns() -> None:
    def main() -> None:
        turns = [0] * 10

        def yielder(number: int) -> None:
            while True:
                turns[number] += 1
                assert max(turns) - min(turns) <= 1
                coro.yield_slice()

        threads = [coro.spawn(yielder, number) for number in range(10)]
        for _ in range(1000):
            coro.yield_slice()
        assert min(turns) >= 999
        for thread in threads:
            assert not thread.dead
            thread.shutdown()

    coro.run(main)


@every_kind
def test_on_the_real_clock_a_sleeper_gets_on_beside_busy_threads(busy: Busy) -> None:
    def main() -> int:
        busy([0])
        for _ in range(20):
            coro.sleep_relative(0.001)
        return 20

    begin = coro.get_now()
    assert coro.run(main) == 20
    # 20 ms and what the machine does besides; the original never comes back.
    assert coro.get_now() - begin < 20 * coro.ticks_per_sec
