"""asyncssh as a server, `ssh_server.py FOLDER`: runs one command, `cat; exit N`; prints its port.

It leaves the key that it lets in as `user_key` in the folder.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh


async def handle(process: asyncssh.SSHServerProcess[str]) -> None:
    """Give back what comes, and end as the command says."""
    process.stdout.write(await process.stdin.read())
    process.exit(int((process.command or "exit 0").rpartition(" ")[2]))


async def main() -> None:
    """Serve for ever."""
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    user_key.write_private_key(str(Path(sys.argv[1]) / "user_key"))
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(user_key.export_public_key().decode()),
        process_factory=handle,
        login_timeout=120,
    )
    print(server.get_port(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
