"""httpx's AsyncClient: each thread runs an event loop of its own with a client in it."""

from __future__ import annotations

import asyncio
import dataclasses

# httpx imports it with the first client; where trio is installed that runs a program, which no task may wait for.
import httpcore
import httpx
from loops import in_loops, paced
from measured import Options, run

# Made once, before anybody waits: reading all the certificates takes a while, during which no other thread runs.
context = httpx.create_ssl_context()


def prepare(options: Options) -> None:
    """Make one request: the first one imports more."""
    main(dataclasses.replace(options, threads=1, requests=1))


def main(options: Options) -> int:
    """Each thread asks for a page of 1 KiB."""
    url = "http://{host}:{port}".format(**options.peer)

    async def work(number: int) -> int:
        # Not all at once: a client takes some milliseconds of CPU to make.
        await asyncio.sleep(number * 0.01)
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, verify=context) as client:
            async for _ in paced(options, number):
                answer = await client.get("/page.txt")
                assert (answer.status_code, answer.text) == (200, "0123456789abcdef" * 64)
        return options.requests

    return in_loops(options, work)


if __name__ == "__main__":
    run(f"httpx {httpx.__version__}, httpcore {httpcore.__version__}, async", main, prepare)
