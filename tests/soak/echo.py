"""The server of the soak's connections: `python -m tests.soak.echo` echoes, and tells what it holds.

It prints its port, and ends when its standard input does.  A connection that sends "?" is told what the server
holds, as a line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import coro
from tests.soak.meter import Held, held

__all__ = ["ask_held", "may_open", "running_server"]


def serve(connection: coro.sock, address: object) -> None:
    """Echo what comes."""
    while data := connection.recv(4096):
        if data == b"?":
            now = asdict(held())
            connection.sendall(json.dumps(now).encode() + b"\n")
        else:
            connection.sendall(data)


def main() -> None:
    """Serve until the parent goes."""
    may_open(20_000)
    coro.set_print_exit_string(False)

    def run() -> None:
        server = coro.tcp_server(("127.0.0.1", 0), serve, backlog=1024)
        print(server.addresses[0][1], flush=True)
        coro.wait_for_read(0)
        os.read(0, 1)
        server.close()

    coro.run(run)


def may_open(count: int) -> int:
    """Raise the limit of open descriptors to `count` as far as is allowed; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


@contextmanager
def running_server() -> Iterator[int]:
    """A server in a process of its own; its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.soak.echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def ask_held(port: int) -> Held:
    """What the server holds.  Yields."""
    with coro.tcp_sock() as client:
        client.connect(("127.0.0.1", port))
        client.sendall(b"?")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += client.recv(4096)
    return Held(**json.loads(answer))


if __name__ == "__main__":
    main()
