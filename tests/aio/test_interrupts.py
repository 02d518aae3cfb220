"""Cancellation both ways: what interrupts a thread cancels its main task, and leaves in the end."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import pytest

import coro
import coro.aio
from coro import testing
from tests.aio.spy import Spy

SECOND = coro.ticks_per_sec


def interrupt_after(seconds: float, *exceptions: BaseException, main: Coroutine[Any, Any, Any]) -> Any:
    """Run main in a thread, and interrupt it, once after each `seconds`."""
    thread = coro.spawn(coro.aio.run, main)
    for exception in exceptions:
        coro.sleep_relative(seconds)
        thread.raise_exception(exception)
    with contextlib.suppress(coro.DeadCoroutine):
        return thread.result()


def test_an_interrupt_cancels_the_main_task_and_is_raised_when_it_has_cleaned_up() -> None:
    spy = Spy()

    async def main() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError as error:
            spy(str(error))
            raise
        finally:
            await asyncio.sleep(5)
            spy(coro.get_now())

    def body() -> None:
        spy(coro.get_now())
        with pytest.raises(ZeroDivisionError):
            interrupt_after(1, ZeroDivisionError(), main=main())

    testing.run(body)

    begin, message, end = spy.seen
    assert "was interrupted by ZeroDivisionError()" in message
    assert end - begin == pytest.approx(6 * SECOND, rel=0.01)


def test_a_timeout_around_it_becomes_a_timeout_error_after_the_clean_up() -> None:
    spy = Spy()

    async def main() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(5)
            spy("cleaned up")

    def body() -> None:
        with pytest.raises(coro.TimeoutError), coro.timeout(1):
            coro.aio.run(main())
        with pytest.raises(coro.TimeoutError):
            coro.with_timeout(1, coro.aio.run, main())

    testing.run(body)

    assert spy.seen == ["cleaned up"] * 2


def test_shutdown_ends_the_thread_silently_after_the_clean_up() -> None:
    spy = Spy()

    async def main() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            spy("cleaned up")

    def body() -> None:
        thread = coro.spawn(coro.aio.run, main())
        coro.sleep_relative(1)
        thread.shutdown()
        thread.join()
        assert isinstance(thread.error, coro.Shutdown)

    testing.run(body)

    assert spy.seen == ["cleaned up"]


def test_the_end_of_the_loop_gives_tasks_the_time_to_clean_up() -> None:
    spy = Spy()

    async def main() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            spy("cleaned up")

    def body() -> None:
        coro.spawn(coro.aio.run, main())
        coro.sleep_relative(1)

    testing.run(body)

    assert spy.seen == ["cleaned up"]


def test_a_task_that_swallows_its_cancellation_is_cancelled_by_the_next_interrupt() -> None:
    spy = Spy()

    async def main() -> str:
        for _ in range(3):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                spy("cancelled")
        return "done at last"

    def body() -> None:
        with pytest.raises(LookupError, match="1"):
            interrupt_after(1, LookupError("1"), LookupError("2"), LookupError("3"), main=main())

    testing.run(body)

    assert spy.seen == ["cancelled"] * 3


def test_further_interrupts_are_raised_at_the_next_parks() -> None:
    spy = Spy()

    async def main() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)

    def thread() -> None:
        for act in (lambda: coro.aio.run(main()), lambda: coro.sleep_relative(1), lambda: coro.sleep_relative(1)):
            try:
                act()
                spy("nothing")
            except LookupError as error:
                spy(str(error))

    def body() -> None:
        each = coro.spawn(thread)
        for name in ("1", "2"):
            coro.sleep_relative(1)
            each.raise_exception(LookupError(name))
        each.join()

    testing.run(body)

    assert spy.seen == ["1", "2", "nothing"]


def test_an_interrupt_while_leftovers_are_ended_is_raised_and_hurries_them() -> None:
    spy = Spy()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            try:
                await asyncio.sleep(1000)
            finally:
                spy("at last")

    async def main() -> str:
        spy(asyncio.create_task(stubborn()))
        await asyncio.sleep(0.5)
        return "value"

    def body() -> None:
        with pytest.raises(LookupError):
            interrupt_after(1, LookupError("hurry"), main=main())

    testing.run(body)

    assert spy.seen[1:] == ["at last"]


def test_a_clean_up_that_fails_after_an_interrupt_is_reported_and_the_interrupt_leaves() -> None:
    spy = Spy()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: spy(context))
        try:
            await asyncio.sleep(1000)
        finally:
            raise ValueError("in the clean-up")

    def body() -> None:
        with pytest.raises(LookupError):
            interrupt_after(1, LookupError(), main=main())

    testing.run(body)

    (context,) = spy.seen
    assert "failed after its thread was interrupted" in context["message"]
    assert isinstance(context["exception"], ValueError)


def test_a_main_task_that_its_own_program_cancels_leaves_as_cancelled_error() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(1, asyncio.current_task().cancel)  # type: ignore[union-attr]
        await asyncio.sleep(1000)

    def body() -> None:
        with pytest.raises(asyncio.CancelledError):
            coro.aio.run(main())
        # It is no interrupt: nothing is left of it.
        coro.sleep_relative(1)

    testing.run(body)


def test_a_shield_around_it_holds_interrupts_back() -> None:
    spy = Spy()

    async def main() -> None:
        await asyncio.sleep(5)
        spy("undisturbed")

    def thread() -> None:
        with coro.shielded(100):
            coro.aio.run(main())

    def body() -> None:
        each = coro.spawn(thread)
        coro.sleep_relative(1)
        each.raise_exception(LookupError())
        with pytest.raises(LookupError):
            each.result()

    testing.run(body)

    assert spy.seen == ["undisturbed"]


def test_whoever_schedules_the_thread_disturbs_nothing() -> None:
    async def main() -> str:
        await asyncio.sleep(10)
        return "slept"

    def body() -> str:
        thread = coro.spawn(coro.aio.run, main())
        for _ in range(3):
            coro.sleep_relative(1)
            thread.schedule("a value for nobody")
        return str(thread.result())

    assert testing.run(body) == "slept"
