"""A task that blocks as a thread does gets an error that names it."""

import asyncio
import gc
import socket
from collections.abc import Callable
from typing import Any

import pytest

import coro
import coro.aio
from coro import testing
from coro.scheduler import scheduler
from tests.aio.spy import Spy


def receive_nothing() -> None:
    with coro.sock(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.recv(1)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(lambda: coro.sleep_relative(1), id="sleep"),
        pytest.param(lambda: coro.yield_slice(), id="yield"),
        pytest.param(lambda: coro.spawn(lambda: None).join(), id="join"),
        pytest.param(lambda: coro.fifo().pop(), id="fifo"),
        pytest.param(lambda: coro.in_os_thread(lambda: 1), id="OS thread"),
        pytest.param(lambda: receive_nothing(), id="socket"),
    ],
)
def test_a_task_that_blocks_as_a_thread_gets_an_error_that_names_it(block: Callable[[], object]) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        asyncio.current_task().set_name("the culprit")  # type: ignore[union-attr]
        with pytest.raises(coro.YieldFromMain, match=r"the asyncio task 'the culprit' in <coro .* cannot block"):
            block()
        # It goes on after that.
        await asyncio.sleep(1)

    testing.run(coro.aio.run, main())


@pytest.mark.parametrize(
    ("block", "instead"), [(lambda: coro.timeout(1), "asyncio.timeout"), (coro.shielded, "asyncio.shield")]
)
def test_a_block_for_the_whole_thread_is_refused_in_a_task(block: Callable[[], Any], instead: str) -> None:
    async def main() -> str:
        with pytest.raises(coro.YieldFromMain, match=instead), block():
            await asyncio.sleep(10)
        await asyncio.sleep(1)
        return "went on"

    assert testing.run(coro.aio.run, main()) == "went on"


def test_a_callback_that_blocks_is_refused_too() -> None:
    spy = Spy()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: spy(context["exception"]))
        asyncio.get_running_loop().call_soon(coro.sleep_relative, 1)
        await asyncio.sleep(1)

    testing.run(coro.aio.run, main())

    (error,) = spy.seen
    assert isinstance(error, coro.YieldFromMain)
    assert "a callback of the asyncio loop" in str(error)


def test_a_collection_inside_a_step_does_not_lift_the_ban() -> None:
    async def main() -> None:
        gc.collect()
        with pytest.raises(coro.YieldFromMain, match="the asyncio task"):
            coro.sleep_relative(1)

    testing.run(coro.aio.run, main())


def test_an_interrupt_that_waits_does_not_hit_a_task_that_blocks() -> None:
    spy = Spy()

    async def main() -> None:
        scheduler.postpone(coro.current(), KeyError("late"))
        try:
            coro.sleep_relative(1)
        except coro.YieldFromMain as error:
            spy(error)
        await asyncio.sleep(1)

    with pytest.raises(KeyError):
        testing.run(coro.aio.run, main())
    assert len(spy.seen) == 1
