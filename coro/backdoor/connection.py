"""One accepted socket, which the loop and the sentinel share.

The loop's threads read and write it; while the loop is stuck, the sentinel (an OS thread) does.  Whoever touches
the socket or the parsed input holds the *claim*, a native lock that nobody ever waits for: who does not get it at
once goes away and comes again.  What the sentinel has read but cannot answer stays in `backlog` for the loop.

State: `backlog`, `pending` and `inbound` belong to the holder of the claim.  `busy` is written by the loop's
threads only: while it is set the sentinel only peeks.

Facts about the world that shaped this file:
- A descriptor is edge-triggered: read until EAGAIN before waiting.
- An OS thread cannot wake a thread of ours; it posts a function to the loop that does (`nudge`).
"""

from __future__ import annotations

import _thread
import select
import socket
from collections import deque
from collections.abc import Callable

from coro.backdoor.inbound import Inbound, InboundEvent
from coro.backdoor.pace import Pace
from coro.backdoor.peers import Peer
from coro.descriptors import Descriptor, descriptors
from coro.exceptions import TimeoutError
from coro.loop import loop
from coro.scheduler import scheduler
from coro.timed import sleep_relative
from coro.wire.protocol import MAX_OUTPUT_BYTES

__all__ = ["FLOOD_DUTY", "FLOOD_SLICE_NS", "PROGRESS_S", "READ_SIZE_BYTES", "Connection", "ConnectionLost"]

READ_SIZE_BYTES = 4096
# One send of at most this much; the kernel takes it in a few microseconds.
WRITE_SIZE_BYTES = 65_536
# A session whose peer takes nothing for so long is dropped.
PROGRESS_S = 10.0
# A flood of input is taken in slices of 1 ms, and four times as long nothing is done: the others go first.
FLOOD_SLICE_NS = 1_000_000
FLOOD_DUTY = 0.2
# How soon to come again when the sentinel holds the claim.
CLAIM_RETRY_S = 0.005


class ConnectionLost(Exception):
    """The peer is gone, or has been dropped; `reason` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connection:
    """A socket with its peer.  Closing it twice is harmless."""

    __slots__ = (
        "__weakref__",
        "_pace",
        "backlog",
        "busy",
        "claim",
        "closed",
        "descriptor",
        "eof",
        "flushing",
        "inbound",
        "last_input_ns",
        "lost",
        "number",
        "opened_ns",
        "peer",
        "pending",
        "progress_s",
        "received_bytes",
        "sock",
    )

    def __init__(self, sock: socket.socket, peer: Peer, number: int, *, progress_s: float = PROGRESS_S) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.peer = peer
        self.number = number
        self.progress_s = progress_s
        self.descriptor = Descriptor(sock.fileno())
        self.inbound = Inbound(is_unix=peer.kind == "unix")
        self.claim = _thread.allocate_lock()
        # What was received, parsed by `feed`, and not yet handled.
        self.backlog: deque[InboundEvent] = deque()
        self.pending = bytearray()
        # A thread of the loop is writing `pending`.
        self.flushing = False
        # A line or command runs, so input that comes now is typed ahead.
        self.busy = False
        self.eof = False
        self.closed = False
        # Why the connection cannot be used any more; None while it can.
        self.lost: str | None = None
        self.opened_ns = self.last_input_ns = scheduler.clock()
        self.received_bytes = 0
        # The reader's.
        self._pace = Pace(FLOOD_SLICE_NS, FLOOD_DUTY)

    # -- reading, by the loop's threads

    def next_event(self, timeout: float | None = None) -> InboundEvent | None:
        """The next piece of parsed input; None at the end of the stream.

        timeout: seconds without any byte, None for ever.
        Yields.  Raises ConnectionLost (reset, dropped), coro.TimeoutError.
        """
        while True:
            # As long as there is input the reader would not wait, neither here nor anywhere else.
            self._pace.breathe()
            if self.claim.acquire(False):
                try:
                    if self.backlog:
                        return self.backlog.popleft()
                finally:
                    self.claim.release()
            if not self.await_input(timeout):
                return None

    def await_input(self, timeout: float | None = None) -> bool:
        """Wait for bytes, which need not be an event yet; False at the end of the stream.

        Does not wait if the backlog holds something.  Yields; timeout and errors as next_event().
        """
        while True:
            if not self.claim.acquire(False):
                # The sentinel is at it; it will nudge.
                self._wait(CLAIM_RETRY_S, patient=False)
                continue
            try:
                if self.backlog:
                    return True
                if self.lost is not None:
                    raise ConnectionLost(self.lost)
                if self.eof:
                    return False
                received = self.receive()
            finally:
                self.claim.release()
            if not received:
                self._wait(timeout, patient=True)
            elif not self.eof and self.lost is None:
                return True

    def settle(self, parse: Callable[[], list[InboundEvent]]) -> bool:
        """Add what `parse` (the inbound's silence or finish) makes of what has come.

        False if the claim is taken: come again.  Does not yield.
        """
        if not self.claim.acquire(False):
            return False
        try:
            self.backlog.extend(parse())
        finally:
            self.claim.release()
        return True

    def receive(self) -> bool:
        """Read once and parse; False if there was nothing to read.  For the holder of the claim.  Never blocks."""
        try:
            data = self.sock.recv(READ_SIZE_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self.lost = self.lost or f"the connection broke: {error.strerror or error}"
            return True
        self.last_input_ns = scheduler.clock()
        if not data:
            self.eof = True
            return True
        self.received_bytes += len(data)
        self.backlog.extend(self.inbound.feed(data))
        replies = self.inbound.replies()
        if replies:
            # At once: telnet discards all output until its timing mark is answered.
            self.pending += replies
            self.send_pending()
            if len(self.pending) > 2 * MAX_OUTPUT_BYTES:
                self.lost = self.lost or "too much output waited for the peer"
                self.pending.clear()
        return True

    def has_hung_up(self) -> bool:
        """Whether the peer has closed its side, or the connection broke; also if unread input comes before that.

        False where the system does not tell.  Does not yield.
        """
        hang_up = getattr(select, "POLLRDHUP", 0)
        poller = select.poll()
        poller.register(self.sock.fileno(), hang_up)
        return bool(poller.poll(0))

    def _wait(self, timeout: float | None, *, patient: bool) -> None:
        if self.closed:
            self.lost = self.lost or "the connection was closed"
            return
        try:
            self.descriptor.wait_readable(timeout)
            self._pace.restart()
        except TimeoutError:
            if patient:
                raise
        except OSError as error:
            self.lost = self.lost or f"the connection broke: {error.strerror or error}"

    def nudge(self) -> None:
        """Have the reader look again.  Only in the loop; from another OS thread: loop.post(connection.nudge)."""
        self.descriptor.readable = True
        reader = self.descriptor.reader
        if reader is not None:
            scheduler.wake(reader)

    # -- writing, by the loop's threads

    def write(self, data: bytes) -> None:
        """Send bytes.  Yields while the peer does not take them, or more than 1 MiB is queued.

        Raises ConnectionLost if the peer is gone, or took nothing for `progress_s`.
        """
        if self.lost is not None:
            raise ConnectionLost(self.lost)
        self.pending += data
        if not self.flushing:
            self.flush()
            return
        # Another thread is writing and takes this along; but a producer does not run ahead of the peer.
        while len(self.pending) > MAX_OUTPUT_BYTES and self.lost is None:
            sleep_relative(0.01)
        if self.lost is not None:
            raise ConnectionLost(self.lost)

    def enqueue(self, data: bytes) -> None:
        """Have bytes sent without waiting for it: what cannot be sent now goes with the next write().

        Does not yield.  A peer that lets more than 2 MiB pile up is dropped.
        """
        self.pending += data
        if len(self.pending) > 2 * MAX_OUTPUT_BYTES:
            self.drop("too much output waited for the peer")
        elif not self.flushing and self.lost is None:
            self.send_some()

    def flush(self) -> None:
        """Send all that is pending.  Yields; raises as write()."""
        while self.flushing:
            sleep_relative(0.01)
        self.flushing = True
        try:
            while self.pending:
                if self.lost is not None:
                    raise ConnectionLost(self.lost)
                sent = self.send_some()
                if sent < 0:
                    sleep_relative(CLAIM_RETRY_S)
                elif sent == 0:
                    self._wait_writable()
        finally:
            self.flushing = False
        if self.lost is not None:
            raise ConnectionLost(self.lost)

    def send_some(self) -> int:
        """Send once; the number of bytes that went, 0 if the peer does not read, -1 if the claim is taken."""
        if not self.claim.acquire(False):
            return -1
        try:
            return self.send_pending()
        finally:
            self.claim.release()

    def send_pending(self) -> int:
        """As send_some(), for the holder of the claim."""
        if not self.pending:
            return 0
        try:
            # A view of a bytearray forbids resizing it while it lives, so a copy of the piece.
            sent = self.sock.send(bytes(self.pending[:WRITE_SIZE_BYTES]))
        except BlockingIOError:
            return 0
        except OSError as error:
            self.lost = self.lost or f"the connection broke: {error.strerror or error}"
            self.pending.clear()
            return 0
        del self.pending[:sent]
        return sent

    def _wait_writable(self) -> None:
        if self.lost is not None:
            return
        try:
            self.descriptor.wait_writable(self.progress_s)
        except TimeoutError:
            self.drop(f"the peer read nothing for {self.progress_s:g} s")
        except OSError as error:
            self.lost = self.lost or f"the connection broke: {error.strerror or error}"

    # -- its end

    def drop(self, reason: str) -> None:
        """Give the connection up: whoever reads or writes it gets ConnectionLost.  Does not yield."""
        if self.lost is None:
            self.lost = reason
        self.pending.clear()
        self.backlog.clear()
        self.nudge()
        writer = self.descriptor.writer
        if writer is not None:
            self.descriptor.writable = True
            scheduler.wake(writer)

    def close(self) -> None:
        """Close the socket, or soon, if the sentinel is at it.  In the loop's OS thread; does not yield."""
        if self.closed:
            return
        self.closed = True
        self.lost = self.lost or "the connection was closed"
        if loop.running and self.descriptor.registered:
            descriptors.close(self.descriptor)
        self._close_socket()

    def _close_socket(self) -> None:
        """Close it when nobody is at it: the next connection gets its number, and must not get its output."""
        if self.claim.acquire(False):
            try:
                self.sock.close()
            finally:
                self.claim.release()
        elif loop.running:
            # The sentinel gives way, now that the loop turns.
            loop.post(self._close_socket)
        else:
            self.sock.close()
