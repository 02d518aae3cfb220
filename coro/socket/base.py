"""What a coro socket is made of: its descriptor's state, its timeout, its life.

`CoroSocket` is a `socket.socket` whose descriptor never blocks; the waiting is done by parking.  The operations
that move bytes stand in `coro.socket.receiving` and `coro.socket.sending`.

Invariant: the descriptor is O_NONBLOCK for as long as the object lives, whatever timeout its user set.
"""

from __future__ import annotations

import _socket
import builtins
import errno
import os
import socket
import sys
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, Self, TypeVar

from greenlet import getcurrent

from coro.clock import seconds_to_ticks, ticks_per_sec
from coro.descriptors import Descriptor, descriptors
from coro.exceptions import Interrupted, TimeoutError
from coro.poller.base import READ, WRITE
from coro.scheduler import scheduler
from coro.socket.address import Address, numeric_address
from coro.state import ThreadState
from coro.timed import sleep_until

__all__ = ["NO_THREAD", "CoroSocket", "get_live_sockets", "in_thread", "renew_acts", "spend_act"]

T = TypeVar("T")

_set_timeout = _socket.socket.settimeout
_connect_ex = _socket.socket.connect_ex
# The members of C: the properties of socket.socket make an enum of each, ten times as slow.
_family = _socket.socket.family.__get__
_type = _socket.socket.type.__get__
_proto = _socket.socket.proto.__get__
_yield_slice = scheduler.yield_slice

_live: weakref.WeakSet[CoroSocket] = weakref.WeakSet()

# What getcurrent().thread raises where there is none: outside a thread, and when the interpreter ends.
NO_THREAD = (AttributeError, RuntimeError)
# A signal does not stop the kernel from connecting: EINTR means what EINPROGRESS means.
_CONNECTING = (errno.EINPROGRESS, errno.EALREADY, errno.EINTR)
# For what no poller reports, the kernel is asked again after a pause that doubles.
_FIRST_PAUSE_NS = 1_000_000
_LONGEST_PAUSE_NS = 50_000_000


def in_thread() -> bool:
    """Whether the caller is a thread, so can wait."""
    try:
        return hasattr(getcurrent(), "thread")
    except RuntimeError:
        return False


def spend_act() -> None:
    """Spend one selfish act; without any left, yield first and get all of them back.

    Outside a thread there is nothing to spend.
    """
    try:
        me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
    except NO_THREAD:
        return
    if me.selfish_acts <= 0:
        renew_acts(me)
    me.selfish_acts -= 1


def renew_acts(me: ThreadState) -> None:
    """Yield, and get all selfish acts back.

    Where nobody may park now (a finaliser, a step of an asyncio task) they come for nothing: the act itself would
    not wait either.
    """
    if not scheduler.collecting:
        _yield_slice()
    me.selfish_acts = me.max_selfish_acts


def get_live_sockets() -> int:
    """How many coro sockets are open."""
    return len(_live)


class CoroSocket(socket.socket):
    """A socket whose waiting parks the thread instead of the process."""

    __slots__ = ("_descriptor", "_drains", "_seconds")

    # What keeps the readiness: a subclass may have another kind.
    _descriptor_class: ClassVar[type[Descriptor]] = Descriptor

    # Readiness and waiters.
    _descriptor: Descriptor
    # Whether a short read means that nothing is left: plain TCP only.
    _drains: bool
    # The timeout of every operation: seconds, 0 for "do not wait", None for ever.
    _seconds: float | None

    def __init__(
        self,
        domain: int = -1,
        stype: int = -1,
        protocol: int = -1,
        fd: int | None = None,
        *,
        fileno: int | None = None,
    ) -> None:
        """Make a socket, or with `fd` (or `fileno`) wrap a descriptor that is one; it is ours from then on.

        domain, stype, protocol: -1 asks the descriptor; without one it stands for AF_INET, SOCK_STREAM, 0.
        Raises OSError as socket(2); the descriptor is the caller's still.
        """
        if fd is None:
            fd = fileno
        super().__init__(domain, stype, protocol, fd)
        try:
            _set_timeout(self, 0.0)
        except BaseException:
            if fd is None:
                super()._real_close()  # type: ignore[misc]
            else:
                super().detach()
            raise
        self._descriptor = self._descriptor_class(self.fileno())
        self._seconds = None
        self._drains = (
            _type(self) == socket.SOCK_STREAM
            and _family(self) in (socket.AF_INET, socket.AF_INET6)
            and _proto(self) in (0, socket.IPPROTO_TCP)
        )
        _live.add(self)

    # -- life

    def _real_close(self) -> None:
        """What close() does once no file made by makefile() is open any more."""
        _live.discard(self)
        # The poller first: waiters get ClosedError, and the number may be another's a moment later.
        descriptors.close(self._descriptor)
        # Try, so that whoever uses the socket now is told EBADF by the number, which is -1.
        self._descriptor.reset()
        super()._real_close()  # type: ignore[misc]

    def detach(self) -> int:
        """Give the descriptor away, open; the socket is as good as closed.  Waiters get ClosedError."""
        _live.discard(self)
        descriptors.close(self._descriptor)
        self._descriptor.reset()
        return super().detach()

    def dup(self) -> Self:
        """A second socket on a duplicate of the descriptor; the timeout is copied."""
        fd = os.dup(self.fileno())
        try:
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

    def _renew_acts(self, me: ThreadState) -> None:
        """The thread has no selfish acts left: it yields.  A subclass may know better."""
        renew_acts(me)

    def _spend_act(self) -> None:
        """As spend_act()."""
        try:
            me: ThreadState = getcurrent().thread  # type: ignore[attr-defined]
        except NO_THREAD:
            return
        if me.selfish_acts <= 0:
            self._renew_acts(me)
        me.selfish_acts -= 1

    def wait_for_read(self, timeout: float | None = None) -> None:
        """Park until there is something to read, or the peer has closed; asks the kernel anew.

        timeout: seconds, None for ever, 0 only asks.
        Yields.  Raises coro.TimeoutError, SimultaneousError, ClosedError.
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

    def _operation_deadline(self) -> int | None:
        """When an operation of several steps that begins now must have ended, in ticks; None for never."""
        seconds = self._seconds
        return scheduler.clock() + seconds_to_ticks(seconds) if seconds else None

    def _wait_writable_until(self, deadline: int | None) -> None:
        if deadline is None:
            self._wait_writable()
            return
        left = (deadline - scheduler.clock()) / ticks_per_sec
        if left <= 0:
            self._timed_out()
        self._wait_writable(left)

    def _retry(self, operation: Callable[..., T], *arguments: Any) -> T:
        """Do an operation again after growing pauses, for as long as it raises BlockingIOError.

        For what no poller reports: room in the backlog or the queue of another Unix socket.
        """
        deadline = self._operation_deadline()
        pause = _FIRST_PAUSE_NS
        while True:
            try:
                return operation(self, *arguments)
            except BlockingIOError:
                if self._seconds == 0:
                    raise
            again = scheduler.clock() + pause
            if deadline is not None and again >= deadline:
                self._pause_until(deadline)
                self._timed_out()
            self._pause_until(again)
            pause = min(2 * pause, _LONGEST_PAUSE_NS)

    def _pause_until(self, deadline: int) -> None:
        sleep_until(deadline)

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
        error = self._connect(address)
        if error:
            raise OSError(error, f"{os.strerror(error)} (connecting to {address!r})")

    def connect_ex(self, address: Address) -> int:
        """As connect(), but returns the errno: 0 for success, EAGAIN when the time is over."""
        try:
            return self._connect(address)
        except BlockingIOError:
            return errno.EAGAIN
        except builtins.TimeoutError as error:
            if isinstance(error, Interrupted):
                raise
            return errno.EAGAIN

    def _connect(self, address: Address) -> int:
        address = numeric_address(self, address)
        deadline = self._operation_deadline()
        descriptor = self._descriptor
        descriptor.reset()
        if _family(self) == socket.AF_UNIX:
            return self._retry(_connect_unix, address)
        error = _connect_ex(self, address)
        if error not in _CONNECTING or self._seconds == 0:
            return error
        # Whatever was reported before is past; the end of connecting is reported anew.
        descriptor.writable = False
        while True:
            while not descriptor.writable:
                self._wait_writable_until(deadline)
            error = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error and sys.platform != "linux":
                return error
            # Linux wants connect() to be called once more after a failure, or the next attempt is refused.
            now = _connect_ex(self, address)
            while now == errno.EINTR:
                now = _connect_ex(self, address)
            if error:
                return error
            if now not in _CONNECTING:
                return 0 if now == errno.EISCONN else now
            # A stray report: of a duplicate, say, that bore this number before.
            descriptor.writable = False


def _connect_unix(self: CoroSocket, address: Address) -> int:
    """connect() to a Unix socket; raises BlockingIOError if its backlog is full."""
    error = _connect_ex(self, address)
    while error == errno.EINTR:
        # How far it got is seen by asking again.
        error = _connect_ex(self, address)
        if error == errno.EISCONN:
            return 0
    if error == errno.EAGAIN:
        raise BlockingIOError(error, os.strerror(error))
    return error
