"""A spy: a proxy that prints what passes between a client and a server.

It listens, and for every client connects to the target and relays both ways.  Each way is a thread that does
nothing but receive and send, so neither can hold up the other.  A side that reads slowly slows its own sender:
send() waits, and nothing more is received meanwhile.  No buffer grows, however large the download.

TCP streams end one way at a time.  A client may have finished sending and still wait for the answer, so the end
of one way is passed on as such, with shutdown(SHUT_WR), and the connection is over when both ways have ended.

    python -m http.server 8000 &
    python -m examples.spy 127.0.0.1:8000 --port 8001
    curl http://127.0.0.1:8001/
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import socket
import sys
from typing import Any

import coro

CHUNK_BYTES = 65536


class Way:
    """One direction of a connection.

    label: how its lines begin, such as "#3 client -> server".
    show_bytes: how much of what passes is printed, of each piece.
    """

    def __init__(self, label: str, source: coro.sock, sink: coro.sock, show_bytes: int) -> None:
        self.label = label
        self.source = source
        self.sink = sink
        self.show_bytes = show_bytes
        self.passed_bytes = 0

    def relay(self) -> None:
        """Pass on all that comes, and then the end; an error cuts both ways."""
        try:
            while data := self.source.recv(CHUNK_BYTES):
                self.show(data)
                self.sink.send(data)
                self.passed_bytes += len(data)
            self.say(f"end of stream after {self.passed_bytes} bytes")
            self.sink.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.say(f"broken after {self.passed_bytes} bytes: {error}")
            # Half of a broken connection is of no use.  The other way, wherever it waits, sees an end now.
            for end in (self.source, self.sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def show(self, data: bytes) -> None:
        """Print what passes.  repr() escapes: no byte of it can play tricks on the terminal."""
        left_out = " ..." if len(data) > self.show_bytes else ""
        self.say(f"{len(data):6} bytes  {data[: self.show_bytes]!r}{left_out}")

    def say(self, text: str) -> None:
        """Print a line about this way."""
        print(f"{self.label}  {text}", flush=True)


def spy(client: coro.sock, address: Any, numbers: itertools.count[int], options: argparse.Namespace) -> None:
    """Relay one connection: this thread the one way, a second thread the other."""
    label = f"#{next(numbers)}"
    host, port = options.target
    print(f"{label} connection from {address[0]} port {address[1]}", flush=True)
    with coro.tcp_sock() as server:
        try:
            server.connect((host, port))
        except OSError as error:
            print(f"{label} no connection to {host} port {port}: {error}", flush=True)
            return
        forth = Way(f"{label} client -> server", client, server, options.show)
        back = Way(f"{label} server -> client", server, client, options.show)
        with coro.Group() as group:
            group.spawn(back.relay, thread_name=back.label)
            forth.relay()
    print(f"{label} closed, {forth.passed_bytes} bytes forth, {back.passed_bytes} back", flush=True)


def serve(options: argparse.Namespace) -> None:
    """Listen, say where, and relay until the process is told to end."""
    server = coro.tcp_server((options.host, options.port), spy, itertools.count(1), options, name="spy")
    host, port = server.address[:2]
    print(f"spy at {host} port {port}, relaying to {options.target[0]} port {options.target[1]}", flush=True)
    try:
        server.join()
    finally:
        server.close()


def host_and_port(text: str) -> tuple[str, int]:
    """Read HOST:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return host, int(port)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.spy", description="Print what passes through a proxy."
    )
    parser.add_argument("target", type=host_and_port, metavar="HOST:PORT", help="the server to spy on")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen at; 0, the default, takes a free one")
    parser.add_argument("--show", type=int, default=200, help="bytes to print of each piece (%(default)s)")
    try:
        coro.run(serve, parser.parse_args())
    except (OSError, ValueError) as error:
        # A port that is taken, or out of range.
        sys.exit(f"spy: {error}")


if __name__ == "__main__":
    main()
