"""asyncpg: each thread runs an event loop of its own around one connection."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import asyncpg
from loops import in_loops, paced
from measured import Options, run


def main(options: Options) -> int:
    """Each thread connects, asks and closes."""
    peer = {name.replace("dbname", "database"): value for name, value in options.peer.items()}

    async def work(number: int) -> int:
        # Not all at once: 200 server processes are a lot to start.
        await asyncio.sleep(number * 0.01)
        connection = await asyncpg.connect(**peer)
        async for request in paced(options, number):
            row = await connection.fetchrow("SELECT $1::integer + 1, pg_sleep(0.01)", request)
            assert row[0] == request + 1
        await connection.close()
        return options.requests

    return in_loops(options, work)


if __name__ == "__main__":
    run(f"asyncpg {version('asyncpg')}", main)
