"""Libraries that know asyncio only, unchanged, in threads: client and server of each, over loopback.

Beside each of them a thread ticks, and the libraries' own resources are gone at the end.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import asyncssh
import httpx
import pytest
import websockets.asyncio.client
import websockets.asyncio.server

import coro
import coro.aio
from tests.ssl.certificates import HOST, OTHER_HOST, Certificates

# So many clients at once.
CLIENTS = 20


class Ticker:
    """A thread that ticks every 10 ms."""

    def __init__(self) -> None:
        self.ticks = 0

    def run(self) -> None:
        while True:
            coro.sleep_relative(0.01)
            self.ticks += 1


def beside_a_ticker(*programs: Callable[[], Awaitable[Any]]) -> list[Any]:
    """What the programs return, each in a thread with a loop of its own, beside a thread that ticks."""

    async def run(program: Callable[[], Awaitable[Any]]) -> Any:
        return await program()

    def body() -> list[Any]:
        ticker = Ticker()
        coro.spawn(ticker.run)
        coro.sleep_relative(0.02)
        before = ticker.ticks
        with coro.timeout(50), coro.Group() as group:
            threads = [group.spawn(coro.aio.run, run(program)) for program in programs]
        coro.sleep_relative(0.02)
        assert ticker.ticks > before
        return [thread.result() for thread in threads]

    return coro.run(body)


class Port:
    """A port that one thread's program opens, and that others wait for, and leave."""

    def __init__(self, clients: int) -> None:
        self.number = 0
        self.opened = coro.event()
        self.left = coro.inverted_semaphore(clients)

    def open(self, number: int) -> None:
        self.number = number
        self.opened.set()

    async def wait_opened(self) -> int:
        await coro.aio.in_thread(self.opened.wait)
        return self.number

    async def wait_left(self) -> None:
        await coro.aio.in_thread(self.left.block_till_zero)


# -- aiohttp, httpx


async def hello(request: aiohttp.web.Request) -> aiohttp.web.Response:
    body = await request.read()
    return aiohttp.web.json_response({"path": request.path, "length": len(body)})


def aiohttp_server(port: Port, context: ssl.SSLContext | None = None) -> Callable[[], Awaitable[None]]:
    async def serve() -> None:
        app = aiohttp.web.Application()
        app.router.add_route("*", "/{tail:.*}", hello)
        runner = aiohttp.web.AppRunner(app)
        await runner.setup()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        port.open(runner.addresses[0][1])
        await port.wait_left()
        await runner.cleanup()

    return serve


def test_aiohttp_server_and_client_in_loops_of_two_threads() -> None:
    port = Port(1)

    async def client() -> list[dict[str, Any]]:
        base = f"http://127.0.0.1:{await port.wait_opened()}"
        async with aiohttp.ClientSession() as session:

            async def one(number: int) -> dict[str, Any]:
                async with session.post(f"{base}/{number}", data=b"x" * number) as response:
                    return await response.json()  # type: ignore[no-any-return]

            answers = await asyncio.gather(*[one(number) for number in range(CLIENTS)])
        port.left.release()
        return answers

    _, answers = beside_a_ticker(aiohttp_server(port), client)

    assert answers == [{"path": f"/{number}", "length": number} for number in range(CLIENTS)]


def test_httpx_clients_over_tls_in_a_loop_each(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    client_context = certificates.client_context()
    port = Port(5)

    async def client() -> list[str]:
        number = await port.wait_opened()
        async with httpx.AsyncClient(verify=client_context, trust_env=False) as session:
            answers = await asyncio.gather(*[session.get(f"https://{HOST}:{number}/{n}") for n in range(5)])
        port.left.release()
        return [json.loads(answer.text)["path"] for answer in answers]

    _, *answers = beside_a_ticker(aiohttp_server(port, certificates.server_context()), *[client] * 5)

    assert answers == [[f"/{number}" for number in range(5)]] * 5


def test_a_certificate_that_does_not_match_is_a_clear_error(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def main() -> None:
        server = await asyncio.start_server(
            lambda reader, writer: None, "127.0.0.1", 0, ssl=certificates.server_context()
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                await asyncio.open_connection(
                    "127.0.0.1", port, ssl=certificates.client_context(), server_hostname=OTHER_HOST
                )

    coro.run(coro.aio.run, main())


# -- websockets


def test_websockets_server_and_clients_in_loops_of_two_threads() -> None:
    port = Port(1)

    async def echo(connection: websockets.asyncio.server.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def serve() -> None:
        async with websockets.asyncio.server.serve(echo, "127.0.0.1", 0) as server:
            port.open(next(iter(server.sockets)).getsockname()[1])
            await port.wait_left()

    async def one(number: int) -> list[Any]:
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port.number}", proxy=None) as connection:
            answers = []
            for message in (f"text {number}", b"x" * 100_000):
                await connection.send(message)
                answers.append(await connection.recv())
            return answers

    async def clients() -> list[Any]:
        await port.wait_opened()
        answers = await asyncio.gather(*[one(number) for number in range(CLIENTS)])
        port.left.release()
        return answers

    _, answers = beside_a_ticker(serve, clients)

    assert answers == [[f"text {number}", b"x" * 100_000] for number in range(CLIENTS)]


# -- asyncssh


class AnybodyMayIn(asyncssh.SSHServer):
    """A server that asks for no password.  gone: set when its client has left, and its socket is closed."""

    def __init__(self, gone: asyncio.Event) -> None:
        self.gone = gone

    def begin_auth(self, username: str) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set()


def test_asyncssh_server_and_clients_in_loops_of_two_threads() -> None:
    port = Port(1)

    def handle(process: "asyncssh.SSHServerProcess[str]") -> None:
        process.stdout.write(f"you said {process.command}\n")
        process.exit(3)

    async def serve() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        gone = asyncio.Event()
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: AnybodyMayIn(gone),
            server_host_keys=[key],
            process_factory=handle,
        )
        async with server:
            port.open(server.get_port())
            await port.wait_left()
            await gone.wait()

    async def clients() -> list[Any]:
        number = await port.wait_opened()
        async with asyncssh.connect(
            "127.0.0.1", number, known_hosts=None, username="user", client_keys=None, config=None
        ) as connection:
            done = await asyncio.gather(*[connection.run(f"command {n}") for n in range(5)])
        port.left.release()
        return [(result.stdout, result.exit_status) for result in done]

    _, answers = beside_a_ticker(serve, clients)

    assert answers == [(f"you said command {number}\n", 3) for number in range(5)]
