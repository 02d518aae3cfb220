"""The run queue, and the carriers under the threads."""

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import greenlet
import pytest

import coro
from coro import testing
from coro.scheduler import MAX_PARKED_CARRIERS, scheduler


class Thing:
    """Something that can be watched while it dies."""


@contextmanager
def without_the_collector() -> Iterator[None]:
    """What dies in here dies of its last reference."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# -- the queue


def test_threads_run_in_the_order_in_which_they_became_runnable() -> None:
    def main() -> None:
        ran: list[str] = []
        sleeper = coro.spawn(lambda: (coro._yield(), ran.append("woken")))
        yielder = coro.spawn(lambda: (coro.yield_slice(), ran.append("yielded")))
        coro.yield_slice()
        coro.spawn(ran.append, "spawned")
        sleeper.schedule()
        coro.spawn(ran.append, "last")
        coro.sleep_relative(1)
        assert ran == ["yielded", "spawned", "woken", "last"]
        assert yielder.dead

    testing.run(main, real_descriptors=False)


def test_yield_slice_lets_every_thread_that_is_runnable_at_the_call_go_first() -> None:
    def main() -> None:
        ran: list[str] = []

        def spawner() -> None:
            ran.append("runnable at the call")
            coro.spawn(ran.append, "became runnable later")

        threads = [coro.spawn(spawner) for _ in range(3)]
        coro.yield_slice()
        assert ran == ["runnable at the call"] * 3
        assert all(thread.dead for thread in threads)
        coro.yield_slice()
        assert ran[3:] == ["became runnable later"] * 3

    testing.run(main, real_descriptors=False)


def test_lone_thread_may_yield() -> None:
    def main() -> int:
        for _ in range(1000):
            coro.yield_slice()
        return 7

    assert testing.run(main, real_descriptors=False) == 7


def test_thread_hands_over_to_the_next_one_without_the_loop() -> None:
    def main() -> None:
        def yielder() -> None:
            for _ in range(10):
                coro.yield_slice()

        threads = [coro.spawn(yielder) for _ in range(2)]
        coro.yield_slice()
        trace.clear()
        # By now both run on carriers of their own, so nobody needs the loop.
        for thread in threads:
            thread.join()
        loop_turns = [target for target in trace if target is scheduler.loop_greenlet]
        assert len(trace) > 20
        assert len(loop_turns) <= len(trace) // 10

    trace: list[Any] = []
    former = greenlet.settrace(lambda event, pair: trace.append(pair[1]))
    try:
        coro.run(main)
    finally:
        greenlet.settrace(former)


def test_new_threads_run_one_after_another_on_one_carrier() -> None:
    def main() -> None:
        carriers = set()

        def look() -> None:
            carriers.add(id(coro.current().carrier))

        threads = [coro.spawn(look) for _ in range(50)]
        for thread in threads:
            thread.join()
        assert len(carriers) == 1

    testing.run(main, real_descriptors=False)


def test_cancelled_thread_in_the_queue_is_skipped() -> None:
    def main() -> None:
        ran: list[int] = []
        threads = [coro.spawn(ran.append, number) for number in range(6)]
        for thread in threads[::2]:
            thread.shutdown()
        coro.yield_slice()
        assert ran == [1, 3, 5]
        # The same when whoever ends finds only a cancelled thread behind it.
        coro.spawn(lambda: coro.spawn(ran.append, 6).shutdown())
        coro.yield_slice()
        coro.yield_slice()
        assert ran == [1, 3, 5]

    testing.run(main, real_descriptors=False)


def test_wake_of_a_thread_that_is_scheduled_already_changes_nothing() -> None:
    def main() -> None:
        got: list[Any] = []

        def wait() -> None:
            got.append(scheduler.park("test"))
            coro.sleep_relative(1)
            got.append("slept")

        def wait_badly() -> None:
            with pytest.raises(KeyError):
                scheduler.park("test")
            got.append("interrupted")

        thread, interrupted = coro.spawn(wait), coro.spawn(wait_badly)
        coro.yield_slice()
        scheduler.wake(thread, "first")
        scheduler.wake(thread, "second")
        interrupted.raise_exception(KeyError)
        scheduler.wake(interrupted, "a grant of the same turn")
        assert list(scheduler.ready) == [thread, interrupted]
        coro.sleep_relative(0.5)
        assert got == ["first", "interrupted"]
        thread.join()
        assert got == ["first", "interrupted", "slept"]

    testing.run(main, real_descriptors=False)


def test_thread_that_was_not_started_has_no_carrier() -> None:
    def main() -> None:
        thread = coro.spawn(coro._yield)
        assert thread.carrier is None
        coro.yield_slice()
        assert thread.carrier is not None
        thread.schedule()
        thread.join()
        assert thread.carrier is None

    testing.run(main, real_descriptors=False)


# -- the pool of carriers


def test_no_more_carriers_are_parked_than_the_bound() -> None:
    def main() -> None:
        threads = [coro.spawn(coro.sleep_relative, 1) for _ in range(MAX_PARKED_CARRIERS + 300)]
        coro.sleep_relative(2)
        assert all(thread.dead for thread in threads)
        assert len(scheduler.parked) == MAX_PARKED_CARRIERS
        # The pool works on.
        again = [coro.spawn(coro.sleep_relative, 1) for _ in range(MAX_PARKED_CARRIERS + 300)]
        coro.sleep_relative(2)
        assert all(thread.dead for thread in again)
        assert len(scheduler.parked) == MAX_PARKED_CARRIERS

    testing.run(main, real_descriptors=False)

    assert MAX_PARKED_CARRIERS == 1000


def test_carriers_beyond_the_bound_hand_over_to_whoever_is_next() -> None:
    def main() -> None:
        count = MAX_PARKED_CARRIERS + 50
        ended: list[int] = []

        def end_beside_others(number: int) -> None:
            coro.sleep_relative(1)
            ended.append(number)

        # All wake in one turn, so each that ends finds the next, with a carrier of its own, in the queue.
        for number in range(count):
            coro.spawn(end_beside_others, number)
        coro.sleep_relative(2)
        assert ended == list(range(count))

    testing.run(main, real_descriptors=False)


def test_pool_is_emptied_when_the_loop_exits() -> None:
    references: list[weakref.ref[Any]] = []

    def main() -> None:
        threads = [coro.spawn(coro.sleep_relative, 1) for _ in range(20)]
        coro.sleep_relative(2)
        assert all(thread.dead for thread in threads)
        assert len(scheduler.parked) == 20
        references.extend(weakref.ref(carrier) for carrier in scheduler.parked)

    with without_the_collector():
        testing.run(main, real_descriptors=False)
        assert scheduler.parked == []
        assert [reference() for reference in references] == [None] * 20


def test_new_carrier_does_not_inherit_the_recursion_depth_of_the_spawner() -> None:
    limit = sys.getrecursionlimit()

    def dive(depth: int, then: Callable[[], Any]) -> Any:
        return dive(depth - 1, then) if depth else then()

    def main() -> None:
        def spawn_deep() -> coro.coro:
            thread = coro.spawn(dive, limit // 2, lambda: "up again")
            coro.yield_slice()
            return thread

        assert dive(limit // 2, spawn_deep).result() == "up again"

    testing.run(main, real_descriptors=False)


def test_carriers_are_started_by_the_loop_only() -> None:
    """A chain of spawns of which each takes a new carrier must not grow deeper and deeper."""

    def main() -> None:
        threads: list[coro.coro] = []

        def chain(left: int) -> None:
            if left:
                threads.append(coro.spawn(chain, left - 1))
            coro.sleep_relative(1)

        threads.append(coro.spawn(chain, 2 * sys.getrecursionlimit()))
        coro.sleep_relative(3)
        assert len(threads) == 2 * sys.getrecursionlimit() + 1
        assert all(thread.dead and thread.error is None for thread in threads)

    testing.run(main, real_descriptors=False)


# -- what a carrier, a thread and the runtime keep


def test_carrier_keeps_nothing_of_the_thread_before() -> None:
    def main() -> None:
        watched: list[weakref.ref[Any]] = []

        def function(argument: Thing, *, keyword: Thing) -> Thing:
            local, result = Thing(), Thing()
            watched.extend(weakref.ref(thing) for thing in (argument, keyword, local, result))
            coro.yield_slice()
            return result

        thread = coro.spawn(function, Thing(), keyword=Thing())
        thread.join()
        watched.extend((weakref.ref(thread), weakref.ref(function)))
        # The loop holds on to the thread that it ran last until its next turn.
        coro.sleep_relative(1)
        assert [reference() is None for reference in watched] == [True, True, True, False, False, False]
        del thread, function
        assert [reference() is None for reference in watched] == [True] * 6

    with without_the_collector():
        testing.run(main, real_descriptors=False)


def test_arguments_are_dropped_before_the_thread_is_marked_dead() -> None:
    """Their finalisers may run code, even code that blocks."""
    seen: list[Any] = []

    class Noisy:
        def __del__(self) -> None:
            thread = coro.current()
            seen.append((thread.name, thread.dead))
            coro.sleep_relative(1)
            seen.append("slept")

    def main() -> None:
        thread = coro.spawn(lambda argument: None, Noisy(), thread_name="noisy")
        thread.join()
        assert seen == [("noisy", False), "slept"]

    testing.run(main, real_descriptors=False)


def sleep() -> None:
    coro.sleep_relative(1)


def fail() -> None:
    raise ValueError


def fail_and_be_awaited() -> None:
    with pytest.raises(ValueError):
        coro.spawn(fail).result()


def join() -> None:
    coro.spawn(len, ()).join()


def time_out() -> None:
    never = coro.spawn(coro._yield)
    with pytest.raises(coro.TimeoutError):
        never.join(1)
    never.shutdown()


def be_interrupted() -> None:
    coro.spawn(coro.current().raise_exception, KeyError("now"))
    with pytest.raises(KeyError):
        coro._yield()


def be_shut_down() -> None:
    coro.spawn(coro.current().shutdown)
    coro._yield()


def spawn_and_forget() -> None:
    coro.spawn(sleep)


@pytest.mark.parametrize(
    "function",
    [
        sleep,
        coro.yield_slice,
        fail,
        fail_and_be_awaited,
        join,
        time_out,
        be_interrupted,
        be_shut_down,
        spawn_and_forget,
    ],
)
def test_thread_object_dies_of_its_last_reference(function: Callable[[], None]) -> None:
    """No cycles: whatever a thread did, the collector is not needed, nor is another thread's frame in the way."""
    coro.set_exception_notifier(lambda thread, error: None)

    def main() -> None:
        # Two waiters that hand over and are resumed late: their frames must not keep who ran after them.
        coro.spawn(coro.sleep_relative, 100)
        thread = coro.spawn(function)
        coro.spawn(coro.sleep_relative, 100)
        watched = weakref.ref(thread)
        del thread
        coro.sleep_relative(10)
        assert watched() is None

    with without_the_collector():
        testing.run(main, real_descriptors=False)


def test_waiting_thread_keeps_no_other_thread_alive() -> None:
    def main() -> None:
        def second() -> Thing:
            coro.yield_slice()
            return Thing()

        # It parks and hands over to the thread behind it, first when that is new, then when it is not.
        first = coro.spawn(lambda: (coro.yield_slice(), coro._yield()))
        watched = weakref.ref(coro.spawn(second))
        coro.sleep_relative(1)
        assert watched() is None
        first.schedule()

    with without_the_collector():
        testing.run(main, real_descriptors=False)


def test_frames_of_a_wait_that_timed_out_die_with_it() -> None:
    def main() -> None:
        never = coro.spawn(coro._yield)
        watched: list[weakref.ref[Thing]] = []

        def wait() -> None:
            local = Thing()
            watched.append(weakref.ref(local))
            with pytest.raises(coro.TimeoutError):
                never.join(1)

        coro.spawn(wait).join()
        coro.yield_slice()
        assert [reference() for reference in watched] == [None]
        never.shutdown()

    with without_the_collector():
        testing.run(main, real_descriptors=False)


ExceptionState = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def test_exception_state_belongs_to_the_thread() -> None:
    coro.set_exception_notifier(lambda thread, error: None)

    def fail_late() -> None:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            coro.yield_slice()
            raise

    def main() -> None:
        clean: ExceptionState = (None, None, None)
        failing = coro.spawn(fail_late)
        beside: coro.coro = coro.spawn(sys.exc_info)
        assert beside.result() == clean
        failing.join()
        # On the carrier of the one that failed.
        assert coro.spawn(sys.exc_info).result() == clean
        try:
            raise KeyError
        except KeyError:
            assert coro.spawn(sys.exc_info).result() == clean
            coro.sleep_relative(1)
            assert sys.exc_info()[0] is KeyError

    testing.run(main, real_descriptors=False)


def test_ended_thread_keeps_its_outcome_and_none_of_its_input() -> None:
    def main() -> None:
        thread = coro.spawn(len, "four")
        thread.join()
        assert (thread.result(), thread.function, thread.args, thread.kwargs) == (4, None, (), {})
        assert thread.context is None
        cancelled = coro.new(len, "four")
        cancelled.shutdown()
        assert (cancelled.function, cancelled.args, cancelled.kwargs, cancelled.context) == (None, (), {}, None)

    testing.run(main, real_descriptors=False)
