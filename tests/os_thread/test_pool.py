"""The pool of OS threads: its size, its order, its end."""

import threading
from typing import Any

import pytest

import coro
from coro.loop import loop
from coro.os_thread import (
    OSThreadPool,
    default_pool,
    in_os_thread,
    set_os_threads,
)
from tests.os_thread.waiting import LIMIT_S, interrupt_begun, wait_until


def test_no_more_calls_at_a_time_than_the_pool_has_os_threads_first_come_first_served(
    gate: threading.Event,
) -> None:
    begun: list[int] = []
    pool = OSThreadPool(2)

    def work(number: int) -> int:
        begun.append(number)
        gate.wait(LIMIT_S)
        return number

    def main() -> list[int]:
        threads = [coro.spawn(pool.call, work, number) for number in range(6)]
        wait_until(lambda: len(begun) == 2)
        assert "2 of 2, 0 idle, 4 calls queued" in repr(pool)
        gate.set()
        return [thread.result() for thread in threads]

    with pool:
        assert coro.run(main) == list(range(6))
    # Two begin at a time, so neighbours may change places.
    assert all(abs(number - place) <= 1 for place, number in enumerate(begun))


def test_calls_of_one_os_thread_begin_in_order() -> None:
    begun: list[int] = []
    with OSThreadPool(1) as pool:

        def main() -> None:
            threads = [coro.spawn(pool.call, begun.append, number) for number in range(50)]
            for thread in threads:
                thread.join()

        coro.run(main)

    assert begun == list(range(50))


def test_pool_that_grows_begins_what_was_queued_and_one_that_shrinks_ends_the_surplus(
    gate: threading.Event,
) -> None:
    begun: list[int] = []
    pool = OSThreadPool(1, idle_s=LIMIT_S)

    def work(number: int) -> None:
        begun.append(number)
        gate.wait(LIMIT_S)

    def main() -> None:
        threads = [coro.spawn(pool.call, work, number) for number in range(4)]
        wait_until(lambda: begun == [0])
        pool.size = 3
        wait_until(lambda: len(begun) == 3)
        pool.size = 1
        gate.set()
        for thread in threads:
            thread.join()
        wait_until(lambda: "1 of 1, 1 idle" in repr(pool))

    with pool:
        coro.run(main)


def test_pool_that_does_not_report_late_failures_drops_them(
    gate: threading.Event, notified: list[tuple[str, BaseException]]
) -> None:
    with OSThreadPool(1, report_late_failures=False) as pool:

        def main() -> None:
            interrupt_begun(pool.call, lambda: gate.wait(LIMIT_S) and 1 / 0)
            coro.yield_slice()
            gate.set()
            # The next call on the only OS thread comes after the failure.
            pool.call(int)
            coro.sleep_relative(0.005)

        coro.run(main)

    assert notified == []


@pytest.mark.parametrize("wrong", [0, -1, 1001])
def test_size_out_of_range_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match=f"must be 1 to 1000, got {wrong}"):
        set_os_threads(wrong)
    with pytest.raises(ValueError, match=f"must be 1 to 1000, got {wrong}"):
        OSThreadPool(wrong)


@pytest.mark.parametrize("wrong", [None, "20", 2.0, True])
def test_size_that_is_no_int_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="must be an int"):
        set_os_threads(wrong)


def test_set_os_threads_returns_the_old_number() -> None:
    assert set_os_threads(3) == 20
    assert set_os_threads(20) == 3


def test_caller_learns_that_the_system_gives_no_os_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise RuntimeError("can't start new thread")

    def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr("coro.os_thread.pool.start_new_thread", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                in_os_thread(int)
            assert loop.outside_calls == 0
        assert in_os_thread(int) == 0

    coro.run(main)


def test_call_waits_for_the_os_threads_that_there_are_when_the_system_gives_no_more(
    monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    def refuse(*args: Any) -> None:
        raise RuntimeError("can't start new thread")

    def main() -> Any:
        first = coro.spawn(in_os_thread, gate.wait, LIMIT_S)
        wait_until(lambda: first.waiting_on is not None)
        with monkeypatch.context() as patch:
            patch.setattr("coro.os_thread.pool.start_new_thread", refuse)
            second = coro.spawn(in_os_thread, int, "2")
            coro.yield_slice()
        assert "1 of 20, 0 idle, 1 calls queued" in repr(default_pool)
        gate.set()
        return second.result()

    assert coro.run(main) == 2


def test_idle_os_thread_ends_after_a_while() -> None:
    pool = OSThreadPool(idle_s=0.02)

    def main() -> None:
        pool.call(int)
        wait_until(lambda: "0 of 20" in repr(pool))
        assert pool.call(int, "3") == 3

    coro.run(main)
    pool.close()


def test_closed_pool_serves_what_it_has_and_takes_no_more(gate: threading.Event) -> None:
    pool = OSThreadPool(1, name="mine")

    def main() -> list[Any]:
        threads = [coro.spawn(pool.call, gate.wait, LIMIT_S), coro.spawn(pool.call, str, 1)]
        wait_until(lambda: "1 calls queued" in repr(pool))
        with pool:
            pass
        with pytest.raises(RuntimeError, match=r"'mine'.* is closed"):
            pool.call(int)
        gate.set()
        values = [thread.result() for thread in threads]
        wait_until(lambda: "0 of 1" in repr(pool))
        return values

    assert coro.run(main) == [True, "1"]


def test_calls_are_traced_and_profiled_as_those_of_threading_thread() -> None:
    traced: list[str] = []

    def trace(frame: Any, event: str, argument: object) -> None:
        traced.append(f"trace {frame.f_code.co_name}")

    def profile(frame: Any, event: str, argument: object) -> None:
        traced.append(f"profile {frame.f_code.co_name}")

    def work() -> None:
        pass

    former_trace, former_profile = threading.gettrace(), threading.getprofile()
    threading.settrace(trace)
    threading.setprofile(profile)
    try:
        with OSThreadPool() as pool:
            coro.run(lambda: pool.call(work))
    finally:
        threading.settrace(former_trace)
        threading.setprofile(former_profile)

    assert "trace work" in traced
    assert "profile work" in traced
