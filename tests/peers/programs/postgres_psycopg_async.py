"""psycopg's AsyncConnection: each thread runs an event loop of its own around one connection."""

from __future__ import annotations

import asyncio

import psycopg
from loops import in_loops, paced
from measured import Options, run


def main(options: Options) -> int:
    """Each thread connects, asks and closes."""

    async def work(number: int) -> int:
        # Not all at once: 200 server processes are a lot to start.
        await asyncio.sleep(number * 0.01)
        async with await psycopg.AsyncConnection.connect(**options.peer) as connection:
            async for request in paced(options, number):
                async with connection.transaction():
                    cursor = await connection.execute("SELECT %s + 1, pg_sleep(0.01)", (request,))
                    row = await cursor.fetchone()
                assert row is not None
                assert row[0] == request + 1
        return options.requests

    return in_loops(options, work)


if __name__ == "__main__":
    run(f"psycopg {psycopg.__version__}, async", main)
