"""Pipes and socket pairs for tests of descriptors."""

import os
import socket
from typing import Any

import coro
from coro.loop import loop


class Pipe:
    """A pipe that closes what is still open of it."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self.write_end, False)
        self.open = {self.read_end, self.write_end}

    def put(self, data: bytes = b"x") -> None:
        os.write(self.write_end, data)

    def take(self) -> bytes:
        return os.read(self.read_end, 100)

    def fill(self) -> None:
        """Write until no more fits."""
        while True:
            try:
                os.write(self.write_end, bytes(4096))
            except BlockingIOError:
                return

    def drain(self) -> None:
        """Read until nothing is left."""
        while True:
            try:
                os.read(self.read_end, 1 << 16)
            except BlockingIOError:
                return

    def close(self, *fds: int) -> None:
        for fd in fds or tuple(self.open):
            self.open.remove(fd)
            os.close(fd)


def fill(sender: socket.socket) -> None:
    """Send until no more fits."""
    while True:
        try:
            sender.send(bytes(4096))
        except BlockingIOError:
            return


def drain(receiver: socket.socket) -> None:
    """Receive until nothing is left."""
    while True:
        try:
            receiver.recv(1 << 16)
        except BlockingIOError:
            return


def waited_for() -> dict[tuple[int, str], Any]:
    """The event map without the loop's own wake-up descriptor."""
    return {event: who for event, who in coro.event_map.items() if who != loop.woken}


def read_late(pipe: Pipe) -> bytes:
    coro.wait_for_read(pipe.read_end)
    return pipe.take()
