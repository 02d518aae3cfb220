"""run_in_executor(None, ...), asyncio.to_thread(), getaddrinfo: calls in real OS threads."""

import asyncio
import concurrent.futures
import socket
import threading
import time
from typing import Any

import pytest

import coro
import coro.aio
from coro import testing


def os_thread() -> int:
    return threading.get_ident()


def test_a_call_runs_in_another_os_thread_while_tasks_and_threads_go_on() -> None:
    release = threading.Event()

    async def main() -> tuple[Any, ...]:
        call = asyncio.create_task(asyncio.to_thread(release.wait))
        other = asyncio.to_thread(os_thread)
        await asyncio.sleep(0.01)
        value = await other
        release.set()
        return await call, value

    def body() -> tuple[Any, ...]:
        thread = coro.spawn(coro.sleep_relative, 0.01)
        try:
            return coro.aio.run(main())
        finally:
            assert thread.dead

    waited, ident = coro.run(body)

    assert waited is True
    assert ident != threading.get_ident()


def test_its_error_is_raised_and_stop_iteration_is_wrapped() -> None:
    def fail(error: BaseException) -> None:
        raise error

    async def main() -> None:
        with pytest.raises(LookupError, match="lost"):
            await asyncio.to_thread(fail, LookupError("lost"))
        with pytest.raises(RuntimeError, match="StopIteration") as caught:
            await asyncio.to_thread(fail, StopIteration(1))
        assert isinstance(caught.value.__cause__, StopIteration)

    testing.run(coro.aio.run, main())


def test_a_call_shows_up_as_a_thread_with_its_functions_name() -> None:
    release = threading.Event()

    def named_so() -> None:
        release.wait(30)

    async def main() -> list[str]:
        calls = [asyncio.create_task(asyncio.to_thread(named_so)) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        names = [thread.name for thread in coro.all_threads.values()]
        release.set()
        await asyncio.gather(*calls)
        return names

    names = coro.run(coro.aio.run, main())

    assert len([name for name in names if name.startswith("asyncio ") and name.endswith("named_so")]) == 2


def test_a_cancelled_call_that_was_not_begun_is_never_made() -> None:
    release = threading.Event()
    made: list[int] = []

    async def main() -> None:
        blockers = [asyncio.create_task(asyncio.to_thread(release.wait, 30)) for _ in range(20)]
        late = asyncio.create_task(asyncio.to_thread(made.append, 1))
        await asyncio.sleep(0.01)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        release.set()
        await asyncio.gather(*blockers)

    coro.run(coro.aio.run, main())

    assert not made


def test_a_cancelled_call_is_left_behind_at_once_and_its_failure_is_nobodys_affair() -> None:
    release = threading.Event()

    def fail() -> None:
        release.wait(30)
        raise LookupError("too late")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.to_thread(fail)
        release.set()
        # Another call ends after that one, so whoever would be told has been.
        await asyncio.to_thread(time.sleep, 0.05)

    def body() -> None:
        former = coro.set_exception_notifier(lambda *arguments: notified.append(arguments[1]))
        try:
            coro.aio.run(main())
        finally:
            coro.set_exception_notifier(former)

    notified: list[BaseException] = []
    coro.run(body)

    assert not notified


def test_calls_that_are_under_way_at_the_end_are_waited_for() -> None:
    made: list[int] = []

    def slow() -> None:
        time.sleep(0.05)
        made.append(1)

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, slow)

    coro.run(coro.aio.run, main())

    assert made == [1]


def test_after_an_interrupt_nobody_waits_for_them() -> None:
    release = threading.Event()

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, release.wait, 30)
        await asyncio.sleep(1000)

    def body() -> None:
        try:
            with pytest.raises(coro.TimeoutError):
                coro.with_timeout(0.01, coro.aio.run, main())
            assert not release.is_set()
        finally:
            release.set()

    coro.run(body)


def test_a_thread_that_waits_for_a_call_and_is_shut_down_cancels_whoever_awaits_it() -> None:
    release = threading.Event()

    async def main() -> None:
        call = asyncio.create_task(asyncio.to_thread(release.wait, 30))
        await asyncio.sleep(0.01)
        (thread,) = [thread for thread in coro.all_threads.values() if thread.name.startswith("asyncio ")]
        thread.shutdown()
        with pytest.raises(asyncio.CancelledError):
            await call
        release.set()

    coro.run(coro.aio.run, main())


def test_a_call_that_has_ended_is_forgotten() -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        await asyncio.to_thread(int)
        assert not loop._os_calls.calls

    coro.run(coro.aio.run, main())


def test_an_executor_of_the_users_own() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            first = await loop.run_in_executor(executor, os_thread)
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
        return [first, await loop.run_in_executor(None, os_thread)]

    assert threading.get_ident() not in coro.run(coro.aio.run, main())


def test_a_default_executor_of_the_users_own_is_waited_for_without_holding_up_the_loop() -> None:
    ticks: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
        loop.run_in_executor(None, time.sleep, 0.2)

    def tick() -> None:
        while True:
            coro.sleep_relative(0.01)
            ticks.append(1)

    def body() -> int:
        coro.spawn(tick)
        coro.aio.run(main())
        return len(ticks)

    assert coro.run(body) >= 3


def test_after_its_shutdown_the_executor_takes_no_calls() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="shutdown"):
            loop.run_in_executor(None, os_thread)

    coro.run(coro.aio.run, main())


def test_what_cannot_be_called_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="needs a function to call, got 5"):
            asyncio.get_running_loop().run_in_executor(None, 5)  # type: ignore[arg-type]

    testing.run(coro.aio.run, main())


def test_names_are_looked_up_in_an_os_thread() -> None:
    async def main() -> Any:
        return await asyncio.get_running_loop().getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)

    assert coro.run(coro.aio.run, main())
