"""Calls from where no thread can be parked: a foreign OS thread, a greenlet of the user's own, a finaliser."""

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import greenlet
import pytest

import coro
from coro import testing
from coro.scheduler import scheduler


def in_os_thread(function: Callable[[], Any]) -> Any:
    """Call the function in an OS thread of its own; returns its value, or the exception that it raised."""
    outcome: list[Any] = []

    def body() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    os_thread = threading.Thread(target=body)
    os_thread.start()
    # coro threads go on meanwhile, so that the call is made while the loop polls, too.
    while os_thread.is_alive():
        if coro.coro_is_running():
            coro.sleep_relative(0.001)
    os_thread.join()
    return outcome[0]


def wait_for_a_pipe() -> None:
    """Wait for a descriptor that never becomes ready."""
    read_end, write_end = os.pipe()
    try:
        coro.wait_for_read(read_end)
    finally:
        os.close(read_end)
        os.close(write_end)


# -- a foreign OS thread


CALLS: dict[str, Callable[[coro.coro, coro.coro], Any]] = {
    "spawn": lambda unstarted, waiting: coro.spawn(int),
    "schedule": lambda unstarted, waiting: coro.schedule(waiting),
    "coro.schedule": lambda unstarted, waiting: waiting.schedule(),
    "start": lambda unstarted, waiting: unstarted.start(),
    "raise_exception": lambda unstarted, waiting: waiting.raise_exception(KeyError),
    "shutdown": lambda unstarted, waiting: waiting.shutdown(),
    "shutdown, not started": lambda unstarted, waiting: unstarted.shutdown(),
    "join": lambda unstarted, waiting: waiting.join(),
    "join with timeout": lambda unstarted, waiting: waiting.join(1),
    "result": lambda unstarted, waiting: waiting.result(),
    "yield_slice": lambda unstarted, waiting: coro.yield_slice(),
    "_yield": lambda unstarted, waiting: coro._yield(),
    "sleep_relative": lambda unstarted, waiting: coro.sleep_relative(1),
    "sleep_relative(0)": lambda unstarted, waiting: coro.sleep_relative(0),
    "sleep_absolute": lambda unstarted, waiting: coro.sleep_absolute(0),
    "wait_for_read": lambda unstarted, waiting: wait_for_a_pipe(),
}


@pytest.mark.parametrize("moment", ["the loop polls", "a thread runs"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_call_from_a_foreign_os_thread_is_refused_and_names_what_is_safe(
    call: Callable[[coro.coro, coro.coro], Any], moment: str
) -> None:
    def main() -> None:
        unstarted, waiting = coro.new(int), coro.spawn(coro._yield)
        coro.yield_slice()
        count = coro.get_live_coros()
        if moment == "the loop polls":
            error = in_os_thread(lambda: call(unstarted, waiting))
        else:
            outcome: list[Any] = []

            def body() -> None:
                try:
                    outcome.append(call(unstarted, waiting))
                except BaseException as error:
                    outcome.append(error)

            # This thread keeps running: the loop gets no turn before the call was made.
            os_thread = threading.Thread(target=body)
            os_thread.start()
            os_thread.join()
            error = outcome[0]
        assert isinstance(error, coro.YieldFromMain), error
        for name in (
            "schedule_from_os_thread()",
            "call_from_os_thread()",
            "set_exit()",
            str(threading.get_ident()),
        ):
            assert name in str(error)
        assert coro.get_live_coros() == count
        assert (unstarted.scheduled, waiting.scheduled) == (False, False)
        coro.sleep_relative(0.001)
        assert not waiting.dead

    coro.run(main)


def test_shutdown_of_the_running_thread_from_a_foreign_os_thread_is_refused() -> None:
    def main() -> None:
        me = coro.current()
        outcome: list[BaseException] = []

        def body() -> None:
            try:
                me.shutdown()
            except BaseException as error:
                outcome.append(error)

        os_thread = threading.Thread(target=body)
        os_thread.start()
        os_thread.join()
        assert [type(error) for error in outcome] == [coro.YieldFromMain]
        coro.yield_slice()

    coro.run(main)


def test_looking_and_set_exit_are_safe_in_a_foreign_os_thread() -> None:
    def look() -> tuple[Any, ...]:
        return coro.current().name, coro.coro_is_running(), coro.get_live_coros(), coro.get_now() > 0

    def main() -> None:
        assert in_os_thread(look) == ("main/scheduler", True, 1, True)
        in_os_thread(lambda: coro.set_exit(6))
        coro.sleep_relative(1000)

    with pytest.raises(SystemExit) as caught:
        coro.run(main)
    assert caught.value.code == 6


def test_os_threads_may_use_coro_when_no_loop_runs() -> None:
    ran: list[str] = []

    thread = in_os_thread(lambda: coro.spawn(ran.append, "ran"))

    coro.run(coro.yield_slice)
    assert thread.dead
    assert ran == ["ran"]


# -- a greenlet of the user's own


BLOCKING: dict[str, Callable[[coro.coro], Any]] = {
    "yield_slice": lambda thread: coro.yield_slice(),
    "_yield": lambda thread: coro._yield(),
    "sleep_relative": lambda thread: coro.sleep_relative(1),
    "sleep_relative(0)": lambda thread: coro.sleep_relative(0),
    "sleep_absolute": lambda thread: coro.sleep_absolute(coro.get_now() + 1),
    "join": lambda thread: thread.join(),
    "join with timeout": lambda thread: thread.join(1),
    "result": lambda thread: thread.result(),
    "wait_for_read": lambda thread: wait_for_a_pipe(),
}


@pytest.mark.parametrize("call", BLOCKING.values(), ids=BLOCKING.keys())
def test_users_own_greenlet_cannot_block_and_its_thread_can(call: Callable[[coro.coro], Any]) -> None:
    def main() -> str:
        sleeper = coro.spawn(coro.sleep_relative, 1)
        coro.yield_slice()

        def inner() -> str:
            with pytest.raises(coro.YieldFromMain, match=r"greenlet of your own inside <coro .*main") as caught:
                call(sleeper)
            assert "only the thread itself can block" in str(caught.value)
            return "back"

        assert greenlet.greenlet(inner).switch() == "back"
        sleeper.join()
        return "value"

    assert testing.run(main) == "value"


def test_users_own_greenlet_may_do_what_does_not_block() -> None:
    def main() -> None:
        me, waiting = coro.current(), coro.spawn(coro._yield)
        coro.yield_slice()

        def inner() -> coro.coro:
            assert coro.current() is me
            waiting.schedule("value")
            return coro.spawn(lambda: "spawned")

        assert greenlet.greenlet(inner).switch().result() == "spawned"
        assert waiting.result() == "value"

    testing.run(main, real_descriptors=False)


def test_generators_built_of_greenlets_work_inside_a_thread() -> None:
    def main() -> None:
        def produce() -> str:
            parent = greenlet.getcurrent().parent
            assert parent is not None
            for number in range(3):
                parent.switch(number)
            return "end"

        producer = greenlet.greenlet(produce)
        got = []
        while not producer.dead:
            got.append(producer.switch())
            coro.sleep_relative(1)
        assert got == [0, 1, 2, "end"]

    testing.run(main, real_descriptors=False)


# -- a finaliser


@contextmanager
def unraisable() -> Iterator[list[BaseException]]:
    """What finalisers raise in here."""
    errors: list[BaseException] = []

    def note(event: Any) -> None:
        # Its traceback would keep alive what shall be collected.
        errors.append(event.exc_value.with_traceback(None))

    former, sys.unraisablehook = sys.unraisablehook, note
    # What earlier tests left is none of this one's.
    gc.collect()
    errors.clear()
    gc.disable()
    try:
        yield errors
    finally:
        # What is left may fail when it is finalised, which must not hit another test.
        seen = list(errors)
        gc.collect()
        errors[:] = seen
        gc.enable()
        sys.unraisablehook = former


class Finalised:
    """Calls something when it dies."""

    def __init__(self, call: Callable[[], Any], *, cycle: bool) -> None:
        self.call = call
        # Only the collector can find this one.
        self.self = self if cycle else None

    def __del__(self) -> None:
        self.call()


@pytest.mark.parametrize("call", BLOCKING.values(), ids=BLOCKING.keys())
def test_switch_in_a_finaliser_that_the_collector_runs_is_a_clear_error(call: Callable[[coro.coro], Any]) -> None:
    def main() -> list[Any]:
        sleeper = coro.spawn(coro.sleep_relative, 5)
        coro.yield_slice()
        begin = coro.get_now()
        Finalised(lambda: call(sleeper), cycle=True)
        gc.collect()
        # Nothing is lost: neither this thread's place nor the other's wait.
        coro.yield_slice()
        coro.sleep_relative(1)
        assert coro.get_now() - begin == coro.ticks_per_sec
        sleeper.join()
        assert coro.get_now() - begin == 5 * coro.ticks_per_sec
        return list(errors)

    with unraisable() as errors:
        seen = testing.run(main)
    assert [type(error) for error in seen] == [coro.YieldFromMain]
    message = str(seen[0])
    assert "main" in message
    assert "cannot block here: the garbage collector is running a finaliser" in message
    assert "spawn() a thread" in message


def test_finaliser_that_the_collector_runs_may_spawn_a_thread() -> None:
    def main() -> None:
        ran: list[str] = []
        Finalised(lambda: coro.spawn(lambda: (coro.sleep_relative(1), ran.append("ran"))), cycle=True)
        gc.collect()
        coro.sleep_relative(2)
        assert ran == ["ran"]

    with unraisable() as errors:
        testing.run(main, real_descriptors=False)
    assert errors == []


def test_collection_in_the_middle_of_a_switch_loses_nothing() -> None:
    """The collector may start at any allocation, also at one of the runtime's own."""

    def main() -> int:
        def work() -> None:
            for _ in range(50):
                Finalised(coro.yield_slice, cycle=True)
                coro.sleep_relative(1)
                coro.spawn(Finalised, coro.yield_slice, cycle=True).join()

        threads = [coro.spawn(work) for _ in range(10)]
        for thread in threads:
            thread.result()
        return len(errors)

    with unraisable() as errors:
        former = gc.get_threshold()
        gc.enable()
        gc.set_threshold(7)
        try:
            refused = testing.run(main, real_descriptors=False)
        finally:
            gc.set_threshold(*former)
    assert refused > 0
    assert {type(error) for error in errors} == {coro.YieldFromMain}


def test_switch_in_a_finaliser_that_a_last_reference_runs_works() -> None:
    def main() -> None:
        seen: list[Any] = []

        def close_politely() -> None:
            begin = coro.get_now()
            coro.sleep_relative(1)
            seen.append(coro.get_now() - begin)

        thing: Finalised | None = Finalised(close_politely, cycle=False)
        thing = None
        assert seen == [coro.ticks_per_sec]
        # Also of what a thread leaves behind when it ends, and of its arguments.
        assert thing is None
        coro.spawn(lambda local: None, Finalised(close_politely, cycle=False)).join()
        assert seen == [coro.ticks_per_sec] * 2

        def leave_a_local() -> None:
            local = Finalised(close_politely, cycle=False)
            assert local is not None

        coro.spawn(leave_a_local).join()
        assert seen == [coro.ticks_per_sec] * 3

    with unraisable() as errors:
        testing.run(main, real_descriptors=False)
    assert errors == []


def test_collection_in_a_foreign_os_thread_hinders_nobody() -> None:
    """Its finalisers may let other OS threads run, and the loop's among them."""

    def main() -> int:
        collecting, done = threading.Event(), threading.Event()

        def wait() -> None:
            collecting.set()
            done.wait(20)

        def foreign() -> None:
            Finalised(wait, cycle=True)
            gc.collect()

        os_thread = threading.Thread(target=foreign)
        os_thread.start()
        turns = 0
        while not collecting.is_set():
            time.sleep(0.001)
        for _ in range(100):
            coro.yield_slice()
            coro.sleep_relative(0)
            turns += 1
        coro.sleep_relative(0.001)
        assert os_thread.is_alive()
        done.set()
        os_thread.join()
        return turns

    with unraisable() as errors:
        assert coro.run(main) == 100
    assert errors == []


def test_runtime_watches_the_collector_only_while_a_loop_runs() -> None:
    def watchers() -> list[str]:
        names = [getattr(callback, "__module__", "") for callback in gc.callbacks]
        return [name for name in names if name.startswith("coro.")]

    assert watchers() == []
    assert coro.run(watchers) == ["coro.collector"]
    assert watchers() == []
    coro.run(gc.collect)
    assert scheduler.collecting is False
