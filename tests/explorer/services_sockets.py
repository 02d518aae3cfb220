"""Sockets over Unix socket pairs: every byte arrives once and in order, whoever is interrupted or closes."""

from __future__ import annotations

import builtins
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import coro
from coro.testing import ChanceInterrupt, choose
from tests.explorer.services_tools import Knock, Knocks, hear, pause

__all__ = [
    "READS",
    "WRITES",
    "Stream",
    "closed_while_waiting",
    "echo",
    "large_piece",
    "lines",
    "pair",
    "second_reader",
    "streams",
    "waits_by_number",
]

T = TypeVar("T")

# What the kernel makes of the least size: a message larger than that needs several sends.
_SMALL_BUFFER = 1
_LONG = 9000
# How many ways to read Stream.read() knows, and to write Stream.write().
READS, WRITES = 5, 3


@contextmanager
def pair() -> Iterator[tuple[coro.sock, coro.sock]]:
    """Two connected sockets with buffers as small as there are; closed at the end."""
    left, right = coro.socketpair()
    with left, right:
        for sock in (left, right):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL_BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        yield left, right


def _pattern(start: int, size: int) -> bytes:
    """The bytes of an endless stream, from `start` on, which does not repeat itself soon."""
    return bytes((at * 7 + at // 251) & 0xFF for at in range(start, start + size))


class Stream:
    """One direction of a connection, and how far each side has come, in bytes.

    sent: what the kernel has taken.  received: what came out, and was as it must be.
    """

    def __init__(self, source: coro.sock, target: coro.sock, knocks: Knocks) -> None:
        self.source = source
        self.target = target
        self.knocks = knocks
        self.reader = coro.sock_stream(target)
        self.sent = 0
        self.received = 0

    def send(self) -> None:
        """Send one to three pieces, going on where an interrupt stopped it; then no more."""
        try:
            for _ in range(1 + choose(3)):
                self.send_piece((10, 1, _LONG)[choose(3)])
                self.doze()
        finally:
            # When a schedule has failed, the socket is closed already.
            with suppress(OSError):
                self.source.shutdown(socket.SHUT_WR)
        self.knocks.drain()

    def doze(self) -> None:
        try:
            pause()
        except coro.Interrupted as interrupt:
            self.take(interrupt)

    def send_piece(self, size: int, kind: int | None = None) -> None:
        """Send so many bytes, going on where an interrupt stopped it; kind: how, None to choose each time."""
        end = self.sent + size
        while self.sent < end:
            piece = _pattern(self.sent, end - self.sent)
            try:
                self.write(piece, choose(WRITES) if kind is None else kind)
            except (coro.Interrupted, builtins.TimeoutError) as error:
                # An interrupt that a timeout turned into its error: who raised it first knows how far it got.
                cause: Any = error.__cause__ if isinstance(error, coro.TimeoutError) else error
                self.sent += getattr(cause, "sent_bytes", 0)
                self.take(error)
            else:
                self.sent = end

    def write(self, piece: bytes, kind: int) -> None:
        if kind == 0:
            coro.with_timeout(1, self.source.sendall, piece)
        elif kind == 1:
            self.source.settimeout(1)
            assert self.source.send(piece) == len(piece)
        else:
            self.source.settimeout(None)
            self.source.writev([piece[:3], piece[3:]])

    def take(self, error: BaseException) -> None:
        """Note an interrupt, and go on; raises what is none that may come."""
        if isinstance(error, Knock):
            self.knocks.receive(error)
        elif not isinstance(error, (builtins.TimeoutError, ChanceInterrupt)):
            raise error

    def receive(self) -> None:
        """Read to the end of the stream, in any way that loses nothing when it is interrupted."""
        while self.receive_piece():
            self.doze()
        self.knocks.drain()

    def receive_piece(self, kind: int | None = None) -> bool:
        """Read once, and check what came; False at the end of the stream.  kind: how, None to choose."""
        try:
            data = self.read(choose(READS) if kind is None else kind)
        except (coro.Interrupted, builtins.TimeoutError) as error:
            cause: Any = error.__cause__ if isinstance(error, coro.TimeoutError) else error
            self.check(getattr(cause, "partial_bytes", b""))
            self.take(error)
            return True
        self.check(data)
        return bool(data)

    def read(self, kind: int) -> bytes:
        if kind == 0:
            return self.reader.flush() or self.target.recv(4000)
        if kind == 1:
            return coro.with_timeout(1, self.reader.read_exact, 7)
        if kind == 2:
            self.target.settimeout(1)
            return self.reader.read_exact(_LONG // 2)
        if kind == 3:
            self.target.settimeout(None)
            return self.reader.read_until(b"\x00")
        return self.recv_exactly(5000)

    def recv_exactly(self, size: int) -> bytes:
        buffered = self.reader.flush()
        if buffered:
            return buffered
        try:
            return self.target.recv_exact(size)
        except EOFError as error:
            rest: bytes = error.args[0]
            return rest

    def check(self, data: bytes) -> None:
        assert data == _pattern(self.received, len(data)), f"other bytes than were sent, after {self.received}"
        self.received += len(data)


def streams() -> None:
    """Both directions of a connection, with timeouts; a stranger interrupts senders and receivers."""
    knocks = Knocks()
    with hear(), pair() as (left, right):
        flows = [Stream(left, right, knocks)]
        if choose(2):
            flows.append(Stream(right, left, knocks))
        threads = [coro.spawn(flow.send, thread_name="sender") for flow in flows]
        threads += [coro.spawn(flow.receive, thread_name="receiver") for flow in flows]
        for _ in range(choose(4)):
            pause()
            knocks.knock(threads[choose(len(threads))])
        for thread in threads:
            thread.join()
    knocks.check(excused=lambda thread: isinstance(thread.error, ChanceInterrupt))
    for flow in flows:
        assert flow.received == flow.sent, f"{flow.sent} bytes were sent, {flow.received} received"


def echo() -> None:
    """A client sends lines and waits for each to come back; the server ends when the client does."""
    with pair() as (left, right):

        def serve() -> None:
            while data := right.recv(100):
                right.sendall(data)
            right.close()

        def ask() -> None:
            for number in range(3):
                question = b"%d" % number * (1 + choose(20))
                left.sendall(question)
                assert left.recv_exact(len(question)) == question
            left.shutdown(socket.SHUT_WR)
            assert left.recv(1) == b""

        server = coro.spawn(serve, thread_name="server")
        coro.spawn(ask, thread_name="client").join()
        server.join()


def large_piece() -> None:
    """A piece that is larger than all buffers is sent while the other side reads."""
    received = 0
    with pair() as (left, right):

        def write() -> None:
            left.sendall(bytes(3 * _LONG))
            left.close()

        writer = coro.spawn(write, thread_name="writer")
        while data := right.recv(1 + choose(2) * _LONG):
            received += len(data)
            if choose(2):
                # More room than is needed to be told of it.
                received += len(right.recv_exact(min(_LONG, 3 * _LONG - received)))
        writer.join()
    assert received == 3 * _LONG


def lines() -> None:
    """A reader of lines that is interrupted in the middle of one finds all of it when it asks again."""
    wanted = [b"one\n", b"two two\n", b"three three three\n", b"the rest"]
    text = b"".join(wanted)
    got: list[bytes] = []
    with pair() as (left, right):
        reader = coro.sock_stream(right)

        def write() -> None:
            at = 0
            try:
                while at < len(text):
                    size = 1 + choose(12)
                    left.sendall(text[at : at + size])
                    at += size
                    pause()
            finally:
                left.close()

        def read() -> None:
            while len(got) < len(wanted):
                try:
                    line = coro.with_timeout(1, reader.read_until, b"\n")
                except (coro.TimeoutError, ChanceInterrupt):
                    continue
                if not line:
                    break
                got.append(line)

        writer = coro.spawn(write, thread_name="writer")
        coro.spawn(read, thread_name="reader").join()
        writer.join()
    if writer.error is None:
        assert got == wanted, got
    else:
        assert text.startswith(b"".join(got)), got


def _again(operation: Callable[[], T]) -> T:
    """Do it, however often it is interrupted or timed out."""
    while True:
        try:
            return operation()
        except (ChanceInterrupt, builtins.TimeoutError):
            continue


def waits_by_number() -> None:
    """One thread waits for a descriptor by its number, or asks its socket, while another sends over the same."""
    wanted = b"abcdefgh"
    got: list[bytes] = []
    with pair() as (left, right):

        def wait() -> None:
            kind = choose(4)
            if kind == 1:
                coro.wait_for_read(right.fileno(), 2)
            elif kind == 2:
                right.wait_for_read()
            elif kind == 3:
                assert coro.wait_for(right, coro.READ) == coro.READ

        def read() -> None:
            while b"".join(got) != wanted:
                _again(wait)
                got.append(_again(lambda: right.recv(3)))
                assert wanted.startswith(b"".join(got))

        def send() -> None:
            right.settimeout((None, 1)[choose(2)])
            sent = 0
            while sent < _LONG:
                try:
                    sent += right.send(bytes(_LONG - sent))
                except (ChanceInterrupt, builtins.TimeoutError) as error:
                    sent += getattr(error, "sent_bytes", 0)

        threads = [coro.spawn(read, thread_name="reader"), coro.spawn(send, thread_name="sender")]
        received = 0
        for start in range(0, len(wanted), 4):
            pause()
            left.sendall(wanted[start : start + 4])
            pause()
            received += len(left.recv_exact(_LONG // 4))
        received += len(left.recv_exact(_LONG - received))
        for thread in threads:
            thread.join()


def closed_while_waiting() -> None:
    """A socket is closed while one thread waits to read, another to write: both learn of it, as does the peer."""
    ends: list[str] = []
    with pair() as (left, right):

        def wait(name: str, operation: Any, *arguments: Any) -> None:
            before = coro.current().switches
            try:
                operation(*arguments)
            except coro.ClosedError:
                ends.append(name)
            except OSError:
                # It came too late to wait at all, or had yielded between two pieces.
                assert name == "writer" or coro.current().switches == before
                ends.append(name)
            except coro.Interrupted:
                ends.append(name)
                raise
            else:
                raise AssertionError(f"{name} came to an end at a socket that was closed")

        waiters = [
            coro.spawn(wait, "reader", left.recv, 10, thread_name="reader"),
            coro.spawn(wait, "writer", left.sendall, bytes(100_000), thread_name="writer"),
        ]
        pause()
        left.close()
        for waiter in waiters:
            waiter.join()
        assert len(ends) == sum(1 for waiter in waiters if waiter.switches > 0 or waiter.error is None), ends
        while right.recv(65536):
            coro.yield_slice()


def second_reader() -> None:
    """Two threads read from one socket: who comes second while the other waits is refused, nothing is lost."""
    got: list[bytes] = []
    refused: list[coro.coro] = []
    with pair() as (left, right):

        def read() -> None:
            pause()
            try:
                got.append(right.recv(1))
            except coro.SimultaneousError as error:
                assert error.other is not coro.current() and error.co is coro.current()
                assert error.other in readers
                refused.append(coro.current())

        readers = [coro.spawn(read, thread_name=f"reader {number}") for number in range(2)]
        pause()
        left.sendall(b"ab")
        for reader in readers:
            reader.join()
        left.close()
        rest = right.recv(10)
    assert b"".join(got) + rest == b"ab", (got, rest)
    assert len(got) + len(refused) + sum(1 for reader in readers if reader.error is not None) == 2
