"""aiohttp: each thread runs an event loop of its own with a session in it."""

from __future__ import annotations

import aiohttp
from loops import in_loops, paced
from measured import Options, run


def main(options: Options) -> int:
    """Each thread asks for a page of 1 KiB."""
    url = "http://{host}:{port}/page.txt".format(**options.peer)

    async def work(number: int) -> int:
        async with aiohttp.ClientSession() as session:
            async for _ in paced(options, number):
                async with session.get(url) as answer:
                    assert (answer.status, await answer.text()) == (200, "0123456789abcdef" * 64)
        return options.requests

    return in_loops(options, work)


if __name__ == "__main__":
    run(f"aiohttp {aiohttp.__version__}", main)
