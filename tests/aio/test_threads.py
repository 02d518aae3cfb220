"""coro.aio.in_thread(): a task has a thread do what blocks."""

import asyncio
import contextvars
from typing import Any

import pytest

import coro
import coro.aio
from coro import testing

SECOND = coro.ticks_per_sec


def test_the_value_of_what_blocks() -> None:
    def blocking(number: int, *, factor: int) -> int:
        coro.sleep_relative(10)
        return number * factor

    async def main() -> list[int]:
        return await asyncio.gather(*[coro.aio.in_thread(blocking, number, factor=2) for number in range(3)])

    def timed() -> tuple[list[int], int]:
        begin = coro.get_now()
        return coro.aio.run(main()), coro.get_now() - begin

    values, took = testing.run(timed)

    assert values == [0, 2, 4]
    assert took == pytest.approx(10 * SECOND, rel=0.01)


def test_its_error_is_raised_and_not_notified() -> None:
    notified: list[BaseException] = []

    def blocking() -> None:
        coro.sleep_relative(1)
        raise LookupError("lost")

    async def main() -> None:
        with pytest.raises(LookupError, match="lost"):
            await coro.aio.in_thread(blocking)

    def body() -> None:
        former = coro.set_exception_notifier(lambda *arguments: notified.append(arguments[1]))
        try:
            coro.aio.run(main())
        finally:
            coro.set_exception_notifier(former)

    testing.run(body)

    assert not notified


def test_what_does_not_block_at_all() -> None:
    async def main() -> int:
        return await coro.aio.in_thread(int, "5")

    assert testing.run(coro.aio.run, main()) == 5


def test_a_cancelled_task_shuts_the_thread_down_and_waits_for_its_clean_up() -> None:
    seen: list[Any] = []

    def blocking() -> None:
        try:
            coro.sleep_relative(1000)
        except coro.Shutdown:
            seen.append("shut down")
            raise
        finally:
            coro.sleep_relative(5)
            seen.append("cleaned up")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await coro.aio.in_thread(blocking)
        seen.append("timed out")

    testing.run(coro.aio.run, main())

    assert seen == ["shut down", "cleaned up", "timed out"]


def test_a_thread_that_ignores_its_shutdown_gets_another_with_each_cancellation() -> None:
    seen: list[str] = []

    def stubborn() -> None:
        for _ in range(2):
            try:
                coro.sleep_relative(1000)
            except coro.Shutdown:
                seen.append("ignored")
        coro.sleep_relative(1)

    async def main() -> None:
        task = asyncio.create_task(coro.aio.in_thread(stubborn))
        for _ in range(2):
            await asyncio.sleep(1)
            assert not task.done()
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    testing.run(coro.aio.run, main())

    assert seen == ["ignored"] * 2


def test_a_failure_after_the_cancellation_is_notified() -> None:
    notified: list[BaseException] = []

    def blocking() -> None:
        try:
            coro.sleep_relative(1000)
        finally:
            raise LookupError("in the clean-up")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await coro.aio.in_thread(blocking)
        await asyncio.sleep(1)

    def body() -> None:
        former = coro.set_exception_notifier(lambda *arguments: notified.append(arguments[1]))
        try:
            coro.aio.run(main())
        finally:
            coro.set_exception_notifier(former)

    testing.run(body)

    assert len(notified) == 1


def test_a_thread_that_others_shut_down_is_an_error_and_no_cancellation() -> None:
    def blocking() -> None:
        coro.current().set_name("victim")
        coro.sleep_relative(1000)

    async def main() -> None:
        task = asyncio.create_task(coro.aio.in_thread(blocking))
        await asyncio.sleep(1)
        (victim,) = [thread for thread in coro.all_threads.values() if thread.name == "victim"]
        victim.shutdown()
        with pytest.raises(coro.DeadCoroutine):
            await task

    testing.run(coro.aio.run, main())


def test_it_runs_in_a_copy_of_the_tasks_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    def blocking() -> str:
        value = variable.get()
        variable.set("the thread's")
        return value

    async def main() -> tuple[str, str]:
        variable.set("the task's")
        return await coro.aio.in_thread(blocking), variable.get()

    assert testing.run(coro.aio.run, main()) == ("the task's", "the task's")


def test_what_cannot_be_called_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="needs a function to call, got 5"):
            await coro.aio.in_thread(5)  # type: ignore[arg-type]

    testing.run(coro.aio.run, main())


def test_a_loop_that_is_not_ours_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"needs a loop of coro\.aio\.run"):
            await coro.aio.in_thread(int)

    asyncio.run(main())
