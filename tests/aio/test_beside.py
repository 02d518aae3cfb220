"""An asyncio loop beside other threads: streams between them, and whose turn it is."""

import asyncio
import itertools
import os
import socket
from typing import Any

import pytest

import coro
import coro.aio
from coro import testing

# -- streams


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def ask(port: int, *data: bytes, **options: Any) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        answers = []
        for each in data:
            writer.write(each)
            await writer.drain()
            answers.append(await reader.readexactly(len(each)))
        return answers
    finally:
        writer.close()
        await writer.wait_closed()


def test_streams_between_the_loops_of_two_threads_and_a_socket_of_ours() -> None:
    async def serve() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    ports: list[int] = []
    large = os.urandom(1 << 20)

    def body() -> None:
        server = coro.spawn(coro.aio.run, serve())
        while not ports:
            coro.sleep_relative(0.001)
        clients = [coro.spawn(coro.aio.run, ask(ports[0], b"%d" % number, large)) for number in range(3)]
        with coro.sock(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.connect(("127.0.0.1", ports[0]))
            sock.sendall(b"blocking style")
            assert sock.recv(100) == b"blocking style"
        assert [client.result(30) for client in clients] == [[b"%d" % number, large] for number in range(3)]
        server.shutdown()
        server.join()

    coro.run(body)


def test_a_ticking_thread_is_not_held_up_by_200_tasks() -> None:
    worst = 0.0

    def tick() -> None:
        nonlocal worst
        due = coro.get_now()
        while True:
            due += coro.ticks_per_sec // 100
            coro.sleep_absolute(due)
            late = (coro.get_now() - due) / coro.ticks_per_sec
            worst = max(worst, late)
            due = coro.get_now()

    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            await asyncio.gather(*[ask(port, *[b"x" * 100] * 20) for _ in range(200)])

    def body() -> None:
        thread = coro.spawn(tick)
        coro.aio.run(main())
        thread.shutdown()

    coro.run(body)

    # 200 tasks that all have something to do are one slice; what is measured is that it is no more than that.
    assert worst < 1


# -- beside other threads


def test_many_callbacks_of_one_turn_are_no_single_slice() -> None:
    done: list[int] = []
    seen: list[int] = []

    async def main(clock: testing.FakeClock) -> None:
        loop = asyncio.get_running_loop()
        for number in range(100):
            loop.call_soon(lambda number=number: (done.append(number), clock.advance_ns(100_000)))
        await asyncio.sleep(0)

    def thread() -> None:
        while len(done) < 100:
            seen.append(len(done))
            coro.yield_slice()

    def body(clock: testing.FakeClock) -> None:
        each = coro.spawn(thread)
        coro.aio.run(main(clock))
        each.join()

    with testing.fake_time() as clock:
        coro.run(body, clock)

    # Half a millisecond is five callbacks, and one more may be under way.
    assert done == list(range(100))
    assert max(after - before for before, after in itertools.pairwise([*seen, 100])) <= 6


def test_a_busy_loop_lets_the_others_run_after_every_turn() -> None:
    turns = 0

    async def main() -> None:
        nonlocal turns
        while not thread_ended:
            turns += 1
            await asyncio.sleep(0)

    thread_ended: list[int] = []

    def thread() -> None:
        for _ in range(100):
            coro.yield_slice()
        thread_ended.append(1)

    def body() -> None:
        coro.spawn(thread)
        coro.aio.run(main())

    testing.run(body)

    assert turns <= 110


def test_an_interrupt_between_two_callbacks_loses_none() -> None:
    done: list[int] = []

    async def main(clock: testing.FakeClock) -> None:
        loop = asyncio.get_running_loop()
        for number in range(100):
            loop.call_soon(lambda number=number: (done.append(number), clock.advance_ns(100_000)))
        try:
            await asyncio.sleep(1000)
        finally:
            done.append(-1)

    def body(clock: testing.FakeClock) -> None:
        each = coro.spawn(coro.aio.run, main(clock))
        while len(done) < 10:
            coro.yield_slice()
        each.raise_exception(LookupError())
        with pytest.raises(LookupError):
            each.result()

    with testing.fake_time() as clock:
        coro.run(body, clock)

    assert sorted(done) == list(range(-1, 100))
    assert 10 < done.index(-1) <= 101
