"""Random operations on many sockets from many threads, with random interrupts and timeouts: every byte arrives.

Each direction of each connection has one sender and one receiver; both are interrupted at random moments, look at
what the interrupt says of how far they got, and go on from there.
"""

import builtins
import random
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coro
from coro import testing
from tests.io.pairs import stream_pair

# Of interrupts; then they get on undisturbed, for TCP with small buffers takes its (real) time.
ROUNDS = 300


class Link:
    """One direction of a connection: what is to be sent, and what has arrived."""

    def __init__(self, rng: random.Random, sender: coro.sock, receiver: coro.sock, size: int) -> None:
        self.rng = rng
        self.sender = sender
        self.receiver = receiver
        self.data = rng.randbytes(size)
        self.arrived = bytearray()
        self.finished = 0

    def send_all(self) -> None:
        """Send everything, whatever interrupts it."""
        sent = 0
        while sent < len(self.data):
            piece = self.data[sent : sent + self.rng.choice((1, 100, 3000, 70_000))]
            try:
                sent += self._send(piece)
            except (coro.WakeUp, builtins.TimeoutError, BlockingIOError) as error:
                sent += getattr(error, "sent_bytes", 0)
                if isinstance(error, BlockingIOError):
                    self._wait(self.sender.wait_for_write)
        self.sender.shutdown(socket.SHUT_WR)
        self.finished += 1

    def _send(self, piece: bytes) -> int:
        self.sender.settimeout(self.rng.choice((None, None, 0.001, 5, 0)))
        match self.rng.randrange(5):
            case 0:
                return self.sender.send(piece)
            case 1:
                self.sender.sendall(piece)
                return len(piece)
            case 2:
                middle = len(piece) // 2
                return self.sender.writev([piece[:middle], b"", piece[middle:]])
            case 3:
                return self.sender.sendmsg([piece])
            case _:
                return self.sender.send(piece, socket.MSG_DONTWAIT)

    def receive_all(self) -> None:
        """Receive up to the end, whatever interrupts it."""
        ended = False
        while not ended:
            try:
                piece = self._receive()
                self.arrived += piece
                ended = not piece
            except EOFError as error:
                self.arrived += error.args[0]
                ended = True
            except (coro.WakeUp, builtins.TimeoutError, BlockingIOError) as error:
                self.arrived += getattr(error, "partial_bytes", b"")
                if isinstance(error, BlockingIOError):
                    self._wait(self.receiver.wait_for_read)
        self.finished += 1

    def _receive(self) -> bytes:
        size = self.rng.choice((1, 100, 1000, 20_000))
        self.receiver.settimeout(self.rng.choice((None, None, 0.001, 5, 0)))
        match self.rng.randrange(7):
            case 0 | 1:
                return self.receiver.recv(size)
            case 2:
                return self.receiver.recv_exact(size)
            case 3:
                buffer = bytearray(size)
                return bytes(buffer[: self.receiver.recv_into(buffer)])
            case 4:
                return b"".join(self.receiver.readv([size // 2, 0, size]))
            case 5:
                return self.receiver.recv(size, socket.MSG_WAITALL)
            case _:
                seen = self.receiver.recv(size, socket.MSG_PEEK)
                found = self.receiver.recv(len(seen)) if seen else b""
                assert found == seen
                return found

    def _wait(self, wait: Any) -> None:
        try:
            wait(self.rng.choice((None, 0, 0.001)))
        except (coro.WakeUp, builtins.TimeoutError):
            return


def interrupt_at_random(rng: random.Random, victims: list[coro.coro]) -> None:
    """Interrupt threads, at moments when they wait, run or have just been woken."""
    for _ in range(ROUNDS):
        alive = [thread for thread in victims if not thread.dead]
        for thread in alive:
            match rng.randrange(12):
                case 0:
                    if thread.started:
                        thread.raise_exception(coro.WakeUp())
                case 1:
                    # A stranger's schedule() must not pass for readiness.
                    if not thread.scheduled:
                        thread.schedule()
                case 2:
                    thread.set_max_selfish_acts(rng.randint(1, 5))
                case _:
                    pass
        if rng.random() < 0.3:
            coro.sleep_relative(rng.choice((0.0001, 0.002)))
        else:
            coro.yield_slice()


def play(seed: int, pairs: int, size: int) -> None:
    rng = random.Random(seed)
    owned: list[Any] = []

    def own(thing: Any) -> Any:
        owned.append(thing)
        return thing

    try:
        links = []
        for _ in range(pairs):
            left, right = stream_pair(rng.choice(("tcp", "unix")), own)
            for one in (left, right):
                # Small buffers: the more often they wait the better.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            links.append(Link(rng, left, right, rng.randrange(size)))
            links.append(Link(rng, right, left, rng.randrange(size)))
        # Two threads of one socket set its timeout for each other: the more mixed the better.
        threads = [coro.spawn(task) for link in links for task in (link.send_all, link.receive_all)]
        interrupter = coro.spawn(interrupt_at_random, rng, threads)
        for thread in threads:
            thread.result()
        interrupter.join()
        for link in links:
            assert link.finished == 2
            assert link.arrived == link.data
    finally:
        for thing in owned:
            thing.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), pairs=st.integers(1, 6), size=st.sampled_from((1, 100, 10_000, 100_000)))
def test_streams_arrive_intact_under_interrupts_and_timeouts(seed: int, pairs: int, size: int) -> None:
    testing.run(play, seed, pairs, size)


@pytest.mark.slow
def test_streams_arrive_intact_in_real_time() -> None:
    coro.run(play, random.randrange(2**32), 20, 100_000)
