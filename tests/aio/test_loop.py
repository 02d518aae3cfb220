"""The asyncio loop in a thread: descriptors, wake-ups, and what it refuses."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import coro
import coro.aio
from coro import testing


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe, both ends non-blocking."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        os.close(end)


# -- descriptors


def test_a_reader_that_leaves_something_is_called_again(pipe: tuple[int, int]) -> None:
    receiver, sender = pipe

    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        seen: list[bytes] = []
        done = asyncio.Event()

        def read() -> None:
            seen.append(os.read(receiver, 1))
            if seen[-1] == b"!":
                done.set()

        loop.add_reader(receiver, read)
        os.write(sender, b"abc")
        await asyncio.sleep(1)
        os.write(sender, b"d!")
        await done.wait()
        loop.remove_reader(receiver)
        return seen

    assert testing.run(coro.aio.run, main()) == [b"a", b"b", b"c", b"d", b"!"]


def test_a_reader_that_does_nothing_is_called_at_every_turn_and_holds_nobody_up(pipe: tuple[int, int]) -> None:
    receiver, sender = pipe
    calls: list[int] = []

    async def main() -> None:
        asyncio.get_running_loop().add_reader(receiver, calls.append, 1)
        os.write(sender, b"a")
        while not ticked:
            await asyncio.sleep(0)

    ticked: list[int] = []

    def tick() -> None:
        for _ in range(3):
            coro.sleep_relative(0.002)
        ticked.append(1)

    def body() -> None:
        coro.spawn(tick)
        coro.aio.run(main())

    coro.run(body)

    assert len(calls) > 3


def test_data_that_another_thread_writes_wakes_a_loop_that_waits(pipe: tuple[int, int]) -> None:
    receiver, sender = pipe

    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        seen: list[bytes] = []
        for _ in range(3):
            ready = loop.create_future()
            loop.add_reader(receiver, ready.set_result, None)
            await ready
            loop.remove_reader(receiver)
            seen.append(os.read(receiver, 100))
        return seen

    def body() -> Any:
        thread = coro.spawn(coro.aio.run, main())
        for data in (b"1", b"2", b"3"):
            coro.sleep_relative(1)
            os.write(sender, data)
        return thread.result()

    assert testing.run(body) == [b"1", b"2", b"3"]


def test_a_writer_is_called_while_there_is_room(pipe: tuple[int, int]) -> None:
    receiver, sender = pipe

    async def main() -> None:
        loop = asyncio.get_running_loop()
        written = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                written += os.write(sender, bytes(4096))
        room = loop.create_future()
        loop.add_writer(sender, lambda: room.done() or room.set_result(None))
        await asyncio.sleep(1)
        assert not room.done()
        while written > 0:
            written -= len(os.read(receiver, 65536))
        await room
        loop.remove_writer(sender)

    testing.run(coro.aio.run, main())


def test_a_descriptor_that_cannot_be_polled_is_refused_as_by_asyncio(tmp_path: Path) -> None:
    async def main() -> None:
        with (tmp_path / "file").open("w") as file, pytest.raises(PermissionError):
            asyncio.get_running_loop().add_reader(file, print)

    testing.run(coro.aio.run, main())


# -- being woken


def test_call_soon_threadsafe_from_another_thread_wakes_it_at_once() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        shared.append(loop.create_future())
        begin = loop.time()
        await shared[0]
        return loop.time() - begin

    shared: list[asyncio.Future[None]] = []

    def body() -> Any:
        thread = coro.spawn(coro.aio.run, main())
        coro.sleep_relative(5)
        shared[0].get_loop().call_soon_threadsafe(shared[0].set_result, None)
        return thread.result()

    assert testing.run(body) == pytest.approx(5)


def test_call_soon_threadsafe_from_an_os_thread_wakes_it() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def elsewhere() -> None:
            time.sleep(0.01)
            loop.call_soon_threadsafe(future.set_result, "from there")

        os_thread = threading.Thread(target=elsewhere)
        os_thread.start()
        value = await future
        await asyncio.to_thread(os_thread.join)
        return str(value)

    assert coro.run(coro.aio.run, main()) == "from there"


def test_no_wake_up_is_lost_in_a_storm_from_os_threads_and_threads() -> None:
    number, each = 4, 200

    async def main() -> int:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[int] = asyncio.Queue()
        started.append((loop, queue))
        return sum([await queue.get() for _ in range(2 * number * each)])

    started: list[Any] = []

    def put() -> None:
        loop, queue = started[0]
        for _ in range(each):
            loop.call_soon_threadsafe(queue.put_nowait, 1)

    def put_slowly() -> None:
        for _ in range(each):
            coro.sleep_relative(0)
            loop, queue = started[0]
            loop.call_soon_threadsafe(queue.put_nowait, 1)

    def body() -> Any:
        thread = coro.spawn(coro.aio.run, main())
        coro.yield_slice()
        coro.yield_slice()
        calls = [coro.spawn(coro.in_os_thread, put) for _ in range(number)]
        calls += [coro.spawn(put_slowly) for _ in range(number)]
        for call in calls:
            call.result()
        return thread.result(30)

    assert coro.run(body) == 2 * number * each


def test_a_closed_loop_takes_no_calls() -> None:
    async def main() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    loop = testing.run(coro.aio.run, main())
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon_threadsafe(print)


# -- what it refuses


def test_signal_handlers_are_refused_with_what_to_use_instead() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        # A NotImplementedError is what libraries expect of loops that cannot do it.
        with pytest.raises(NotImplementedError, match=r"use coro.signal_handler.register\(\)"):
            loop.add_signal_handler(signal.SIGUSR1, print)
        assert loop.remove_signal_handler(signal.SIGUSR1) is False

    testing.run(coro.aio.run, main())


def test_a_running_loop_cannot_be_closed() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="a running asyncio loop cannot be closed"):
            asyncio.get_running_loop().close()

    testing.run(coro.aio.run, main())
