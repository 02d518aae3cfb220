"""What a coro socket is made of: its descriptor's state, its timeout, its life.

`CoroSocket` is a `socket.socket` whose descriptor never blocks; the waiting is done by parking.  The operations
that move bytes stand in `coro.socket.sock`.

Invariant: the descriptor is O_NONBLOCK for as long as the object lives, whatever timeout its user set.
"""

from __future__ import annotations

import _socket
import builtins
import errno
import os
import socket
import weakref
from typing import NoReturn, Self

from coro.clock import seconds_to_ticks
from coro.descriptors import Descriptor, descriptors
from coro.exceptions import TimeoutError
from coro.poller.base import READ, WRITE
from coro.scheduler import scheduler
from coro.socket.address import Address, numeric_address
from coro.timed import sleep_until

__all__ = ["CoroSocket", "get_live_sockets"]

_set_timeout = _socket.socket.settimeout
_live: weakref.WeakSet[CoroSocket] = weakref.WeakSet()

# connect() to a Unix socket whose backlog is full fails with EAGAIN, and no poller reports when there is room.
_FULL_BACKLOG_PAUSE_NS = 1_000_000
_FULL_BACKLOG_LONGEST_PAUSE_NS = 50_000_000


def get_live_sockets() -> int:
    """How many coro sockets are open."""
    return len(_live)


class CoroSocket(socket.socket):
    """A socket whose waiting parks the thread instead of the process."""

    __slots__ = ("_descriptor", "_drains", "_seconds")

    # Readiness and waiters.
    _descriptor: Descriptor
    # Whether a short read means that nothing is left: plain TCP only.
    _drains: bool
    # The timeout of every operation: seconds, 0 for "do not wait", None for ever.
    _seconds: float | None

    def __init__(
        self,
        domain: int = socket.AF_INET,
        stype: int = socket.SOCK_STREAM,
        protocol: int = 0,
        fd: int | None = None,
        *,
        fileno: int | None = None,
    ) -> None:
        """Make a socket, or with `fd` (or `fileno`) wrap a descriptor that is one; it is ours from then on.

        domain: AF_INET by default; -1 asks the descriptor.  Raises OSError as socket(2).
        """
        if fd is None:
            fd = fileno
        super().__init__(domain, stype, protocol, fd)
        _set_timeout(self, 0.0)
        self._descriptor = Descriptor(self.fileno())
        self._seconds = None
        self._drains = (
            self.family in (socket.AF_INET, socket.AF_INET6)
            and self.type == socket.SOCK_STREAM
            and self.proto in (0, socket.IPPROTO_TCP)
        )
        _live.add(self)

    # -- life

    def _real_close(self) -> None:
        """What close() does once no file made by makefile() is open any more."""
        _live.discard(self)
        # The poller first: waiters get ClosedError, and the number may be another's a moment later.
        descriptors.close(self._descriptor)
        super()._real_close()  # type: ignore[misc]

    def detach(self) -> int:
        """Give the descriptor away, open; the socket is as good as closed.  Waiters get ClosedError."""
        _live.discard(self)
        descriptors.close(self._descriptor)
        return super().detach()

    def dup(self) -> Self:
        """A second socket on a duplicate of the descriptor; the timeout is copied."""
        fd = os.dup(self.fileno())
        try:
            os.set_inheritable(fd, False)
            twin = self.__class__(self.family, self.type, self.proto, fd)
        except BaseException:
            os.close(fd)
            raise
        twin._seconds = self._seconds
        return twin

    # -- timeouts

    def settimeout(self, value: float | None) -> None:
        """Set the timeout of every operation that waits.

        value: seconds; None waits for ever, 0 does not wait: operations raise BlockingIOError.
        One that expires raises the builtin TimeoutError.
        """
        if value is not None:
            seconds_to_ticks(value, what="timeout")
            if value < 0:
                raise ValueError(f"a socket's timeout must be 0 seconds or more, or None, got {value!r}")
        self._seconds = value

    def gettimeout(self) -> float | None:
        """The timeout in seconds, None for ever."""
        return self._seconds

    def setblocking(self, flag: bool) -> None:
        """settimeout(None) or settimeout(0)."""
        self._seconds = None if flag else 0

    def getblocking(self) -> bool:
        """Whether operations wait at all."""
        return self._seconds != 0

    @property
    def timeout(self) -> float | None:
        """The timeout in seconds, None for ever."""
        return self._seconds

    def set_nonblocking(self) -> None:
        """Kept from Shrapnel: make the descriptor O_NONBLOCK.  It is already; operations go on waiting."""
        _set_timeout(self, 0.0)

    def set_reuse_addr(self) -> None:
        """Set SO_REUSEADDR, so that a restarted daemon can bind its port at once."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    # -- waiting

    def wait_for_read(self, timeout: float | None = None) -> None:
        """Park until there is something to read, or the peer has closed; asks the kernel anew.

        timeout: seconds, None for ever.  Yields.  Raises coro.TimeoutError, SimultaneousError, ClosedError.
        """
        descriptors.wait(self._own_fd(), READ, timeout)

    def wait_for_write(self, timeout: float | None = None) -> None:
        """Park until there is room to write, or the peer has closed.  As wait_for_read()."""
        descriptors.wait(self._own_fd(), WRITE, timeout)

    def _own_fd(self) -> int:
        """The descriptor's number, entered in the table as this socket's."""
        descriptor = self._descriptor
        if not descriptor.registered:
            descriptors.register(descriptor)
        return descriptor.fd

    def _wait_readable(self) -> None:
        seconds = self._seconds
        if seconds is None:
            self._descriptor.wait_readable()
            return
        if seconds == 0:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            self._descriptor.wait_readable(seconds)
        except TimeoutError:
            self._timed_out()

    def _wait_writable(self, left: float | None = None) -> None:
        """Wait for the socket's timeout at most, or for what is `left` of it, in seconds."""
        seconds = self._seconds
        if seconds is None:
            self._descriptor.wait_writable()
            return
        if seconds == 0:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            self._descriptor.wait_writable(seconds if left is None else left)
        except TimeoutError:
            self._timed_out()

    def _timed_out(self) -> NoReturn:
        raise builtins.TimeoutError(f"the socket timed out after {self._seconds} s") from None

    # -- addresses

    def bind(self, address: Address) -> None:
        """As bind(2); a host name is resolved without blocking the loop.  Yields only for that."""
        super().bind(numeric_address(self, address))

    def connect(self, address: Address) -> None:
        """Connect to `address`; a host name is resolved without blocking the loop.

        Yields.  Raises OSError (ConnectionRefusedError …), the builtin TimeoutError, socket.gaierror; what
        interrupted the thread: the socket is then connecting still, and may be closed or connected again.
        """
        error = self.connect_ex(address)
        if error:
            raise OSError(error, f"{os.strerror(error)} (connecting to {address!r})")

    def connect_ex(self, address: Address) -> int:
        """As connect(), but returns the errno, 0 for success."""
        address = numeric_address(self, address)
        descriptor = self._descriptor
        descriptor.reset()
        error = super().connect_ex(address)
        pause = _FULL_BACKLOG_PAUSE_NS
        while error == errno.EAGAIN and self.family == socket.AF_UNIX and self._seconds != 0:
            sleep_until(scheduler.clock() + pause)
            pause = min(2 * pause, _FULL_BACKLOG_LONGEST_PAUSE_NS)
            error = super().connect_ex(address)
        if error not in (errno.EINPROGRESS, errno.EALREADY):
            return error
        if self._seconds == 0:
            return error
        descriptor.writable = False
        if descriptor.registered:
            # It was registered before it was connecting; what was reported then is past.
            descriptors.renew(descriptor)
        while not descriptor.writable:
            self._wait_writable()
        return self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
