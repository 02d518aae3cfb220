"""explore(): what it tries, what it finds, what it says of it, and that it leaves nothing behind."""

import itertools
import math
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import coro
from coro.loop import loop
from coro.os_thread.pool import OSThreadPool
from coro.scheduler import scheduler
from coro.testing import (
    BlockedForReal,
    BlocksForReal,
    ChanceInterrupt,
    InterruptLost,
    LeftBehind,
    NeverEnds,
    NothingWillHappen,
    NotRepeatable,
    ScheduleFailed,
    choose,
    explore,
)
from coro.testing.choices import GivenChoices, SeededChoices, as_text, from_text, walk


def orders_of(count: int, **options: Any) -> set[tuple[int, ...]]:
    """The orders in which so many new threads ran."""
    seen: set[tuple[int, ...]] = set()

    def scenario() -> None:
        order: list[int] = []
        threads = [coro.spawn(order.append, number) for number in range(count)]
        for thread in threads:
            thread.join()
        seen.add(tuple(order))

    explore(scenario, **options)
    return seen


def failure_of(scenario: Callable[[], object], **options: Any) -> ScheduleFailed:
    with pytest.raises(ScheduleFailed) as caught:
        explore(scenario, **options)
    return caught.value


# -- what is tried


def test_a_walk_tries_every_order_once() -> None:
    assert orders_of(4, exhaustive=True) == set(itertools.permutations(range(4)))
    explored = explore(lambda: [coro.spawn(int) for _ in range(4)], exhaustive=True)
    assert explored.complete
    assert explored.schedules == 24


def test_a_walk_with_one_deviation_tries_what_one_choice_changes() -> None:
    orders = orders_of(3, exhaustive=True, deviations=1)
    assert orders == {(0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 2, 1)}


def test_a_walk_without_deviations_is_what_the_runtime_does() -> None:
    assert orders_of(3, exhaustive=True, deviations=0) == {(0, 1, 2)}


def test_a_walk_that_is_cut_short_is_not_complete() -> None:
    explored = explore(lambda: [coro.spawn(int) for _ in range(4)], exhaustive=True, schedules=5)
    assert explored.schedules == 5
    assert not explored.complete


def test_seeded_schedules_come_upon_every_order() -> None:
    assert orders_of(3, schedules=200) == set(itertools.permutations(range(3)))


def test_the_same_seeds_try_the_same() -> None:
    trails: list[list[int]] = []

    def scenario() -> None:
        trails[-1].append(choose(1000))

    for _ in range(2):
        trails.append([])
        explore(scenario, seed=7, schedules=20)
    assert trails[0] == trails[1]
    assert len(set(trails[0])) > 5


def test_a_thread_that_yields_lets_those_go_first_that_were_runnable() -> None:
    def scenario() -> None:
        order: list[str] = []

        def yielding() -> None:
            coro.yield_slice()
            order.append("after its yield")

        first = coro.spawn(yielding)
        coro.spawn(order.append, "spawned before the yield")
        first.join()
        assert order == ["spawned before the yield", "after its yield"]

    assert explore(scenario, exhaustive=True).complete


def test_time_can_go_by_while_threads_are_runnable() -> None:
    seen: set[bool] = set()

    def scenario() -> None:
        item = coro.fifo()

        def give() -> None:
            for _ in range(3):
                coro.yield_slice()
            item.push("data")

        coro.spawn(give)
        try:
            with coro.timeout(5):
                item.pop()
            seen.add(True)
        except coro.TimeoutError:
            seen.add(False)

    explore(scenario, schedules=300)
    assert seen == {True, False}


def test_interrupts_hit_at_every_switch_but_no_more_often_than_allowed() -> None:
    hits: set[tuple[int, ...]] = set()

    def scenario() -> None:
        mine: list[int] = []

        def work() -> None:
            for step in range(3):
                try:
                    coro.yield_slice()
                except ChanceInterrupt:
                    mine.append(step)

        coro.spawn(work).join()
        hits.add(tuple(mine))

    explore(scenario, exhaustive=True, interrupts=2)
    # Twice at one step: the second while it is on its way is left out, so it comes at a later one.
    assert hits == {(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)}


def test_victims_can_be_chosen() -> None:
    def scenario() -> None:
        def work() -> None:
            for _ in range(5):
                coro.yield_slice()
            done.append(coro.current().name)

        done: list[str] = []
        for name in ("safe", "victim"):
            coro.spawn(work, thread_name=name)
        coro.sleep_relative(100)
        coro.sleep_relative(100)
        seen.add(tuple(sorted(done)))

    seen: set[tuple[str, ...]] = set()
    explore(scenario, interrupts=1, victims=lambda thread: thread.name == "victim", schedules=300)
    assert ("safe",) in seen
    assert all("safe" in names for names in seen if len(names) == 1)


def test_events_of_descriptors_come_in_every_order_and_late() -> None:
    seen: set[tuple[int, ...]] = set()

    def scenario() -> None:
        pairs = [socket.socketpair() for _ in range(2)]
        order: list[int] = []

        def read(number: int) -> None:
            with coro.fd_sock(os.dup(pairs[number][0].fileno())) as mine:
                mine.recv(10)
                order.append(number)

        threads = [coro.spawn(read, number) for number in range(2)]
        coro.yield_slice()
        coro.yield_slice()
        for _, other in pairs:
            other.send(b"x")
        for thread in threads:
            thread.join()
        for one, other in pairs:
            one.close()
            other.close()
        seen.add(tuple(order))

    explore(scenario, schedules=60)
    assert seen == {(0, 1), (1, 0)}


def test_calls_in_os_threads_begin_and_end_at_any_time() -> None:
    seen: set[tuple[str, ...]] = set()

    def scenario() -> None:
        log: list[str] = []

        def call(name: str) -> None:
            coro.in_os_thread(log.append, f"{name} begins")
            log.append(f"{name} ends")

        threads = [coro.spawn(call, name) for name in ("one", "two")]
        for thread in threads:
            thread.join()
        seen.add(tuple(log))

    explore(scenario, schedules=300, descriptors=False)
    for order in seen:
        assert order.index("one begins") < order.index("one ends")
    assert len({order[0] for order in seen}) == 2
    assert any(order[1].endswith("begins") for order in seen)
    assert any(order[1].endswith("ends") for order in seen)


def test_a_call_in_an_os_thread_may_sleep_and_costs_no_time() -> None:
    begin = time.monotonic()
    explore(lambda: coro.in_os_thread(time.sleep, 0.001), schedules=3)
    assert time.monotonic() - begin < 5


# -- what is found, and what is said of it


def test_a_failing_schedule_can_be_replayed_and_is_short() -> None:
    def scenario() -> None:
        order: list[int] = []
        threads = [coro.spawn(order.append, number) for number in range(6)]
        for thread in threads:
            thread.join()
        assert order[0] != 4

    error = failure_of(scenario)
    assert isinstance(error.__cause__, AssertionError)
    assert error.seed is not None
    assert sum(1 for choice in from_text(error.schedule) if choice) == 1
    again = failure_of(scenario, replay=error.schedule)
    assert again.schedule == error.schedule
    assert again.trail == error.trail
    assert again.seed is None


def test_the_seed_that_is_named_finds_the_failure_first() -> None:
    def scenario() -> None:
        assert choose(50) != 30

    error = failure_of(scenario, schedules=5000)
    assert error.seed is not None
    assert failure_of(scenario, seed=error.seed, schedules=1).schedule == error.schedule


def test_the_report_tells_the_steps() -> None:
    def scenario() -> None:
        gone: list[int] = []
        coro.spawn(gone.append, 1, thread_name="other")
        coro.yield_slice()
        assert gone == []

    text = str(failure_of(scenario))
    assert "'other' starts" in text
    assert "'the scenario' at " in text
    assert "test_explorer.py" in text
    assert "replay='z0'" in text


def test_a_schedule_that_never_ends_says_where_its_threads_are() -> None:
    def endless() -> None:
        while True:
            coro.yield_slice()

    error = failure_of(endless, max_switches=500)
    assert isinstance(error.__cause__, NeverEnds)
    assert "after 500 switches" in str(error)
    assert "in test_a_schedule_that_never_ends" in str(error)


def test_a_deadlock_says_who_waits_for_what() -> None:
    def scenario() -> None:
        one, two = coro.mutex(), coro.mutex()

        def take(first: coro.mutex, second: coro.mutex) -> None:
            with first:
                coro.yield_slice()
                with second:
                    pass

        coro.spawn(take, one, two, thread_name="left")
        coro.spawn(take, two, one, thread_name="right")

    error = failure_of(scenario)
    assert isinstance(error.__cause__, NothingWillHappen)
    assert "'left' (waits: mutex) at " in str(error)
    assert "'right' (waits: mutex) at " in str(error)


def test_time_sleep_in_a_thread_is_refused_where_it_stands() -> None:
    error = failure_of(lambda: time.sleep(100))
    assert isinstance(error.__cause__, BlocksForReal)
    assert "time.sleep(100)" in str(error)


def test_a_thread_that_spins_is_found_and_placed() -> None:
    def spin() -> None:
        while True:
            pass

    error = failure_of(spin, time_limit=0.3)
    assert isinstance(error.__cause__, BlockedForReal)
    assert "in test_a_thread_that_spins_is_found_and_placed.<locals>.spin" in str(error)


def test_a_thread_that_blocks_in_the_kernel_is_found_and_placed() -> None:
    def block() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.accept()

    error = failure_of(block, time_limit=0.3)
    assert isinstance(error.__cause__, BlockedForReal)
    assert "accept" in str(error)


def test_a_spinning_thread_is_found_from_another_os_thread() -> None:
    def spin() -> None:
        while True:
            pass

    errors: list[ScheduleFailed] = []
    other = threading.Thread(target=lambda: errors.append(failure_of(spin, time_limit=0.3)))
    other.start()
    other.join(30)
    assert isinstance(errors[0].__cause__, BlockedForReal)
    assert "in test_a_spinning_thread_is_found_from_another_os_thread.<locals>.spin" in str(errors[0])


TRACED_AFTER_EXPLORING = """
import sys, threading, time
from coro.testing import ScheduleFailed, explore

def spin():
    while time.monotonic() < end:
        pass

def elsewhere():
    explore(lambda: None)
    for _ in range(20):
        try:
            explore(spin, time_limit=0.02)
        except ScheduleFailed:
            pass

end = time.monotonic() + 100
other = threading.Thread(target=elsewhere)
other.start()
other.join()

def function():
    return 7

sys.settrace(lambda frame, event, argument: None)
print(function())
"""


def test_traced_code_runs_after_an_exploration_in_another_os_thread() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", TRACED_AFTER_EXPLORING], capture_output=True, text=True, timeout=50, check=False
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("7\n", "", 0)


@pytest.mark.parametrize("failing", ["random", "clock", "former run"])
def test_what_depends_on_more_than_the_schedule_is_refused(failing: str) -> None:
    runs = itertools.count()

    def odd() -> bool:
        if failing == "random":
            return random.random() < 0.5
        if failing == "clock":
            return time.perf_counter_ns() // 100 % 2 == 0
        return next(runs) % 2 == 0

    def scenario() -> None:
        for number in range(13):
            coro.spawn(int, thread_name=f"{'odd' if odd() else 'even'} {number}")

    with pytest.raises(NotRepeatable, match="took another course at step"):
        explore(scenario)


def test_an_exception_in_any_thread_fails_the_schedule() -> None:
    def scenario() -> None:
        coro.spawn(int, "no number")
        coro.sleep_relative(1)

    assert isinstance(failure_of(scenario).__cause__, ValueError)


def test_a_thread_that_was_never_started_is_left_behind() -> None:
    error = failure_of(lambda: coro.new(int))
    assert isinstance(error.__cause__, LeftBehind)
    assert "was never started" in str(error)


def test_a_timer_that_is_still_armed_is_left_behind() -> None:
    from coro.timed import timers

    error = failure_of(lambda: timers.arm(scheduler.now + 10**9, int))
    assert isinstance(error.__cause__, LeftBehind)
    assert "1 timers are still armed" in str(error)


def test_threads_are_waited_for_when_the_scenario_returns() -> None:
    ended: list[int] = []

    def late() -> None:
        coro.sleep_relative(3600)
        ended.append(1)

    explored = explore(lambda: coro.spawn(late), schedules=10)
    assert explored.schedules == 10
    assert len(ended) >= 10


def test_a_thread_that_is_spawned_last_of_all_is_waited_for_as_well() -> None:
    def scenario() -> None:
        event = coro.event()

        def late() -> None:
            coro.yield_slice()
            coro.spawn(event.wait, thread_name="the latest")

        coro.spawn(late)

    error = failure_of(scenario)
    assert isinstance(error.__cause__, NothingWillHappen)
    assert "'the latest' (waits: event)" in str(error)
    explore(lambda: coro.spawn(coro.spawn, coro.sleep_relative, 1), schedules=20)


def test_set_exit_fails_the_schedule() -> None:
    assert isinstance(failure_of(lambda: coro.set_exit(0)).__cause__, SystemExit)


def test_ctrl_c_ends_the_exploration() -> None:
    runs = itertools.count()

    def scenario() -> None:
        if next(runs) == 20:
            os.kill(os.getpid(), signal.SIGINT)
        coro.yield_slice()

    with pytest.raises(KeyboardInterrupt):
        explore(scenario, schedules=1000)
    assert next(runs) < 30
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_replay_runs_once() -> None:
    runs: list[int] = []

    def scenario() -> None:
        runs.append(1)
        assert choose(10) != 3

    schedule = failure_of(scenario).schedule
    runs.clear()
    failure_of(scenario, replay=schedule)
    assert len(runs) == 1
    explored = explore(scenario, replay="4")
    assert len(runs) == 2
    assert not explored.complete


def test_other_os_threads_sleep_as_they_do() -> None:
    over = threading.Event()
    slept: list[float] = []

    def sleep() -> None:
        while not over.is_set():
            begin = time.monotonic()
            time.sleep(0.02)
            slept.append(time.monotonic() - begin)

    other = threading.Thread(target=sleep)
    other.start()
    try:
        explore(lambda: coro.spawn(coro.sleep_relative, 1), schedules=300)
    finally:
        over.set()
        other.join()
    assert min(slept) >= 0.02


def test_what_only_the_loop_may_do_is_refused_in_an_os_thread() -> None:
    error = failure_of(lambda: coro.in_os_thread(lambda: coro.spawn(int)))
    assert isinstance(error.__cause__, coro.YieldFromMain)


def test_there_may_be_no_limit_of_time() -> None:
    assert explore(int, schedules=3, time_limit=math.inf).schedules == 3


def test_a_blocked_schedule_is_not_run_again_and_again() -> None:
    runs: list[int] = []

    def scenario() -> None:
        for _ in range(5):
            coro.spawn(int)
        runs.append(choose(3))
        coro.yield_slice()
        while True:
            pass

    failure_of(scenario, time_limit=0.2)
    # Once to find it, once more to tell its steps.
    assert len(runs) == 2


def test_an_interrupt_that_is_not_raised_is_lost() -> None:
    def scenario() -> None:
        def work() -> None:
            coro.yield_slice()
            coro.yield_slice()

        coro.spawn(work)
        coro.yield_slice()
        for thread in coro.all_threads.values():
            # What the runtime must never do.
            thread.exception = None

    assert isinstance(failure_of(scenario, interrupts=1).__cause__, InterruptLost)


def test_interrupts_that_end_their_thread_are_no_failure() -> None:
    explore(lambda: coro.spawn(coro.sleep_relative, 10), interrupts=1)


# -- the choices themselves


@pytest.mark.parametrize("taken", [[], [0, 0], [3], [0, 0, 2, 0, 1], [1, 2, 3, 0, 0, 0, 0, 5]])
def test_a_schedule_in_writing_can_be_read_again(taken: list[int]) -> None:
    read = from_text(as_text(taken))
    end = len(taken)
    while end and taken[end - 1] == 0:
        end -= 1
    assert [choice for choice in read if choice] == [choice for choice in taken if choice]
    assert read[:end] == taken[:end]


@pytest.mark.parametrize("text", ["", "x", "1..2", "z", "-1", "1.z"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a schedule is numbers and zNs"):
        from_text(text)


def test_a_choice_beyond_what_there_is_counts_as_the_last() -> None:
    choices = GivenChoices([9])
    assert choices.choose(3) == 2
    assert choices.choose(3) == 0


@pytest.mark.parametrize("deviations", [None, 0, 1, 2, 3])
def test_a_walk_of_a_tree_visits_each_leaf_once(deviations: int | None) -> None:
    leaves: list[tuple[int, ...]] = []
    for choices in walk(deviations):
        # How many options there are depends on what was chosen before.
        first = choices.choose(3)
        leaves.append((first, choices.choose(1 + 2), *(choices.choose(2) for _ in range(first))))
    whole = {
        (first, second, *rest)
        for first in range(3)
        for second in range(3)
        for rest in itertools.product(range(2), repeat=first)
    }
    allowed = {leaf for leaf in whole if deviations is None or sum(map(bool, leaf)) <= deviations}
    assert sorted(leaves) == sorted(allowed)


def test_seeds_differ_in_how_calm_they_are() -> None:
    unusual = []
    for seed in range(50):
        choices = SeededChoices(seed)
        unusual.append(sum(1 for _ in range(200) if choices.choose(4)))
    assert min(unusual) < 30
    assert max(unusual) > 120


# -- bad input, and what is put back


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"schedules": 0}, ValueError, "schedules must be 1 or more, got 0"),
        ({"schedules": 1.5}, TypeError, "schedules must be an int"),
        ({"interrupts": -1}, ValueError, "interrupts must be 0 or more"),
        ({"deviations": 1}, ValueError, "give exhaustive=True"),
        ({"exhaustive": True, "deviations": -1}, ValueError, "deviations must be 0 or more"),
        ({"max_switches": 0}, ValueError, "max_switches must be 1 or more"),
        ({"time_limit": 0}, ValueError, "time_limit must be more than 0"),
        ({"time_limit": "1"}, TypeError, "time_limit must be seconds"),
        ({"replay": "nonsense"}, ValueError, "a schedule is numbers"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        explore(int, **options)


def test_only_a_function_is_a_scenario() -> None:
    with pytest.raises(TypeError, match="needs a function to run, got 3"):
        explore(3)  # type: ignore[arg-type]


def test_explore_is_refused_in_a_loop() -> None:
    def main() -> None:
        with pytest.raises(RuntimeError, match="cannot be called while a loop is running"):
            explore(int)

    coro.run(main)


def test_choose_is_refused_outside_a_scenario() -> None:
    with pytest.raises(RuntimeError, match="needs a scenario"):
        choose(2)


def test_choose_needs_something_to_choose_from() -> None:
    error = failure_of(lambda: choose(0))
    assert isinstance(error.__cause__, ValueError)


def test_everything_is_as_before() -> None:
    def state() -> list[Any]:
        return [
            scheduler.popleft == scheduler.ready.popleft,
            scheduler.clock,
            scheduler.latency_limit_ns,
            loop.poller_factory,
            OSThreadPool._submit,
            time.sleep,
            signal.getsignal(signal.SIGVTALRM),
            coro.set_exception_notifier(None),
            len(scheduler.all_threads),
            loop.running,
        ]

    before = state()
    explore(lambda: coro.spawn(coro.sleep_relative, 1), schedules=5)
    failure_of(lambda: coro.spawn(coro.event().wait))
    assert state() == before
    assert coro.run(lambda: 5) == 5


def test_a_descriptor_that_a_scenario_closes_is_not_left() -> None:
    descriptors = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0

    def scenario() -> None:
        one, other = socket.socketpair()
        with one, other:
            pass

    explore(scenario, schedules=50)
    if descriptors:
        # The loop's wake-up pipe may have been made meanwhile.
        assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 2
