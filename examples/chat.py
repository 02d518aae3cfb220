"""A chat server for telnet and nc: one room, names, and nobody who can hold up the others.

Every guest has two threads.  The reader takes in the guest's lines and hands each to everybody in the room; the
writer takes what waits in the guest's own queue and sends it.  So saying something to a hundred guests is a
hundred pushes, and none of them waits for a network.

What if a guest does not read?  The guest's writer waits in send(), and the queue, a bounded fifo, fills up.
When it is full, the guest is dropped, with a line that says so in the place of all that was missed; one who
does not read even that is cut off after a while.  The others notice nothing but a line of news.

What a guest types goes to the terminals of others, so whatever is not printable in it is escaped.

    python -m examples.chat --port 7777
    telnet 127.0.0.1 7777        (or nc)
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
from typing import Any

import coro
from examples.telnet import Telnet

LONGEST_LINE_BYTES = 1000
LONGEST_NAME = 20
MAX_WAITING_LINES = 200
# How long a guest may take to make room for one more line, in seconds.
PATIENCE_S = 10.0
# What the kernel may keep for a guest who does not read; what is beyond is ours to count.
KERNEL_BUFFER_BYTES = 32768

HELP = "/who lists the guests, /nick NAME changes your name, /quit leaves; all else is said to everybody"


class Room:
    """The guests, by name."""

    def __init__(self) -> None:
        self.guests: dict[str, Guest] = {}

    def say(self, text: str) -> None:
        """Hand a line to everybody.  Does not yield: nobody's network is waited for."""
        for guest in list(self.guests.values()):
            guest.tell(text)

    def enter(self, guest: Guest, name: str) -> None:
        """Let a guest in, or change a name.  Raises ValueError, which says what is wrong with the name."""
        if not 1 <= len(name) <= LONGEST_NAME or " " in name or name.startswith("/"):
            raise ValueError(f"a name has 1 to {LONGEST_NAME} characters, no space, and no / in front")
        if any(name.casefold() == other.casefold() for other in self.guests if other != guest.name):
            raise ValueError(f"the name {name} is taken")
        self.guests.pop(guest.name, None)
        self.guests[name] = guest
        guest.name = name

    def leave(self, guest: Guest, why: str) -> None:
        """Let a guest out and tell the others; harmless for one who has left already."""
        if self.guests.pop(guest.name, None) is not None:
            self.say(f"* {guest.name} {why}")


class Guest:
    """One connection.

    name: "" until the guest has told it.
    """

    def __init__(self, connection: coro.sock, room: Room) -> None:
        self.connection = connection
        self.room = room
        self.name = ""
        self.telnet = Telnet()
        # What waits to be sent; None ends it.  Two more places than lines: a last line and the None always fit.
        self.queue = coro.fifo(MAX_WAITING_LINES + 2)
        self.is_leaving = False

    def tell(self, text: str) -> None:
        """Have a line sent to this guest.  Does not yield."""
        self.enqueue(f"{text}\r\n".encode())

    def enqueue(self, data: bytes) -> None:
        """Have bytes sent, in their turn; a guest for whom too much waits is dropped.  Does not yield."""
        if self.is_leaving:
            return
        if len(self.queue) < MAX_WAITING_LINES:
            self.queue.push(data)
            return
        self.queue.pop_all()
        self.dismiss(f"* you were dropped: {MAX_WAITING_LINES} lines were waiting for you to read them")
        self.room.leave(self, "was dropped: too slow a reader")

    def dismiss(self, text: str) -> None:
        """Have a last line sent, and the connection ended.  Does not yield."""
        if not self.is_leaving:
            self.is_leaving = True
            self.queue.push(f"{text}\r\n".encode())
            self.queue.push(None)

    def write(self) -> None:
        """What the writer does: send what is queued, then end the connection."""
        try:
            while (data := self.queue.pop()) is not None:
                with coro.timeout(PATIENCE_S):
                    self.connection.send(data)
        except OSError:
            # Gone, or without any progress for too long (a coro.TimeoutError is an OSError).
            self.room.leave(self, "was lost")
        finally:
            self.is_leaving = True
            # The reader sees the end of the stream.
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def read(self) -> None:
        """What the reader does: obey the guest's lines until the last one."""
        self.tell("Welcome!  What is your name?")
        try:
            for line in coro.buffered_stream(self.receive, limit=LONGEST_LINE_BYTES):
                self.obey(printable(line))
                if self.is_leaving:
                    return
        except ValueError:
            self.dismiss(f"* a line may be {LONGEST_LINE_BYTES} bytes long")

    def receive(self) -> bytes:
        """The next piece of what the guest types, without telnet's commands; b"" at the end."""
        while data := self.connection.recv(4096):
            typed = self.telnet.receive(data)
            self.telnet.commands.clear()
            if answers := self.telnet.take_answers():
                self.enqueue(answers)
            if typed:
                return typed
        return b""

    def obey(self, line: str) -> None:
        """Do what one line says."""
        command, _, rest = line.partition(" ")
        if not self.name:
            self.be_called(line)
        elif command == "/nick":
            self.be_called(rest.strip())
        elif command == "/who":
            self.tell(f"* {len(self.room.guests)} here: {', '.join(self.room.guests)}")
        elif command == "/quit":
            self.dismiss("* goodbye")
        elif command.startswith("/"):
            self.tell(f"* {HELP}")
        elif line:
            self.room.say(f"<{self.name}> {line}")

    def be_called(self, name: str) -> None:
        """Take a name, the first or a new one."""
        before = self.name
        try:
            self.room.enter(self, name)
        except ValueError as error:
            self.tell(f"* {error}")
            return
        coro.current().set_name(f"reader for {name}")
        self.room.say(f"* {before} is now {name}" if before else f"* {name} has joined")
        if not before:
            self.tell(f"* {HELP}")


def printable(line: bytes) -> str:
    """A line as it came, for a terminal: without its end, and with whatever is not printable escaped."""
    text = line.decode(errors="backslashreplace").strip("\r\n\0 ")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def attend(connection: coro.sock, address: Any, room: Room) -> None:
    """Serve one guest: this thread is the reader."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
    guest = Guest(connection, room)
    writer = coro.spawn(guest.write, thread_name=f"writer to {address[0]}:{address[1]}")
    try:
        guest.read()
        room.leave(guest, "has left")
        guest.dismiss("* goodbye")
        writer.join()
    finally:
        # In case of an error, or at the server's end.
        room.leave(guest, "was lost")
        writer.shutdown()


def serve(options: argparse.Namespace) -> None:
    """Open the room, say where, and go on until the process is told to end."""
    server = coro.tcp_server((options.host, options.port), attend, Room(), name="chat")
    host, port = server.address[:2]
    print(f"chat at {host} port {port}; try: telnet {host} {port}", flush=True)
    try:
        server.join()
    finally:
        server.close()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m examples.chat", description="Serve a chat room.")
    parser.add_argument("--host", default="127.0.0.1", help="address or name to listen at (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen at; 0, the default, takes a free one")
    try:
        coro.run(serve, parser.parse_args())
    except (OSError, ValueError) as error:
        # A port that is taken, or out of range.
        sys.exit(f"chat: {error}")


if __name__ == "__main__":
    main()
