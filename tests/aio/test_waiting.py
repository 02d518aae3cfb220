"""coro.aio.wait(): a thread waits for a future of somebody else's loop."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import pytest

import coro
import coro.aio
from coro import testing

SECOND = coro.ticks_per_sec


def beside(program: Callable[[dict[str, Any]], Any], body: Callable[[dict[str, Any]], Any]) -> Any:
    """Run `program`, which puts what it has into a dictionary, in a thread, and `body` in another."""

    def main() -> Any:
        shared: dict[str, Any] = {}
        thread = coro.spawn(coro.aio.run, program(shared))
        coro.sleep_relative(1)
        try:
            return body(shared)
        finally:
            thread.shutdown()

    return testing.run(main)


async def one_task(shared: dict[str, Any], *, seconds: float = 10, error: BaseException | None = None) -> None:
    async def work() -> str:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error
        return "worked"

    shared["task"] = asyncio.create_task(work())
    await asyncio.wait([shared["task"]])


def test_the_value_of_a_task_of_another_threads_loop() -> None:
    def body(shared: dict[str, Any]) -> None:
        begin = coro.get_now()
        assert coro.aio.wait(shared["task"]) == "worked"
        assert coro.get_now() - begin == pytest.approx(9 * SECOND, rel=0.01)
        # And once more, at once.
        assert coro.aio.wait(shared["task"]) == "worked"

    beside(one_task, body)


def test_its_exception_is_raised() -> None:
    def body(shared: dict[str, Any]) -> None:
        with pytest.raises(LookupError, match="lost"):
            coro.aio.wait(shared["task"])

    beside(lambda shared: one_task(shared, error=LookupError("lost")), body)


def test_a_cancelled_task_raises_cancelled_error() -> None:
    def body(shared: dict[str, Any]) -> None:
        shared["task"].get_loop().call_soon_threadsafe(shared["task"].cancel)
        with pytest.raises(asyncio.CancelledError):
            coro.aio.wait(shared["task"])

    beside(one_task, body)


def test_a_timeout_leaves_the_task_alone() -> None:
    def body(shared: dict[str, Any]) -> None:
        with pytest.raises(coro.TimeoutError):
            coro.aio.wait(shared["task"], 2)
        assert coro.aio.wait(shared["task"], 100) == "worked"

    beside(one_task, body)


def test_an_interrupted_waiter_leaves_nothing_behind_and_the_task_alone() -> None:
    def body(shared: dict[str, Any]) -> None:
        before = len(shared["task"]._callbacks)
        waiter = coro.spawn(coro.aio.wait, shared["task"])
        coro.sleep_relative(1)
        assert len(shared["task"]._callbacks) == before + 1
        waiter.raise_exception(KeyError("out"))
        with pytest.raises(KeyError):
            waiter.result()
        assert len(shared["task"]._callbacks) == before
        assert not shared["task"].get_loop().at_close
        assert coro.aio.wait(shared["task"]) == "worked"

    beside(one_task, body)


def test_whoever_schedules_the_waiter_does_not_end_the_wait() -> None:
    def body(shared: dict[str, Any]) -> None:
        waiter = coro.spawn(coro.aio.wait, shared["task"])
        coro.sleep_relative(1)
        waiter.schedule("no result")
        assert waiter.result() == "worked"

    beside(one_task, body)


def test_many_threads_wait_for_one_task() -> None:
    def body(shared: dict[str, Any]) -> None:
        waiters = [coro.spawn(coro.aio.wait, shared["task"]) for _ in range(20)]
        assert [waiter.result() for waiter in waiters] == ["worked"] * 20

    beside(one_task, body)


def test_a_future_whose_loop_is_closed_raises_instead_of_waiting_for_ever() -> None:
    async def program(shared: dict[str, Any]) -> None:
        shared["future"] = asyncio.get_running_loop().create_future()
        await asyncio.sleep(5)

    def body(shared: dict[str, Any]) -> None:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="will never be done: its asyncio loop is closed"):
                coro.aio.wait(shared["future"])

    beside(program, body)


def test_a_task_is_told_to_await_instead() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(RuntimeError, match="would block the asyncio loop that called it; await"):
            coro.aio.wait(future)

    testing.run(coro.aio.run, main())


@pytest.mark.parametrize("wrong", [None, 5, "future", asyncio.sleep])
def test_what_is_no_future_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="needs a future or a task, got"):
        testing.run(coro.aio.wait, wrong)


def test_outside_a_thread_it_is_refused() -> None:
    future: concurrent.futures.Future[None] = concurrent.futures.Future()
    with pytest.raises(coro.YieldFromMain, match=r"coro.aio.wait\(\) needs a running loop"):
        coro.aio.wait(future)


def test_a_coroutine_handed_to_the_loop_of_another_thread() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(1)
        return 2 * number

    async def program(shared: dict[str, Any]) -> None:
        shared["loop"] = asyncio.get_running_loop()
        await asyncio.sleep(1000)

    def body(shared: dict[str, Any]) -> None:
        futures = [asyncio.run_coroutine_threadsafe(work(number), shared["loop"]) for number in range(5)]
        assert [coro.aio.wait(future) for future in futures] == [0, 2, 4, 6, 8]

    beside(program, body)


def test_a_future_of_an_executor_of_os_threads() -> None:
    release = threading.Event()

    def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            future = executor.submit(release.wait)
            with pytest.raises(coro.TimeoutError):
                coro.aio.wait(future, 0.01)
            release.set()
            assert coro.aio.wait(future, 30) is True
            assert coro.aio.wait(future) is True

    coro.run(main)


def test_who_stops_waiting_for_a_future_of_an_executor_leaves_nothing_behind() -> None:
    def main() -> None:
        future: concurrent.futures.Future[int] = concurrent.futures.Future()
        waiter = coro.spawn(coro.aio.wait, future)
        for _ in range(10):
            with pytest.raises(coro.TimeoutError):
                coro.aio.wait(future, 1)
        waiting = len(future._done_callbacks)
        future.set_result(1)
        assert (waiting, waiter.result()) == (1, 1)

    testing.run(main)


def test_a_future_of_a_loop_in_another_os_thread() -> None:
    def main() -> None:
        loop = asyncio.new_event_loop()
        os_thread = threading.Thread(target=loop.run_forever)
        os_thread.start()
        try:
            future = loop.create_future()
            with pytest.raises(coro.TimeoutError):
                coro.aio.wait(future, 0.01)
            loop.call_soon_threadsafe(loop.call_later, 0.01, future.set_result, "from there")
            assert coro.aio.wait(future, 30) == "from there"
        finally:
            loop.call_soon_threadsafe(loop.stop)
            coro.in_os_thread(os_thread.join)
            loop.close()

    coro.run(main)
