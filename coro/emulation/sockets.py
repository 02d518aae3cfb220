"""The emulated `socket.socket`: the standard library's, whose waiting parks the thread.

It is a `coro.sock` but for what plain code expects otherwise: send() may send a part, any number of threads may
wait for one socket, errors are the plain ones, and other OS threads may use it, where it blocks them.

Invariant: the descriptor is O_NONBLOCK in the kernel while the object owns it, whatever getblocking() tells its
user; detach() puts it back as the user sees it.
"""

from __future__ import annotations

import _socket
import errno
import io
import operator
import os
import socket
import weakref
from abc import ABCMeta
from collections.abc import Iterable
from typing import Any, NoReturn

from coro import dns
from coro.clock import ticks_per_sec
from coro.descriptors import descriptors
from coro.emulation.buffered import BufferedReader, BufferedRWPair, BufferedWriter
from coro.emulation.patching import Patcher, original
from coro.emulation.place import may_park
from coro.emulation.socket_descriptor import SharedDescriptor
from coro.emulation.waiting import give_way
from coro.scheduler import scheduler
from coro.socket.address import Address
from coro.socket.receiving import ReceivingSocket
from coro.socket.sending import Buffer, SendingSocket
from coro.state import ThreadState
from coro.timed import sleep_until

__all__ = ["EmulatedSocket", "blocks_for_user", "install"]

_RealSocket: Any = original("socket", "socket")
_accept = _socket.socket._accept  # type: ignore[attr-defined]
_send = _socket.socket.send
_sendto = _socket.socket.sendto
_c_timeout = _socket.socket.gettimeout
_default_timeout = _socket.getdefaulttimeout
_set_timeout = _socket.socket.settimeout
_send_all = SendingSocket.send
_sleep = original("time", "sleep")
_SOCK_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
# Up to here there is nothing to be said about a timeout.
_LONG_S = 1e9

# Descriptor -> the emulated socket that owns it.
_owners: weakref.WeakValueDictionary[int, EmulatedSocket] = weakref.WeakValueDictionary()


def blocks_for_user(fd: int) -> bool:
    """Whether a descriptor blocks as its user sees it; an emulated socket's does not in the kernel.

    Raises OSError (EBADF).
    """
    owner = _owners.get(fd)
    return os.get_blocking(fd) if owner is None or owner.fileno() != fd else owner._seconds is None


class _SocketType(ABCMeta):
    """Has sockets that were made by the real class, before the installation, count as sockets."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealSocket) if cls is EmulatedSocket else type.__instancecheck__(cls, instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        if cls is EmulatedSocket:
            return issubclass(subclass, _RealSocket)
        return type.__subclasscheck__(cls, subclass)


class EmulatedSocket(ReceivingSocket, SendingSocket, metaclass=_SocketType):
    """A subclass of the standard library's socket whose waiting parks the thread.

    Yields wherever the original blocks.  Raises as the original: TimeoutError, BlockingIOError, OSError (EBADF when
    another thread closed it).  A thread that is interrupted while it waits loses nothing.
    """

    __slots__ = ()

    _descriptor: SharedDescriptor
    _descriptor_class = SharedDescriptor

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        """As socket.socket()."""
        super().__init__(family, type, proto, fileno)
        # The type may be unknown (-1), which has all bits.
        self._seconds = 0.0 if type > 0 and type & _SOCK_NONBLOCK else _default_timeout()
        descriptor = self._descriptor
        other = _owners.get(descriptor.fd)
        if other is not None:
            descriptor.twice = other._descriptor.twice = True
        _owners[descriptor.fd] = self

    # -- life

    def _real_close(self, _ss: Any = None) -> None:
        self._disown()
        super()._real_close()

    def detach(self) -> int:
        """As socket.detach(); the descriptor blocks if this socket did.  Waiters get OSError (EBADF)."""
        fd = self.fileno()
        if fd < 0:
            return super().detach()
        self._disown()
        descriptor = self._descriptor
        if descriptors.table.get(fd) not in (None, descriptor):
            # Another socket object uses the same number, and goes on using it.
            descriptor.closed = True
            descriptor.registered = False
        blocking = self._seconds is None
        super().detach()
        if blocking and not descriptor.twice:
            try:
                os.set_blocking(fd, True)
            except OSError as error:
                # Somebody closed it by its number.
                if error.errno != errno.EBADF:
                    raise
        return fd

    def _disown(self) -> None:
        fd = self._descriptor.fd
        if _owners.get(fd) is self:
            del _owners[fd]

    dup = _RealSocket.dup

    # -- timeouts

    def settimeout(self, value: float | None) -> None:
        """As socket.settimeout()."""
        if value is not None and not (type(value) is float and 0 <= value < _LONG_S):
            # The original says what is wrong with it, and makes a float of it.
            _set_timeout(self, value)
            value = _c_timeout(self)
        # To C it never waits.  Says EBADF for what is closed.
        _set_timeout(self, 0.0)
        self._seconds = value

    def setblocking(self, flag: bool) -> None:
        """As socket.setblocking()."""
        self.settimeout(None if operator.index(flag) else 0.0)

    def _renew_acts(self, me: ThreadState) -> None:
        if self._seconds == 0:
            # Not to wait is not to yield, either, but for a thread that goes on like this for long.
            give_way()
            me.selfish_acts = me.max_selfish_acts
        else:
            super()._renew_acts(me)

    def _timed_out(self) -> NoReturn:
        raise TimeoutError("timed out") from None

    def _pause_until(self, deadline: int) -> None:
        if may_park():
            sleep_until(deadline)
        else:
            _sleep(max(0, deadline - scheduler.clock()) / ticks_per_sec)

    # -- connections

    def connect(self, address: Address) -> None:
        """As socket.connect()."""
        error = self._connect(address)
        if error:
            raise OSError(error, os.strerror(error))

    def _accept(self) -> tuple[int, Any]:
        return self._read(_accept)  # type: ignore[no-any-return]

    def accept(self) -> tuple[EmulatedSocket, Any]:
        """As socket.accept()."""
        fd, address = self._accept()
        try:
            accepted = EmulatedSocket(self.family, self.type, self.proto, fileno=fd)
        except BaseException:
            os.close(fd)
            raise
        return accepted, address

    # -- sending

    def send(self, data: Buffer, flags: int = 0) -> int:  # type: ignore[override]
        """As socket.send(): sends what there is room for, waiting for some; returns the number of bytes."""
        if self._descriptor.writable:
            self._spend_act()
            try:
                return _send(self, data, flags)
            except BlockingIOError:
                self._descriptor.writable = False
        return self._write(_send, data, flags, flags=flags)

    def sendall(self, data: Buffer, flags: int = 0) -> None:  # type: ignore[override]
        """As socket.sendall()."""
        sent = _send_all(self, data, flags)
        if (flags & socket.MSG_DONTWAIT or self._seconds == 0) and sent < memoryview(data).nbytes:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def sendto(self, data: Buffer, *arguments: Any) -> int:  # type: ignore[override]
        """As socket.sendto()."""
        if not 1 <= len(arguments) <= 2:
            return _sendto(self, data, *arguments)
        return super().sendto(data, *arguments)

    if hasattr(_socket.socket, "sendmsg_afalg"):

        def sendmsg_afalg(self, msg: Iterable[Any] = (), **options: Any) -> int:
            """As socket.sendmsg_afalg()."""
            parts = list(msg)
            return self._write(
                lambda this: _socket.socket.sendmsg_afalg(this, parts, **options), flags=options.get("flags", 0)
            )

    sendfile = _RealSocket.sendfile

    # -- files

    def makefile(
        self,
        mode: str = "r",
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """As socket.makefile(); of two threads that meet at one buffer the second waits."""
        if not set(mode) <= {"r", "w", "b"}:
            raise ValueError(f"invalid mode {mode!r} (only r, w, b allowed)")
        writing = "w" in mode
        reading = "r" in mode or not writing
        binary = "b" in mode
        raw_mode = ("r" if reading else "") + ("w" if writing else "")
        if buffering == 0 and not binary:
            raise ValueError("unbuffered streams must be binary")
        raw = socket.SocketIO(self, raw_mode)  # type: ignore[arg-type]
        self._io_refs += 1  # type: ignore[attr-defined]
        if buffering is None or buffering < 0:
            buffering = io.DEFAULT_BUFFER_SIZE
        if buffering == 0:
            return raw
        if reading and writing:
            buffer: Any = BufferedRWPair(raw, raw, buffering)
        elif reading:
            buffer = BufferedReader(raw, buffering)
        else:
            buffer = BufferedWriter(raw, buffering)
        if binary:
            return buffer
        text = io.TextIOWrapper(buffer, io.text_encoding(encoding), errors, newline)
        text.mode = mode  # type: ignore[misc]
        return text


EmulatedSocket.__name__ = EmulatedSocket.__qualname__ = "socket"
EmulatedSocket.__module__ = "socket"
EmulatedSocket.__doc__ = _RealSocket.__doc__


def install(patcher: Patcher) -> None:
    """Put the emulated socket and the name look-ups in the place of the originals.  Does not yield."""
    patcher.replace_everywhere(
        socket,
        socket=EmulatedSocket,
        getaddrinfo=dns.getaddrinfo,
        gethostbyaddr=dns.gethostbyaddr,
        gethostbyname=dns.gethostbyname,
        gethostbyname_ex=dns.gethostbyname_ex,
        getnameinfo=dns.getnameinfo,
    )
