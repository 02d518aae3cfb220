"""Pool: never more than so many threads at once, and everybody gets his turn."""

import contextlib
import gc
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import coro
import coro.testing
from coro.exceptions import Interrupted
from coro.group import Group
from coro.pool import Pool
from coro.state import ThreadState
from coro.timed import timers
from coro.timeouts import timeout, with_timeout

SECOND = coro.ticks_per_sec


def run(main: Callable[..., Any], *args: Any) -> Any:
    return coro.testing.run(main, *args, real_descriptors=False)


@pytest.fixture
def notified() -> Iterator[list[BaseException]]:
    """What the exception notifier got."""
    errors: list[BaseException] = []

    def note(thread: ThreadState, error: BaseException) -> None:
        assert sys.exc_info()[1] is error
        errors.append(error)

    former = coro.set_exception_notifier(note)
    yield errors
    coro.set_exception_notifier(former)


@pytest.fixture(autouse=True)
def silence(request: pytest.FixtureRequest, notified: list[BaseException]) -> Iterator[None]:
    """Fail a test if the notifier got what the test does not look at."""
    yield
    if "notified" not in request.node.function.__code__.co_varnames:
        assert notified == []


class Watch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = coro.get_now()

    @property
    def seconds(self) -> float:
        return (coro.get_now() - self.start) / SECOND


class Job:
    """A function to be called in a pool, that counts how many of it run at once."""

    def __init__(self, seconds: float = 1) -> None:
        self.seconds = seconds
        self.running = self.largest = self.begun = 0

    def __call__(self, value: Any = None) -> Any:
        self.begun += 1
        self.running += 1
        self.largest = max(self.largest, self.running)
        try:
            coro.sleep_relative(self.seconds)
        finally:
            self.running -= 1
        if isinstance(value, BaseException):
            raise value
        return value


def with_clean_up(steps: list[object], seconds: float) -> None:
    """Sleep long, and take `seconds` to clean up."""
    try:
        coro.sleep_relative(60)
    finally:
        coro.sleep_relative(seconds)
        steps.append("cleaned up")


# -- spawn() and submit()


@pytest.mark.parametrize("name", ["spawn", "submit"])
def test_no_more_threads_than_places(name: str) -> None:
    def main() -> tuple[int, list[int], float]:
        watch, job = Watch(), Job()
        with Pool(3) as pool:
            threads = [getattr(pool, name)(job, number) for number in range(10)]
            assert watch.seconds == 3
            assert (len(pool), pool.threads) == (1, (threads[9],))
        return job.largest, [thread.result() for thread in threads], watch.seconds

    assert run(main) == (3, list(range(10)), 4)


@pytest.mark.parametrize("name", ["spawn", "submit"])
def test_arguments_and_name_are_passed_on(name: str) -> None:
    def main() -> None:
        pool = Pool(1)
        thread = getattr(pool, name)(dict, [("a", 1)], thread_name="maker", function=2)
        assert thread.result() == {"a": 1, "function": 2}
        assert thread.name == "maker"
        assert thread.spawn_line.startswith(__file__)

    run(main)


def test_failure_of_a_spawned_thread_is_notified_and_frees_its_place(notified: list[BaseException]) -> None:
    error = KeyError()

    def main() -> float:
        watch = Watch()
        with Pool(1) as pool:
            pool.spawn(Job(), error)
            pool.spawn(Job())
        return watch.seconds

    assert run(main) == 2
    assert notified == [error]


def test_failure_of_a_submitted_thread_waits_for_who_asks() -> None:
    def main() -> None:
        with Pool(1) as pool:
            thread = pool.submit(Job(), KeyError("bad"))
        with pytest.raises(KeyError, match="bad"):
            thread.result()

    run(main)


def test_who_waits_is_served_in_order() -> None:
    order: list[int] = []

    def client(pool: Pool, number: int) -> None:
        pool.spawn(Job())
        order.append(number)

    def main() -> None:
        pool = Pool(2)
        with Group() as group:
            for number in range(7):
                group.spawn(client, pool, number)
        assert repr(pool).startswith("<Pool, open, ")
        pool.close()

    run(main)
    assert order == list(range(7))


def test_newcomer_does_not_overtake_who_was_granted_a_place() -> None:
    order: list[str] = []

    def client(pool: Pool, name: str) -> None:
        pool.spawn(Job())
        order.append(name)

    def main() -> None:
        with Pool(1) as pool:
            first = pool.spawn(Job())
            waiter = coro.spawn(client, pool, "waiter")
            # To be woken before the pool hears of the end.
            first.joiners.insert(0, coro.current())
            coro._yield()
            assert (len(pool), waiter.scheduled, waiter.dead) == (0, True, False)
            client(pool, "newcomer")

    run(main)
    assert order == ["waiter", "newcomer"]


def test_stranger_that_schedules_a_waiter_gives_it_no_place() -> None:
    def main() -> float:
        watch, me = Watch(), coro.current()
        with Pool(1) as pool:
            pool.spawn(Job(3))
            timers.arm(coro.get_now() + SECOND, lambda _: me.schedule("stranger"))
            pool.spawn(Job())
            assert watch.seconds == 3
        return watch.seconds

    assert run(main) == 4


@pytest.mark.parametrize("interrupt_s", [0.5, 1, 1.5])
def test_interrupted_waiter_takes_no_place_and_spawns_nothing(interrupt_s: float) -> None:
    """Before, at and after the moment at which the place is granted."""

    def main() -> tuple[int, int]:
        pool, job = Pool(1), Job()
        pool.spawn(job)

        def client() -> None:
            try:
                pool.spawn(job)
                coro.sleep_relative(60)
            except coro.WakeUp:
                coro.sleep_relative(60)

        waiter = coro.spawn(client)
        coro.yield_slice()
        timers.arm(coro.get_now() + round(interrupt_s * SECOND), lambda _: waiter.raise_exception(coro.WakeUp))
        coro.sleep_relative(3)
        before = job.begun
        with timeout(5):
            pool.spawn(job).join()
        return before, job.largest

    assert run(main) == (1 if interrupt_s <= 1 else 2, 1)


def test_waiter_interrupted_after_the_grant_passes_the_place_on() -> None:
    def main() -> int:
        pool, job = Pool(1), Job()
        first = pool.spawn(job)
        waiters = [coro.spawn(pool.spawn, job) for _ in range(3)]

        def shut_down(_: object) -> None:
            assert waiters[0].scheduled
            waiters[0].shutdown()

        # After the pool, which grants the place to the first.
        first.joiners.append(shut_down)
        with timeout(10):
            for waiter in waiters:
                waiter.join()
            pool.close()
        return job.begun

    assert run(main) == 3


def test_thread_cancelled_before_it_started_frees_its_place() -> None:
    def main() -> int:
        pool, job = Pool(1), Job()
        pool.spawn(job).shutdown()
        pool.spawn(job)
        pool.close()
        return job.begun

    assert run(main) == 1


def test_spawn_without_waiting_works_before_the_loop() -> None:
    pool, job = Pool(2), Job()
    pool.spawn(job)
    pool.spawn(job)
    with pytest.raises(coro.YieldFromMain, match=r"Pool\.spawn\(\) needs a running loop"):
        pool.spawn(job)

    run(pool.close)

    assert job.begun == 2


@pytest.mark.parametrize("name", ["spawn", "submit"])
def test_bad_functions_and_names_are_refused_without_waiting(name: str) -> None:
    def main() -> float:
        watch, pool = Watch(), Pool(1)
        pool.spawn(Job())
        call = getattr(pool, name)
        with pytest.raises(TypeError, match="a thread needs a function to run, got 5"):
            call(5)
        with pytest.raises(TypeError, match="a thread's name must be a str, got 5"):
            call(int, thread_name=5)
        return watch.seconds

    assert run(main) == 0


def test_spawn_that_fails_in_the_end_passes_the_place_on() -> None:
    def main() -> float:
        watch, pool = Watch(), Pool(1)
        pool.spawn(Job())
        # spawn() has an argument of that name.
        failing = coro.spawn(lambda: pool.spawn(int, fun=5))
        failing.observers += 1
        waiting = coro.spawn(pool.spawn, Job())
        with pytest.raises(TypeError, match="multiple values for argument 'fun'"):
            failing.result()
        with timeout(5):
            waiting.join()
        pool.close()
        return watch.seconds

    assert run(main) == 2


# -- map()


@pytest.mark.parametrize("size", [1, 3, 100])
def test_map_gives_the_values_in_order(size: int) -> None:
    def main() -> tuple[list[int], int]:
        job = Job()

        def square(number: int) -> int:
            coro.sleep_relative((7 * number) % 5)
            return job(number * number)  # type: ignore[no-any-return]

        pool = Pool(size)
        return pool.map(square, range(10)), job.largest

    values, largest = run(main)
    assert values == [number * number for number in range(10)]
    assert largest <= size


def test_map_of_nothing_is_nothing() -> None:
    assert run(lambda: Pool(1).map(int, [])) == []


def test_map_takes_an_item_only_when_there_is_a_place() -> None:
    def main() -> None:
        job, taken = Job(), 0

        def items() -> Iterator[int]:
            nonlocal taken
            for number in itertools.count():
                taken += 1
                assert taken <= job.begun + 3
                yield number

        with pytest.raises(coro.TimeoutError):
            with_timeout(10.5, Pool(2).map, job, items())
        # The items of two places for ten and a half seconds, and one that waits.
        assert taken == 23

    run(main)


def test_first_failure_of_map_is_raised_as_it_is_after_the_others_have_ended() -> None:
    error = KeyError("bad")
    steps: list[object] = []

    def work(number: int) -> None:
        if number == 2:
            coro.sleep_relative(1)
            raise error
        with_clean_up(steps, 2)

    def main() -> float:
        watch, pool = Watch(), Pool(3)
        with pytest.raises(KeyError) as caught:
            pool.map(work, range(100))
        assert caught.value is error
        assert error.__context__ is None
        assert (len(pool), coro.get_live_coros()) == (0, 1)
        assert pool.map(abs, [-1]) == [1]
        return watch.seconds

    assert run(main) == 3
    assert steps == ["cleaned up"] * 2


def test_failure_at_the_moment_of_a_grant_starts_nothing_more() -> None:
    def work(number: int) -> None:
        coro.sleep_relative(1)
        if number:
            raise KeyError(number)

    def main() -> int:
        started = []

        def items() -> Iterator[int]:
            for number in range(10):
                started.append(number)
                yield number

        with pytest.raises(KeyError, match="1"):
            Pool(2).map(work, items())
        coro.sleep_relative(5)
        return len(started)

    assert run(main) == 3


def test_place_that_a_failed_map_no_longer_needs_is_passed_on() -> None:
    def work(number: int) -> None:
        coro.sleep_relative(1)
        if number:
            raise KeyError(number)

    def main() -> list[float]:
        watch, pool, begun = Watch(), Pool(2), []

        def client() -> None:
            coro.yield_slice()
            pool.spawn(Job(60))
            begun.append(watch.seconds)

        clients = [coro.spawn(client) for _ in range(2)]
        with pytest.raises(KeyError):
            pool.map(work, range(10))
        coro.sleep_relative(1)
        for thread in (*clients, *pool.threads):
            thread.shutdown()
        return begun

    assert run(main) == [1, 1]


def test_further_failures_of_map_go_to_the_notifier(notified: list[BaseException]) -> None:
    later = OSError("in clean-up")

    def work(number: int) -> None:
        if number:
            raise KeyError(number)
        try:
            coro.sleep_relative(60)
        finally:
            raise later

    def main() -> None:
        with pytest.raises(KeyError):
            Pool(3).map(work, range(2))
        coro.sleep_relative(1)

    run(main)
    assert notified == [later]


@pytest.mark.parametrize("name", ["map", "imap"])
@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), Interrupted("own")])
def test_what_is_no_exception_ends_a_map_like_any_failure(name: str, error: BaseException) -> None:
    def main() -> None:
        # What interrupted the call must not interrupt the caller.
        expected = coro.DeadCoroutine if isinstance(error, Interrupted) else type(error)
        with pytest.raises(expected):
            list(getattr(Pool(2), name)(Job(), [error, 1, 2]))
        assert coro.get_live_coros() == 1

    run(main)


@pytest.mark.parametrize("name", ["map", "imap"])
def test_keyboard_interrupt_in_a_call_leaves_the_loop(name: str) -> None:
    def main() -> None:
        list(getattr(Pool(2), name)(Job(), [KeyboardInterrupt(), 1, 2]))

    with pytest.raises(KeyboardInterrupt):
        run(main)


def test_failing_iterable_ends_the_map() -> None:
    steps: list[object] = []

    def items() -> Iterator[int]:
        yield 2
        coro.sleep_relative(1)
        raise LookupError("no more")

    def main() -> float:
        watch = Watch()
        with pytest.raises(LookupError, match="no more"):
            Pool(2).map(lambda seconds: with_clean_up(steps, seconds), items())
        return watch.seconds

    assert run(main) == 3
    assert steps == ["cleaned up"]


def test_failure_interrupts_an_iterable_that_waits() -> None:
    def items() -> Iterator[int]:
        yield 0
        coro.sleep_relative(60)
        yield 1

    def main() -> float:
        watch = Watch()
        with pytest.raises(ZeroDivisionError):
            Pool(2).map(lambda number: coro.sleep_relative(1) or 1 // number, items())
        return watch.seconds

    assert run(main) == 1


@pytest.mark.parametrize("items", [2, 100], ids=["waiting for the end", "waiting for a place"])
def test_interrupt_of_maps_caller_leaves_bare_after_the_threads(items: int) -> None:
    steps: list[object] = []

    def main() -> float:
        watch = Watch()
        with pytest.raises(coro.TimeoutError):
            with_timeout(1, Pool(2).map, lambda _: with_clean_up(steps, 3), range(items))
        assert coro.get_live_coros() == 1
        return watch.seconds

    assert run(main) == 4
    assert steps == ["cleaned up"] * 2


def test_call_that_is_shut_down_from_elsewhere_is_no_silent_none() -> None:
    def main() -> None:
        pool = Pool(2)
        timers.arm(coro.get_now() + SECOND, lambda _: pool.threads[0].shutdown())
        with pytest.raises(coro.DeadCoroutine, match="the thread was ended by Shutdown"):
            pool.map(Job(2), range(3))

    run(main)


def test_failed_maps_are_no_work_for_the_collector() -> None:
    def work(number: int) -> None:
        if number:
            raise KeyError(number)
        coro.sleep_relative(1)

    def one(pool: Pool) -> None:
        with contextlib.suppress(KeyError):
            pool.map(work, range(3))

    def main() -> int:
        pool = Pool(3)
        one(pool)
        gc.collect()
        for _ in range(10):
            one(pool)
        return gc.collect()

    gc.disable()
    try:
        assert run(main) < 10
    finally:
        gc.enable()


def test_two_maps_share_the_places() -> None:
    def main() -> tuple[list[int], list[int], int, float]:
        watch, pool, job = Watch(), Pool(2), Job()
        one, other = coro.spawn(pool.map, job, range(4)), coro.spawn(pool.map, job, range(4, 8))
        return one.result(), other.result(), job.largest, watch.seconds

    assert run(main) == ([0, 1, 2, 3], [4, 5, 6, 7], 2, 4)


@pytest.mark.parametrize("name", ["map", "imap"])
def test_what_cannot_be_mapped_is_refused_at_once(name: str) -> None:
    def main() -> None:
        call = getattr(Pool(1), name)
        with pytest.raises(TypeError, match="a thread needs a function to run, got 5"):
            call(5, [])
        with pytest.raises(TypeError, match="'int' object is not iterable"):
            call(int, 5)

    run(main)


# -- imap()


def test_imap_gives_each_value_in_order_when_it_is_there() -> None:
    def main() -> list[tuple[int, float]]:
        watch = Watch()

        def work(seconds: int) -> int:
            coro.sleep_relative(seconds)
            return seconds

        return [(value, watch.seconds) for value in Pool(2).imap(work, [2, 1, 3, 1])]

    # A call begins when a value was asked for, and there is a place.
    assert run(main) == [(2, 2), (1, 2), (3, 5), (1, 5)]


def test_imap_begins_nothing_before_the_first_value_is_asked_for() -> None:
    def main() -> None:
        job = Job()
        values = Pool(2).imap(job, range(3))
        coro.sleep_relative(5)
        assert job.begun == 0
        assert iter(values) is values
        assert next(values) == 0
        assert list(values) == [1, 2]
        with pytest.raises(StopIteration):
            next(values)

    run(main)


def test_imap_does_not_run_ahead_of_who_asks() -> None:
    def main() -> None:
        job = Job()
        values = Pool(3).imap(job, itertools.count())
        for number in range(10):
            assert next(values) == number
            coro.sleep_relative(10)
            assert job.begun == number + 3

    run(main)


def test_imap_gives_a_value_that_is_there_before_it_waits_for_a_place() -> None:
    def main() -> float:
        watch, pool = Watch(), Pool(2)
        pool.spawn(Job(60))
        values = pool.imap(Job(1), range(2))

        def rival() -> None:
            pool.spawn(Job(60))

        asking = coro.spawn(next, values)
        coro.yield_slice()
        coro.spawn(rival)
        assert asking.result() == 0
        elapsed = watch.seconds
        pool.shutdown()
        return elapsed

    assert run(main) == 1


def test_failure_of_imap_is_raised_in_its_turn_and_ends_it() -> None:
    steps: list[object] = []

    def work(number: int) -> int:
        if number == 1:
            raise KeyError("bad")
        if number == 2:
            with_clean_up(steps, 2)
        coro.sleep_relative(5)
        return number

    def main() -> float:
        watch, pool = Watch(), Pool(3)
        values = pool.imap(work, range(100))
        assert next(values) == 0
        with pytest.raises(KeyError, match="bad"):
            next(values)
        assert (list(values), len(pool), coro.get_live_coros()) == ([], 0, 1)
        return watch.seconds

    assert run(main) == 7
    assert steps == ["cleaned up"]


def test_failing_iterable_ends_imap() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    def main() -> None:
        values = Pool(3).imap(abs, items())
        with pytest.raises(LookupError, match="no more"):
            next(values)
        assert list(values) == []

    run(main)


def test_stop_iteration_in_a_call_does_not_end_imap_silently() -> None:
    def main() -> None:
        with pytest.raises(RuntimeError, match=r"the function of Pool\.imap\(\) raised StopIteration"):
            list(Pool(1).imap(next, [iter([])]))

    run(main)


def test_interrupt_of_who_asks_ends_imap_and_waits_for_the_threads(notified: list[BaseException]) -> None:
    in_clean_up = OSError("in clean-up")

    def work(number: int) -> None:
        try:
            coro.sleep_relative(60)
        finally:
            coro.sleep_relative(3)
            if number:
                raise in_clean_up

    def main() -> float:
        watch, me = Watch(), coro.current()
        for seconds in (1, 2):
            timers.arm(coro.get_now() + seconds * SECOND, lambda _: me.raise_exception(coro.WakeUp))
        values = Pool(2).imap(work, range(100))
        with pytest.raises(coro.WakeUp):
            next(values)
        assert (list(values), coro.get_live_coros(), watch.seconds) == ([], 2, 4)
        # The second interrupt was not lost.
        with pytest.raises(coro.WakeUp):
            coro.sleep_relative(60)
        coro.sleep_relative(1)
        return watch.seconds

    assert run(main) == 5
    assert notified == [in_clean_up]


def test_dropped_iterator_shuts_its_calls_down(notified: list[BaseException]) -> None:
    steps: list[object] = []
    failed, in_clean_up = KeyError("nobody asked"), OSError("in clean-up")

    def work(number: int) -> int:
        if number == 1:
            raise failed
        if number == 2:
            with_clean_up(steps, 2)
        if number == 3:
            try:
                coro.sleep_relative(60)
            finally:
                raise in_clean_up
        coro.sleep_relative(1)
        return number

    def main() -> float:
        watch, pool = Watch(), Pool(4)
        for value in pool.imap(work, range(100)):
            assert value == 0
            break
        assert watch.seconds == 1
        pool.close()
        coro.sleep_relative(1)
        return watch.seconds

    assert run(main) == 4
    assert steps == ["cleaned up"]
    assert sorted(map(str, notified)) == sorted(map(str, [failed, in_clean_up]))


def test_iterator_dropped_by_another_os_thread_shuts_its_calls_down() -> None:
    def main() -> float:
        watch, pool = Watch(), Pool(2)
        holder = [pool.imap(coro.sleep_relative, [1, 60])]
        next(holder[0])
        other = threading.Thread(target=holder.clear)
        other.start()
        other.join()
        pool.close()
        return watch.seconds

    assert run(main) == 1


def test_two_threads_cannot_ask_one_iterator_at_once() -> None:
    def main() -> list[int]:
        values = Pool(1).imap(Job(), range(3))
        other = coro.spawn(next, values)
        coro.yield_slice()
        with pytest.raises(coro.SimultaneousError) as caught:
            next(values)
        assert (caught.value.co, caught.value.other) == (coro.current(), other)
        return [other.result(), *values]

    assert run(main) == [0, 1, 2]


def test_imap_outside_the_loop_is_refused() -> None:
    values = Pool(1).imap(int, ["1"])
    with pytest.raises(coro.YieldFromMain, match=r"Pool\.imap\(\) needs a running loop"):
        next(values)
    assert run(lambda: list(values)) == [1]


# -- the end


def test_close_waits_and_refuses_newcomers() -> None:
    def main() -> float:
        watch, pool = Watch(), Pool(2)
        pool.spawn(Job(3))
        pool.close()
        for call in (pool.spawn, pool.submit):
            with pytest.raises(
                RuntimeError, match=r"<Pool, closed, 0 of 2 threads, 0 waiting> is closed: .* too late"
            ):
                call(int)
        with pytest.raises(RuntimeError, match="too late"):
            pool.map(int, ["1"])
        with pytest.raises(RuntimeError, match="too late"):
            next(pool.imap(int, ["1"]))
        pool.close()
        return watch.seconds

    assert run(main) == 3


@pytest.mark.parametrize("name", ["close", "shutdown"])
def test_end_refuses_those_who_wait_at_once(name: str) -> None:
    def main() -> tuple[list[float], int]:
        watch, pool, job = Watch(), Pool(1), Job(3)
        refused: list[float] = []
        steps: list[object] = []

        def client() -> None:
            with pytest.raises(RuntimeError, match=r"was closed while Pool\.submit\(\) waited for a place"):
                pool.submit(job)
            refused.append(watch.seconds)

        pool.spawn(with_clean_up, steps, 5)
        clients = [coro.spawn(client) for _ in range(3)]
        coro.sleep_relative(1)
        getattr(pool, name)()
        for thread in clients:
            thread.result()
        pool.close()
        return refused, job.begun

    assert run(main) == ([1] * 3, 0)


def test_close_at_the_moment_of_a_grant_refuses_too() -> None:
    def main() -> int:
        pool, job = Pool(1), Job()
        first = pool.spawn(job)
        waiter = coro.spawn(pool.spawn, job)
        waiter.observers += 1
        first.joiners.insert(0, coro.current())
        coro._yield()
        assert waiter.scheduled
        pool.close()
        with pytest.raises(RuntimeError, match="was closed while"):
            waiter.result()
        return job.begun

    assert run(main) == 1


def test_interrupted_close_shuts_the_threads_down_and_waits() -> None:
    steps: list[object] = []

    def main() -> float:
        watch, pool = Watch(), Pool(2)
        pool.spawn(with_clean_up, steps, 2)
        with pytest.raises(coro.TimeoutError):
            with_timeout(1, pool.close)
        return watch.seconds

    assert run(main) == 3
    assert steps == ["cleaned up"]


def test_block_that_raises_shuts_the_threads_down() -> None:
    steps: list[object] = []

    def main() -> float:
        watch = Watch()
        with pytest.raises(KeyError), Pool(2) as pool:
            pool.spawn(with_clean_up, steps, 2)
            coro.sleep_relative(1)
            raise KeyError
        return watch.seconds

    assert run(main) == 3
    assert steps == ["cleaned up"]


def test_shutdown_does_not_wait() -> None:
    steps: list[object] = []

    def main() -> float:
        watch, pool = Watch(), Pool(2)
        pool.spawn(with_clean_up, steps, 2)
        coro.sleep_relative(1)
        pool.shutdown()
        assert (watch.seconds, len(pool)) == (1, 1)
        pool.close()
        return watch.seconds

    assert run(main) == 3


def test_finaliser_that_the_collector_runs_cannot_wait_and_does_not_hang() -> None:
    raised: list[BaseException] = []

    class Circle:
        def __init__(self, pool: Pool) -> None:
            self.me = self
            self.pool = pool

        def __del__(self) -> None:
            try:
                self.pool.close()
            except BaseException as error:
                raised.append(error)

    def main() -> float:
        watch, pool, steps = Watch(), Pool(1), []
        pool.spawn(with_clean_up, steps, 2)
        coro.yield_slice()
        Circle(pool)
        gc.collect()
        pool.close()
        return watch.seconds

    assert run(main) == 2
    assert [type(error) for error in raised] == [coro.YieldFromMain]


def test_thread_of_the_pool_cannot_wait_for_its_own_end() -> None:
    def main() -> None:
        pool = Pool(1)
        with pytest.raises(coro.ScheduleError, match="a thread cannot wait for its own end"):
            pool.submit(pool.close).result()

    run(main)


def run_with_survivors(main: Callable[[], None]) -> None:
    """Run in a loop that does not wait long for threads that refuse to end."""
    former = coro.set_exit_grace(0.5)
    try:
        run(main)
    finally:
        coro.set_exit_grace(former)


def stubbornly(function: Callable[..., Any], *args: Any) -> None:
    while True:
        try:
            function(*args)
        except coro.Shutdown:
            pass


@pytest.mark.parametrize("waiters", [0, 1])
def test_threads_that_the_exit_abandoned_hold_no_places(waiters: int) -> None:
    pool = Pool(1)

    def main() -> None:
        pool.spawn(stubbornly, coro.sleep_relative, 60)
        for _ in range(waiters):
            coro.spawn(stubbornly, pool.spawn, int)
        coro.yield_slice()

    run_with_survivors(main)
    assert (len(pool), len(pool._waiters)) == (1, waiters)
    assert run(lambda: pool.map(abs, [-1, -2])) == [1, 2]
    assert (len(pool), len(pool._waiters)) == (0, 0)


def test_close_does_not_wait_for_threads_that_the_exit_abandoned() -> None:
    pool = Pool(1)
    run_with_survivors(lambda: (pool.spawn(stubbornly, coro.sleep_relative, 60), coro.yield_slice())[0])

    run(pool.close)

    assert len(pool) == 0


def test_after_a_fork_the_places_of_the_other_threads_are_free() -> None:
    def main() -> int:
        pool = Pool(2)
        first = pool.spawn(Job())
        pool.spawn(Job(5))
        waiter = coro.spawn(pool.spawn, Job())
        coro.yield_slice()
        first.joiners.insert(0, coro.current())
        coro._yield()
        # One place is held by a thread, the other is granted to a thread that has not run yet.
        assert (len(pool), waiter.scheduled) == (1, True)
        pid = coro.fork()
        if not pid:
            status = 1
            try:
                with timeout(1):
                    pool.spawn(Job(5))
                    pool.spawn(Job(5))
                status = 42
            finally:
                os._exit(status)
        waiter.shutdown()
        pool.shutdown()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert run(main) == 42


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, ValueError, "a pool's size must be 1 or more, got 0"),
        (-3, ValueError, "a pool's size must be 1 or more, got -3"),
        ("3", TypeError, "a pool's size must be an int, got '3'"),
        (2.5, TypeError, r"a pool's size must be an int, got 2\.5"),
        (True, TypeError, "a pool's size must be an int, got True"),
        (None, TypeError, "a pool's size must be an int, got None"),
    ],
)
def test_bad_size_is_refused(size: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Pool(size)


def test_thousands_of_jobs_through_a_few_places() -> None:
    def main() -> tuple[int, int]:
        job = Job(0.001)
        return sum(Pool(10).map(job, range(5000))), job.largest

    assert run(main) == (sum(range(5000)), 10)
