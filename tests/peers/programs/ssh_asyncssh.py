"""asyncssh: each thread runs an event loop of its own around one connection."""

from __future__ import annotations

import asyncio

import asyncssh
from loops import in_loops, paced
from measured import Options, run


def main(options: Options) -> int:
    """Each thread logs in with a key, runs commands, and logs out."""
    peer = options.peer

    async def work(number: int) -> int:
        # Not all at once: the key exchange costs either side some milliseconds of CPU.
        await asyncio.sleep(number * 0.03)
        async with asyncssh.connect(
            peer["host"],
            peer["port"],
            username=peer["user"],
            client_keys=[peer["key"]],
            known_hosts=None,
            config=None,
            agent_path=None,
            login_timeout=60,
        ) as connection:
            async for request in paced(options, number):
                said = f"{number}.{request}\n" * 10
                done = await connection.run(f"cat; exit {request % 3}", input=said)
                assert (done.stdout, done.exit_status) == (said, request % 3)
        return options.requests

    return in_loops(options, work)


if __name__ == "__main__":
    run(f"asyncssh {asyncssh.__version__}", main)
