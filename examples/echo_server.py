"""An echo server: what a client sends comes back.

This is the whole idea of coro on one page.  `echo()` is written as if it had the process to itself: it
receives, it sends, and while there is nothing to receive it waits.  But what waits is only its thread.  A
thread is cheap, so every connection has one, and thousands of them take turns on one loop.

Nothing here is asynchronous in its looks: no callbacks, no `await`.  recv() returns bytes, b"" says that the
client has finished, an error is an exception.

    python -m examples.echo_server --port 7777
    python -m examples.echo_server --unix /tmp/echo.sock
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import coro


def echo(connection: coro.sock, address: Any) -> None:
    """Serve one client; the server closes the connection when this returns."""
    while data := connection.recv(65536):
        # Waits until the client has taken it all: one that does not read back stops being read from.
        connection.send(data)


def serve(options: argparse.Namespace) -> None:
    """Listen, say where, and serve until the process is told to end."""
    if options.unix:
        server = coro.unix_server(options.unix, echo, name="echo")
        print(f"echo server at {options.unix}; try: nc -U {options.unix}", flush=True)
    else:
        server = coro.tcp_server((options.host, options.port), echo, name="echo")
        host, port = server.address[:2]
        print(f"echo server at {host} port {port}; try: nc {host} {port}", flush=True)
    try:
        server.join()
    finally:
        # Ctrl-C and SIGTERM get here as coro.Shutdown.  A Unix socket's file is removed.
        server.close()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m examples.echo_server", description="Send back what comes.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen at; 0, the default, takes a free one")
    parser.add_argument("--unix", metavar="PATH", help="listen at a Unix socket instead")
    try:
        coro.run(serve, parser.parse_args())
    except (OSError, ValueError) as error:
        # A port that is taken, or out of range.
        sys.exit(f"echo_server: {error}")


if __name__ == "__main__":
    main()
