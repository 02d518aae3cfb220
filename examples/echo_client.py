"""A client for the echo server: for your own lines, or with --check for a load of its making.

Without --check it sends each line of its standard input and prints what comes back.  A terminal, a pipe and a
file are three things to the kernel, and a file cannot be waited for at all; `in_os_thread` reads any of them
while the loop goes on, and `buffered_stream` cuts lines out of what it reads.

With --check it opens many connections at once, each in a thread, sends messages of all sizes and compares every
byte that comes back.  `in_parallel` spawns the threads and waits for all of them; the block around it limits
the time.

    python -m examples.echo_client --port 7777
    python -m examples.echo_client --port 7777 --check --connections 200 --messages 100
"""

from __future__ import annotations

import argparse
import os
import random
import sys

import coro

LARGEST_MESSAGE_BYTES = 4096
CHECK_LIMIT_S = 60


def connect(options: argparse.Namespace) -> coro.sock:
    """Make a connection to the server that the command line names."""
    connection = coro.unix_sock() if options.unix else coro.tcp_sock()
    connection.connect(options.unix or (options.host, options.port))
    return connection


def send_lines(options: argparse.Namespace) -> None:
    """Send the lines of stdin one by one, and print what comes back for each."""
    with connect(options) as connection:
        for line in coro.buffered_stream(lambda: coro.in_os_thread(os.read, 0, 65536)):
            connection.send(line)
            print(connection.recv_exact(len(line)).decode(errors="replace"), end="", flush=True)


def exchange(options: argparse.Namespace, number: int) -> int:
    """Send messages over one connection and compare them; returns how many bytes went each way."""
    coro.current().set_name(f"client-{number}")
    dice = random.Random(number)
    total_bytes = 0
    with connect(options) as connection:
        for _ in range(options.messages):
            message = dice.randbytes(dice.randint(1, LARGEST_MESSAGE_BYTES))
            connection.send(message)
            if connection.recv_exact(len(message)) != message:
                raise ValueError(f"a message of {len(message)} bytes came back changed")
            total_bytes += len(message)
    return total_bytes


def check(options: argparse.Namespace) -> None:
    """Run all connections at once and print a summary."""
    begin = coro.get_now()
    with coro.timeout(CHECK_LIMIT_S):
        sizes = coro.in_parallel([(exchange, (options, n + 1)) for n in range(options.connections)])
    seconds = (coro.get_now() - begin) / coro.ticks_per_sec
    messages = options.connections * options.messages
    print(
        f"{options.connections} connections x {options.messages} messages: all {messages} came back unchanged, "
        f"{sum(sizes)} bytes in {seconds:.2f} s ({messages / seconds:.0f} messages/s)"
    )


def explain(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, coro.InParallelError):
        failures = [result[1] for status, result in error.result_list if status == coro.FAILURE]
        return f"{len(failures)} of {len(error.result_list)} connections failed, the first: {explain(failures[0])}"
    return "the server closed the connection early" if isinstance(error, EOFError) else str(error)


def main() -> None:
    """Read the command line and run; a failure is one line on stderr and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m examples.echo_client", description="Talk to an echo server.")
    parser.add_argument("--host", default="127.0.0.1", help="the server's address or name (%(default)s)")
    parser.add_argument("--port", type=int, help="the server's port")
    parser.add_argument("--unix", metavar="PATH", help="the server's Unix socket, instead of host and port")
    parser.add_argument("--check", action="store_true", help="send messages and compare, instead of stdin's lines")
    parser.add_argument("--connections", type=int, default=100, help="how many at once, for --check (%(default)s)")
    parser.add_argument("--messages", type=int, default=50, help="how many over each, for --check (%(default)s)")
    options = parser.parse_args()
    if options.port is None and options.unix is None:
        parser.error("name the server: --port PORT or --unix PATH")
    try:
        coro.run(check if options.check else send_lines, options)
    except (OSError, EOFError, coro.InParallelError) as error:
        sys.exit(f"echo_client: {explain(error)}")


if __name__ == "__main__":
    main()
