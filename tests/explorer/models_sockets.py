"""What may be observed of a pair of connected sockets that several threads use, close and open again."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import coro
from tests.explorer.actors import ServiceModel
from tests.explorer.model import Operation
from tests.explorer.services_sockets import READS, WRITES, Stream, pair

__all__ = ["Sockets"]

# A piece that fits into the kernel's buffers, and one that does not.
_SMALL, _LARGE = 10, 9000
_WAITS = 3


class _Flow(Stream):
    """One direction of a connection.

    sender, receiver: who sends and who receives now.
    is_finished: no more will be sent.  is_broken: one of the sockets was closed.
    to_be_told: who waited for a socket that was closed, and has not been interrupted since.
    """

    to_be_told: set[coro.coro]
    sender: coro.coro | None = None
    receiver: coro.coro | None = None
    is_finished = False
    is_broken = False

    @property
    def is_idle(self) -> bool:
        return self.sender is None and self.receiver is None

    def send_told(self, size: int, kind: int) -> None:
        self.sender = coro.current()
        try:
            self.use(partial(self.send_piece, size, kind))
        finally:
            self.sender = None

    def receive_told(self, act: Callable[[], object]) -> None:
        self.receiver = coro.current()
        try:
            self.use(act)
        finally:
            self.receiver = None

    def use(self, act: Callable[[], object]) -> None:
        """Do it.  What was closed may say so in many ways; what was not must work."""
        try:
            act()
        except (OSError, coro.ClosedError) as error:
            is_as_told = isinstance(error, coro.ClosedError) or coro.current() not in self.to_be_told
            if not (self.is_broken and is_as_told):
                raise AssertionError(f"unexpected from a socket, {self.is_broken=}: {error!r}") from error
        finally:
            self.to_be_told.discard(coro.current())

    def finish(self) -> None:
        self.is_finished = True
        self.use(partial(self.source.shutdown, socket.SHUT_WR))

    def wait(self, kind: int) -> None:
        """Wait until there is something to read, in one of the ways that believe no flag."""
        try:
            if kind == 0:
                coro.wait_for_read(self.target.fileno(), 2)
            elif kind == 1:
                self.target.wait_for_read()
            else:
                assert coro.wait_for(self.target, coro.READ) == coro.READ
        except coro.TimeoutError:
            return
        except ValueError:
            # Asked for by a number that there is no more.
            assert self.is_broken
        else:
            assert self.is_broken or _is_readable(self.target.fileno()), "nothing is there to be read"

    def intrude(self) -> None:
        """Come second: a thread waits to read already."""
        first = self.receiver
        if self.is_broken or first is None or first.waiting_for != "read" or first.scheduled:
            return
        ways: list[Callable[[], object]] = [partial(coro.wait_for_read, self.target.fileno(), 0)]
        if not self.target._descriptor.readable:
            ways.append(partial(self.target.recv, 1))
        for way in ways:
            try:
                way()
            except coro.SimultaneousError as error:
                assert (error.co, error.other) == (coro.current(), first)
            else:
                raise AssertionError(f"a second reader was let in beside {first!r}")

    def drain(self) -> None:
        """Take what is on its way from the kernel: nothing may be missing.  Does not yield."""
        self.check(self.reader.flush())
        with socket.socket(fileno=os.dup(self.target.fileno())) as twin:
            twin.setblocking(False)
            while _is_readable(twin.fileno()) and (data := twin.recv(_LARGE)):
                self.check(data)
        assert self.received == self.sent, f"{self.sent} bytes were sent, {self.received} came"


def _is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class Sockets(ServiceModel):
    """Each byte arrives once and in order, whoever is interrupted or timed out; who comes second is refused.

    Nobody waits for what the kernel has; closing a socket wakes all that wait for it.  New sockets on the same
    numbers know nothing of the former ones.
    """

    first_actors = 4
    descriptors = True

    def __init__(self) -> None:
        super().__init__()
        self.held = ExitStack()
        self.flows: list[_Flow] = []
        self.to_be_told: set[coro.coro] = set()
        self.connect()

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        with self.held:
            try:
                yield
            finally:
                self.break_flows()
        waits = [event for event in coro.event_map if event[1] != "handler"]
        assert not waits, f"somebody is said to wait still: {waits}"

    def connect(self) -> None:
        left, right = self.held.enter_context(pair())
        self.flows = [_Flow(left, right, self.knocks), _Flow(right, left, self.knocks)]
        for flow in self.flows:
            flow.to_be_told = self.to_be_told

    def operations(self) -> list[Operation]:
        # Two actors for each direction.
        flow = self.flows[self.me().number % 2]
        operations: list[Operation] = []
        if flow.sender is None and not flow.is_finished:
            operations += [partial(flow.send_told, _LARGE, kind) for kind in range(WRITES)]
            operations += [partial(flow.send_told, _SMALL, WRITES - 1), flow.finish]
        if flow.receiver is None:
            operations += [partial(flow.receive_told, partial(flow.receive_piece, kind)) for kind in range(READS)]
            operations += [partial(flow.receive_told, partial(flow.wait, kind)) for kind in range(_WAITS)]
        else:
            operations.append(flow.intrude)
        return [*operations, partial(self.close, flow.source)]

    def close(self, sock: coro.sock) -> None:
        """Close one of the sockets; if both are closed, and nobody has still to learn of it, open new ones."""
        self.break_flows()
        for thread in [thread for flow in self.flows for thread in (flow.sender, flow.receiver)]:
            is_parked = thread is not None and not thread.scheduled and thread.waiting_for in ("read", "write")
            if thread is not None and is_parked and getattr(thread.waiting_on, "fd", None) == sock.fileno():
                self.to_be_told.add(thread)
        sock.close()
        if not self.is_over and all(flow.is_idle and flow.source.fileno() < 0 for flow in self.flows):
            self.connect()

    def break_flows(self) -> None:
        for flow in self.flows:
            flow.is_broken = True

    def check(self) -> None:
        for flow in self.flows:
            assert flow.sender or flow.is_broken or flow.received <= flow.sent, "more came than was sent"

    def dismiss(self) -> None:
        for flow in self.flows:
            if flow.is_idle and not flow.is_broken:
                flow.drain()
        super().dismiss()
        # Whoever waits learns of it.
        for flow in self.flows:
            self.close(flow.source)

    def knock(self, thread: coro.coro) -> None:
        self.to_be_told.discard(thread)
        super().knock(thread)

    def shut_down_thread(self, thread: coro.coro) -> None:
        self.to_be_told.discard(thread)
        super().shut_down_thread(thread)

    def may_be_hit(self, thread: coro.coro) -> bool:
        return any(actor.thread is thread for actor in self.actors)
