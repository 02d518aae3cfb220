"""coro.aio.run(): an asyncio program in a thread, its value, its neighbours, and what it leaves."""

import asyncio
import contextvars
import errno
import gc
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import coro
import coro.aio
from coro import testing
from coro.aio import loop as aio_loop
from tests.aio.spy import Spy

SECOND = coro.ticks_per_sec


# -- values and errors


def test_the_value_of_main_is_returned() -> None:
    async def main() -> int:
        await asyncio.sleep(1)
        return 7

    assert testing.run(coro.aio.run, main()) == 7


def test_the_error_of_main_is_raised() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        testing.run(coro.aio.run, main())


def test_asyncio_takes_the_time_of_the_loop() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        begin, began = loop.time(), coro.get_now()
        for _ in range(100):
            await asyncio.sleep(3600)
        return loop.time() - begin, (coro.get_now() - began) / SECOND

    by_asyncio, by_coro = testing.run(coro.aio.run, main())

    assert by_asyncio == pytest.approx(360_000, abs=0.01)
    assert by_coro == pytest.approx(by_asyncio)


@pytest.mark.parametrize("delay", [1e-9, 1e-7, 1e-3, 0.1, 86_400.5, 1e6 / 3])
def test_a_timer_fires_once_its_time_has_come_and_the_loop_does_not_spin_for_it(delay: float) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await asyncio.sleep(delay)
        return loop.time() - begin

    def timed() -> tuple[float, int]:
        switches = coro.current().switches
        return coro.aio.run(main()), coro.current().switches - switches

    took, switches = testing.run(timed)

    assert took == pytest.approx(delay, abs=2e-6)
    assert switches < 10


def test_a_function_is_called_in_the_thread_with_its_arguments() -> None:
    async def main(one: int, two: int) -> int:
        await asyncio.sleep(1)
        return one + two

    assert testing.run(coro.aio.run, main, 3, 4) == 7


@pytest.mark.parametrize("what", [7, lambda: 7, None])
def test_what_is_no_coroutine_is_refused_by_name(what: Any) -> None:
    with pytest.raises(TypeError, match=r"needs a coroutine or a function that makes one.*got (7|None|<function)"):
        testing.run(coro.aio.run, what)


def test_arguments_go_with_a_function_only() -> None:
    async def main() -> None: ...

    with pytest.raises(TypeError, match=r"with a function only, not with a coroutine: \(1, 2\)"):
        testing.run(coro.aio.run, main(), 1, 2)


def test_a_process_without_descriptors_gets_the_systems_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*arguments: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    async def main() -> None: ...

    monkeypatch.setattr(aio_loop, "ParkingSelector", no_more)
    with pytest.raises(OSError, match="too many open files"):
        testing.run(coro.aio.run, main())
    # Nothing of what was half made complains, later.
    gc.collect()


def test_outside_a_thread_it_is_refused() -> None:
    async def main() -> None: ...

    with pytest.raises(coro.YieldFromMain, match=r"coro.aio.run\(\) needs a running loop"):
        coro.aio.run(main())


def test_inside_another_run_of_the_thread_it_is_refused_and_names_the_task() -> None:
    async def inner() -> None: ...

    async def main() -> None:
        asyncio.current_task().set_name("outer one")  # type: ignore[union-attr]
        coro.aio.run(inner())

    with pytest.raises(RuntimeError, match=r"called by the task 'outer one' of the asyncio loop .* already"):
        testing.run(coro.aio.run, main())


def test_another_thread_may_run_one_while_a_task_waits() -> None:
    async def inner() -> str:
        await asyncio.sleep(1)
        return "inner"

    async def main() -> str:
        return "outer " + await coro.aio.in_thread(coro.aio.run, inner())

    assert testing.run(coro.aio.run, main()) == "outer inner"


def test_a_loop_that_is_stopped_before_main_ends_is_an_error() -> None:
    spy = Spy()

    async def main() -> None:
        asyncio.get_running_loop().call_later(1, asyncio.get_running_loop().stop)
        try:
            await asyncio.sleep(1000)
        finally:
            spy(coro.get_now())

    with pytest.raises(RuntimeError, match="stopped before its main task ended"):
        testing.run(coro.aio.run, main())
    assert len(spy.seen) == 1


@pytest.mark.parametrize("failure", [SystemExit(3), KeyboardInterrupt()])
def test_what_ends_a_process_passes_through(failure: BaseException) -> None:
    spy = Spy()

    async def other() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            spy("cleaned up")

    async def main() -> None:
        spy(asyncio.create_task(other()))
        await asyncio.sleep(1)
        raise failure

    def catch() -> None:
        try:
            coro.aio.run(main())
        except (SystemExit, KeyboardInterrupt) as error:
            spy(error)

    testing.run(catch)

    assert spy.seen[1:] == ["cleaned up", failure]


def test_debug_mode_is_passed_on_and_seen_by_nobody_else() -> None:
    spy = Spy()

    async def main() -> None:
        assert asyncio.get_running_loop().get_debug()
        spy(sys.get_coroutine_origin_tracking_depth() > 0)
        await asyncio.sleep(2)

    def look() -> None:
        coro.sleep_relative(1)
        spy(sys.get_coroutine_origin_tracking_depth() > 0)

    def both() -> None:
        thread = coro.spawn(look)
        coro.aio.run(main(), debug=True)
        thread.join()

    testing.run(both)

    assert spy.seen == [True, False]


def test_the_program_sees_the_context_variables_of_its_thread_and_keeps_its_own() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def main() -> str:
        before = variable.get()
        variable.set("task's")
        await asyncio.sleep(1)
        return before + " " + variable.get()

    def one(name: str) -> tuple[str, str]:
        variable.set(name)
        return coro.aio.run(main()), variable.get()

    def both() -> list[tuple[str, str]]:
        return [thread.result() for thread in [coro.spawn(one, "a's"), coro.spawn(one, "b's")]]

    assert testing.run(both) == [("a's task's", "a's"), ("b's task's", "b's")]


# -- several at once


def test_loops_of_several_threads_run_beside_each_other_and_beside_other_threads() -> None:
    spy = Spy()

    async def main(name: str) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            assert asyncio.get_running_loop() is loop
            assert asyncio.current_task().get_name() == name  # type: ignore[union-attr]
            spy(name)
            await asyncio.sleep(10)

    async def named(name: str) -> None:
        await asyncio.create_task(main(name), name=name)

    def thread() -> None:
        for _ in range(3):
            assert asyncio._get_running_loop() is None
            with pytest.raises(RuntimeError):
                asyncio.current_task()
            spy("thread")
            coro.sleep_relative(10)

    def all_of_them() -> int:
        begin = coro.get_now()
        threads = [coro.spawn(coro.aio.run, named(name)) for name in ("a", "b")]
        for each in [*threads, coro.spawn(thread)]:
            each.result()
        return coro.get_now() - begin

    assert testing.run(all_of_them) == pytest.approx(30 * SECOND, rel=0.01)
    assert sorted(spy.seen) == ["a"] * 3 + ["b"] * 3 + ["thread"] * 3
    assert set(spy.seen[:3]) == {"a", "b", "thread"}


def test_a_loop_that_never_rests_lets_other_threads_and_timers_run() -> None:
    async def main() -> int:
        turns = 0
        while not seen:
            await asyncio.sleep(0)
            turns += 1
        return turns

    seen: list[int] = []

    def ticker() -> None:
        for _ in range(5):
            coro.sleep_relative(0.001)
            coro.yield_slice()
        seen.append(1)

    def both() -> Any:
        coro.spawn(ticker)
        return coro.aio.run(main())

    assert coro.run(both) > 1
    assert seen == [1]


def test_asynchronous_generators_of_two_loops_keep_to_their_own() -> None:
    spy = Spy()

    async def numbers(name: str) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await asyncio.sleep(1)
        finally:
            # Where the loop closes it, not where the collector would.
            spy((name, asyncio.get_running_loop().name))  # type: ignore[attr-defined]

    async def main(name: str) -> None:
        asyncio.get_running_loop().name = name  # type: ignore[attr-defined]
        left = numbers(name)
        async for _ in left:
            await asyncio.sleep(1)
            break
        spy(left)

    def both() -> None:
        for thread in [coro.spawn(coro.aio.run, main("a")), coro.spawn(coro.aio.run, main("b"))]:
            thread.result()

    testing.run(both)

    assert sorted(item for item in spy.seen if isinstance(item, tuple)) == [("a", "a"), ("b", "b")]


# -- what it leaves


def test_tasks_that_are_left_over_are_cancelled_and_awaited() -> None:
    spy = Spy()

    async def left(number: int) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(number)
            spy(number)

    async def main() -> None:
        spy([asyncio.create_task(left(number)) for number in (2, 1)])
        await asyncio.sleep(1)

    testing.run(coro.aio.run, main())

    assert spy.seen[1:] == [1, 2]


def test_a_left_over_task_that_fails_while_it_is_cancelled_is_reported() -> None:
    spy = Spy()

    async def left() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            raise ValueError("left")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: spy(context["exception"]))
        spy(asyncio.create_task(left()))
        await asyncio.sleep(1)

    testing.run(coro.aio.run, main())

    assert [str(error) for error in spy.seen[1:]] == ["left"]


def test_the_loop_is_closed_however_the_program_ends() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def main(fail: bool) -> None:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(1)
        if fail:
            raise LookupError

    def body() -> None:
        coro.aio.run(main(False))
        with pytest.raises(LookupError):
            coro.aio.run(main(True))

    testing.run(body)

    assert [loop.is_closed() for loop in loops] == [True, True]


def test_the_loop_of_another_runner_works_in_a_thread() -> None:
    async def main() -> str:
        await asyncio.sleep(1)
        return "by asyncio's own runner"

    def body() -> str:
        with asyncio.Runner(loop_factory=coro.aio.EventLoop) as runner:
            return runner.run(main())

    assert testing.run(body) == "by asyncio's own runner"


def test_a_loop_can_go_on_in_the_next_loop_of_the_process() -> None:
    loop = coro.aio.EventLoop()

    def turn() -> Any:
        return loop.run_until_complete(asyncio.sleep(1, "again"))

    try:
        assert [testing.run(turn), testing.run(turn)] == ["again", "again"]
        with pytest.raises(coro.YieldFromMain):
            loop.run_forever()
    finally:
        testing.run(loop.close)
