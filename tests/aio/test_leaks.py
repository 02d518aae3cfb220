"""What is left of asyncio loops that have run: nothing."""

import asyncio
import contextlib
import gc
import os
import socket

import coro
import coro.aio
from coro import testing
from coro.descriptors import descriptors
from coro.guests import guests
from coro.timed import timers


def test_a_thousand_runs_leave_no_descriptor_timer_thread_or_object() -> None:
    async def one() -> int:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            await loop.sock_sendall(ours, b"x")
            assert await loop.sock_recv(theirs, 1) == b"x"
        loop.call_later(1000, print)
        # A wait that ends long before its timer.
        await coro.aio.in_thread(coro.sleep_relative, 0.001)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(loop.create_future(), 0.001)
        return 1

    def count() -> tuple[int, ...]:
        gc.collect()
        loops = [thing for thing in gc.get_objects() if isinstance(thing, coro.aio.EventLoop)]
        return (
            len(os.listdir("/dev/fd")),
            len(descriptors.table),
            len(timers),
            len(coro.all_threads),
            len(guests),
            len(loops),
        )

    def body() -> None:
        coro.aio.run(one())
        before = count()
        for _ in range(100):
            threads = [coro.spawn(coro.aio.run, one()) for _ in range(10)]
            assert sum(thread.result() for thread in threads) == 10
        assert count() == before

    testing.run(body)


def test_a_run_that_is_over_needs_no_collector() -> None:
    async def one() -> None:
        await asyncio.sleep(1)

    def loops() -> int:
        return len([thing for thing in gc.get_objects() if isinstance(thing, coro.aio.EventLoop)])

    def body() -> None:
        gc.collect()
        gc.disable()
        try:
            before = loops()
            for _ in range(10):
                coro.aio.run(one())
            assert loops() == before
        finally:
            gc.enable()

    testing.run(body)
