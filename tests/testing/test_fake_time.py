"""coro.testing: a clock that jumps when everybody sleeps, and a poller in memory."""

import os
import socket
import threading
import time
from typing import Any

import pytest

import coro
from coro import testing
from coro.clock import monotonic_clock
from coro.loop import loop
from coro.poller.base import READ, WRITE
from coro.scheduler import scheduler

SECOND = coro.ticks_per_sec

both_pollers = pytest.mark.parametrize("real_descriptors", [False, True])


# -- run()


@both_pollers
def test_sleeping_costs_nothing_and_takes_exactly_as_long_as_it_says(real_descriptors: bool) -> None:
    def main() -> int:
        begin = coro.get_now()
        for _ in range(100):
            coro.sleep_relative(86_400)
        return coro.get_now() - begin

    begin = time.monotonic()
    assert testing.run(main, real_descriptors=real_descriptors) == 100 * 86_400 * SECOND
    assert time.monotonic() - begin < 30


def test_run_passes_arguments_on_and_returns_the_value_or_raises() -> None:
    assert testing.run(divmod, 7, 2) == (3, 1)
    assert testing.run(lambda **keywords: keywords, real_descriptors=False, a=1) == {"a": 1}
    with pytest.raises(ZeroDivisionError):
        testing.run(divmod, 1, 0)


def test_every_run_takes_the_same_course() -> None:
    def main() -> list[Any]:
        course: list[Any] = []

        def work(number: int) -> None:
            for turn in range(5):
                coro.sleep_relative(((number * 7 + turn * 3) % 5) / 10)
                course.append((number, turn, coro.get_now()))
                coro.yield_slice()

        for number in range(10):
            coro.spawn(work, number)
        coro.sleep_relative(100)
        return course

    first = testing.run(main)
    assert len(first) == 50
    assert testing.run(main) == first
    assert testing.run(main, real_descriptors=False) == first


def test_time_stands_still_while_somebody_runs() -> None:
    def main() -> int:
        begin = coro.get_now()
        thread = coro.spawn(coro.sleep_relative, 1)
        for _ in range(1000):
            coro.yield_slice()
        assert not thread.dead
        return coro.get_now() - begin

    assert testing.run(main, real_descriptors=False) == 0


def test_what_is_due_happens_though_time_stands_still() -> None:
    """While time stands still no poll would ever fall due, so the clock asks for one now and then."""

    def main() -> None:
        done = threading.Event()
        loop.post(done.set)
        for _ in range(1000):
            if done.is_set():
                return
            coro.yield_slice()
        pytest.fail("the loop never got a turn")

    testing.run(main)


# -- a deadlock


def test_deadlock_raises_and_names_the_threads_that_wait() -> None:
    def main() -> None:
        coro.spawn(coro._yield, thread_name="the other")
        coro._yield()

    with pytest.raises(testing.NothingWillHappen, match=r"these threads wait: .*main.*the other"):
        testing.run(main, real_descriptors=False)
    assert not coro.all_threads


def test_lost_wake_up_is_found_after_the_last_timer() -> None:
    def main() -> None:
        coro.sleep_relative(1000)
        coro._yield()

    with pytest.raises(testing.NothingWillHappen):
        testing.run(main, real_descriptors=False)


def test_threads_get_to_clean_up_after_a_deadlock() -> None:
    cleaned: list[int] = []

    def main() -> None:
        begin = coro.get_now()
        try:
            coro._yield()
        finally:
            coro.sleep_relative(1)
            cleaned.append(coro.get_now() - begin)

    with pytest.raises(testing.NothingWillHappen):
        testing.run(main, real_descriptors=False)
    assert cleaned == [SECOND]


# -- fake_time()


def test_fake_time_changes_the_clock_and_gives_it_back() -> None:
    factory = loop.poller_factory
    with testing.fake_time() as clock:
        assert scheduler.clock is clock
        assert coro.get_now() == clock.now_ns
        assert coro.get_now() == clock.now_ns
    assert scheduler.clock is monotonic_clock
    assert loop.poller_factory is factory
    assert abs(coro.now - time.monotonic_ns()) < 60 * SECOND


def test_fake_time_is_given_back_when_the_block_raises() -> None:
    with pytest.raises(KeyError), testing.fake_time():
        raise KeyError
    assert scheduler.clock is monotonic_clock


def test_loops_in_one_block_go_on_from_one_another() -> None:
    with testing.fake_time(real_descriptors=False) as clock:
        begin = clock.now_ns
        coro.run(coro.sleep_relative, 5)
        assert clock.now_ns == begin + 5 * SECOND
        coro.spawn(lambda: (coro.sleep_relative(7), coro.set_exit()))
        coro.set_print_exit_string(False)
        with pytest.raises(SystemExit):
            coro.event_loop()
        assert clock.now_ns == begin + 12 * SECOND


def test_clock_of_a_running_loop_cannot_be_changed() -> None:
    def main() -> None:
        with pytest.raises(RuntimeError, match="cannot change the clock of a running loop"), testing.fake_time():
            pytest.fail("it did")
        with pytest.raises(RuntimeError):
            testing.run(int)

    testing.run(main)
    coro.run(main)


# -- FakeClock


def test_clock_shows_what_it_is_told() -> None:
    clock = testing.FakeClock(5)
    assert (clock(), clock.now_ns) == (5, 5)
    clock.advance(1.5)
    assert clock() == 5 + 1_500_000_000
    clock.advance_ns(1)
    assert clock() == 6 + 1_500_000_000
    clock.advance(0)
    assert clock() == 6 + 1_500_000_000


def test_clock_never_falls() -> None:
    clock = testing.FakeClock()
    before = clock()
    for advance in (lambda: clock.advance(-1), lambda: clock.advance_ns(-1)):
        with pytest.raises(ValueError, match="a clock never falls: cannot advance by -"):
            advance()
    assert clock() == before


def test_what_an_advance_makes_due_happens_at_the_next_turn() -> None:
    def main() -> None:
        coro.set_latency_warning(0)
        clock = scheduler.clock
        assert isinstance(clock, testing.FakeClock)
        sleepers = [coro.spawn(coro.sleep_relative, seconds) for seconds in (1, 2, 3)]
        coro.yield_slice()
        clock.advance(2.5)
        coro.yield_slice()
        coro.yield_slice()
        assert [sleeper.dead for sleeper in sleepers] == [True, True, False]

    try:
        testing.run(main, real_descriptors=False)
    finally:
        coro.set_latency_warning(1)


# -- FakePoller


def fake_poller() -> testing.FakePoller:
    poller = loop.poller
    assert isinstance(poller, testing.FakePoller)
    return poller


def test_descriptors_are_numbers_that_the_test_makes_ready() -> None:
    def main() -> None:
        poller = fake_poller()
        reader, writer = coro.spawn(coro.wait_for_read, 1001), coro.spawn(coro.wait_for_write, 1002)
        both = coro.spawn(coro.wait_for, 1003, READ | WRITE)
        coro.sleep_relative(1)
        assert {1001, 1002, 1003} <= set(poller.watched)
        poller.make_ready(1001, READ)
        coro.sleep_relative(1)
        assert (reader.dead, writer.dead, both.dead) == (True, False, False)
        poller.make_ready(1003, READ)
        poller.make_ready(1003, WRITE)
        poller.make_ready(1002, WRITE)
        assert both.result() == READ | WRITE
        writer.join()

    testing.run(main, real_descriptors=False)


def test_nobody_reads_the_numbers_that_stand_for_descriptors() -> None:
    """They need not be open, nor exist at all."""

    def main() -> None:
        with pytest.raises(coro.TimeoutError):
            coro.wait_for_read(10**6, 1)

    testing.run(main, real_descriptors=False)


def test_report_for_what_nobody_watches_is_ignored() -> None:
    def main() -> str:
        fake_poller().make_ready(4711, READ)
        coro.sleep_relative(1)
        return "went on"

    assert testing.run(main, real_descriptors=False) == "went on"


# -- real descriptors and OS threads under the fake clock


def test_real_descriptors_work_and_time_does_not_run_ahead_of_them() -> None:
    def main() -> None:
        left, right = socket.socketpair()
        with left, right:
            begin = coro.get_now()
            for _ in range(10):
                reader = coro.spawn(coro.wait_for_read, left, 1)
                coro.yield_slice()
                right.send(b"x")
                # The report comes before the jump, though the next timer is an hour away.
                assert reader.result(3600) is None
                left.recv(1)
            assert coro.get_now() == begin

    testing.run(main)


def test_without_a_timer_the_poller_waits_for_a_real_descriptor() -> None:
    def main() -> bytes:
        read_end, write_end = os.pipe()
        timer = threading.Timer(0.05, os.write, (write_end, b"from an OS thread"))
        timer.start()
        begin = coro.get_now()
        coro.wait_for_read(read_end)
        assert coro.get_now() == begin
        data = os.read(read_end, 100)
        timer.join()
        os.close(read_end)
        os.close(write_end)
        return data

    assert testing.run(main) == b"from an OS thread"


@both_pollers
def test_time_does_not_run_ahead_of_os_threads_at_work_for_the_loop(real_descriptors: bool) -> None:
    def main() -> None:
        me = coro.current()
        begin = coro.get_now()

        def finish() -> None:
            loop.outside_calls -= 1
            scheduler.wake(me, "done")

        def work() -> None:
            time.sleep(0.05)
            loop.post(finish)

        loop.outside_calls += 1
        os_thread = threading.Thread(target=work)
        os_thread.start()
        sleeper = coro.spawn(coro.sleep_relative, 1)
        assert scheduler.park("test") == "done"
        assert coro.get_now() == begin
        assert not sleeper.dead
        os_thread.join()
        sleeper.join()
        assert coro.get_now() == begin + SECOND

    testing.run(main, real_descriptors=real_descriptors)


@both_pollers
def test_job_of_an_os_thread_is_no_deadlock(real_descriptors: bool) -> None:
    def main() -> str:
        me = coro.current()

        def finish() -> None:
            loop.outside_calls -= 1
            scheduler.wake(me, "done")

        loop.outside_calls += 1
        threading.Timer(0.05, loop.post, (finish,)).start()
        return scheduler.park("test")  # type: ignore[no-any-return]

    assert testing.run(main, real_descriptors=real_descriptors) == "done"


def test_event_loop_without_timers_waits_for_what_comes_from_outside() -> None:
    """The longest wait of a poll is no deadline: jumping there again and again would never end."""

    def from_outside() -> None:
        time.sleep(0.05)
        coro.set_exit(7)

    with testing.fake_time() as clock:
        begin = clock.now_ns
        coro.spawn(coro._yield)
        outside = threading.Thread(target=from_outside)
        outside.start()
        with pytest.raises(SystemExit) as caught:
            coro.event_loop()
        outside.join()
    assert caught.value.code == 7
    assert clock.now_ns == begin


def test_event_loop_in_which_nothing_can_happen_says_so() -> None:
    with testing.fake_time(real_descriptors=False):
        coro.spawn(coro._yield)
        with pytest.raises(testing.NothingWillHappen):
            coro.event_loop()
