"""The middle of a task's step: a lock of an emulated `threading` may be waited for there, and nothing else."""

import asyncio
import sys

import pytest

import coro
import coro.aio
from coro import testing
from coro.guests import current_step


def test_outside_a_step_there_is_none() -> None:
    def thread() -> bool:
        return current_step() is None

    async def main() -> bool:
        assert await coro.aio.in_thread(thread)
        return current_step() is not None

    assert current_step() is None
    assert testing.run(coro.aio.run, main())


def test_while_a_step_is_suspended_other_threads_run_and_see_nothing_of_it() -> None:
    seen: list[object] = []

    async def other() -> str:
        await asyncio.sleep(1)
        return asyncio.current_task().get_name()  # type: ignore[union-attr]

    def thread() -> None:
        seen.append((asyncio._get_running_loop(), tuple(sys.get_asyncgen_hooks())))
        seen.append(coro.aio.run(other()))

    async def main() -> None:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        each = coro.spawn(thread)
        step = current_step()
        assert step is not None
        with step.suspended():
            each.join()
        assert asyncio.current_task() is task
        assert asyncio.get_running_loop() is loop
        assert sys.get_asyncgen_hooks() == hooks
        with pytest.raises(coro.YieldFromMain):
            coro.sleep_relative(1)
        await asyncio.sleep(1)

    testing.run(coro.aio.run, main())

    assert seen[0] == (None, (None, None))
    assert str(seen[1]).startswith("Task-")


def test_interrupts_wait_for_the_end_of_a_step_that_is_suspended() -> None:
    seen: list[str] = []

    async def main() -> None:
        step = current_step()
        assert step is not None
        try:
            with step.suspended():
                coro.sleep_relative(10)
            seen.append("step ended")
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    def body() -> None:
        thread = coro.spawn(coro.aio.run, main())
        coro.sleep_relative(1)
        thread.raise_exception(LookupError("waited"))
        with pytest.raises(LookupError, match="waited"):
            thread.result()

    testing.run(body)

    assert seen == ["step ended", "cancelled"]


def test_a_timeout_around_the_run_waits_for_the_end_of_the_step_too() -> None:
    seen: list[str] = []

    async def main() -> None:
        step = current_step()
        assert step is not None
        with step.suspended():
            coro.sleep_relative(10)
        seen.append("step ended")
        await asyncio.sleep(1000)

    def body() -> None:
        with pytest.raises(coro.TimeoutError), coro.timeout(1):
            coro.aio.run(main())

    testing.run(body)

    assert seen == ["step ended"]


def test_what_wakes_the_loop_while_a_step_is_suspended_is_not_lost() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def thread() -> None:
            loop.call_soon_threadsafe(future.set_result, "heard")

        step = current_step()
        assert step is not None
        coro.spawn(thread)
        with step.suspended():
            coro.sleep_relative(1)
        return str(await future)

    assert testing.run(coro.aio.run, main()) == "heard"
