"""A TLS socket on top of a socket of ours, and its life: wrapping, handshake, accept, the end of TLS.

`TLSSocket` has the operations; it is to be mixed with `ssl.SSLSocket`, which answers all that asks OpenSSL only
(getpeercert(), version(), cipher() …), and with a socket of ours, which does the rest without TLS.  OpenSSL works
on the descriptor itself, which never blocks, so everything that holds of the standard library's TLS sockets holds
here: no byte is read ahead, and select() says what it says there.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Any, Self

from coro.socket.sock import sock
from coro.ssl.reading import TLSReading
from coro.ssl.writing import TLSWriting

__all__ = ["SSLSocket", "TLSSocket"]


# connect_ex() was told not to wait for the end.
_CONNECTING = (errno.EINPROGRESS, errno.EAGAIN, errno.EALREADY, errno.EINTR)
# As it is now: the emulation replaces the name later.
_StandardSSLSocket = ssl.SSLSocket


class TLSSocket(TLSReading, TLSWriting):
    """What the TLS sockets of ours have in common."""

    __slots__ = ()

    _context: Any
    _session: Any
    _connected: bool
    server_side: bool
    server_hostname: str | None
    do_handshake_on_connect: bool

    @classmethod
    def _create(
        cls,
        sock: Any,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | None = None,
        context: Any = None,
        session: Any = None,
    ) -> Self:
        """What SSLContext.wrap_socket() calls.  Yields for the handshake; an interrupted one closes the socket."""
        _check_wrapping(sock, server_side, server_hostname, context, session)
        hostname = context._encode_hostname(server_hostname)
        self = cls.__new__(cls)
        self._without_tls().__init__(sock.family, sock.type, sock.proto, sock.fileno())
        timeout = sock.gettimeout()
        sock.detach()
        try:
            self.settimeout(timeout)
            self._context = context
            self._session = session
            self._sslobj = None
            self._crossers = self._standbys = self._owed = self._writer = None
            self._drained = self._ended = False
            self.server_side = server_side
            self.server_hostname = hostname
            self.do_handshake_on_connect = do_handshake_on_connect
            self.suppress_ragged_eofs = suppress_ragged_eofs
            self._connected = self._is_connected()
            if self._connected:
                self._begin_tls()
                if do_handshake_on_connect:
                    if timeout == 0:
                        raise ValueError("do_handshake_on_connect should not be specified for non-blocking sockets")
                    self.do_handshake()
        except BaseException:
            self.close()
            raise
        return self

    def _begin_tls(self) -> None:
        self._drained = self._ended = False
        self._sslobj = self._context._wrap_socket(
            self, self.server_side, self.server_hostname, owner=self, session=self._session
        )

    def _is_connected(self) -> bool:
        """Whether there is a peer.  Raises ssl.SSLError if there was one, whose bytes came without TLS."""
        try:
            self.getpeername()
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
        else:
            return True
        timeout = self.gettimeout()
        self.settimeout(0)
        try:
            early = self.recv(1)
        except OSError as error:
            # EINVAL: a Unix socket that is not connected.
            if error.errno not in (errno.ENOTCONN, errno.EINVAL):
                raise
            early = b""
        self.settimeout(timeout)
        if early:
            # Or it would count as having come through TLS.
            refusal = ssl.SSLError(errno.ENOTCONN, "Closed before TLS handshake with data in recv buffer.")
            refusal.reason = str(refusal.strerror)
            refusal.library = None  # type: ignore[assignment]
            raise refusal
        return False

    # -- the handshake

    def do_handshake(self, block: bool = False) -> None:
        """Agree with the peer on keys, and check its certificate.

        block: waits even with settimeout(0).
        Yields.  Raises ssl.SSLError (ssl.SSLCertVerificationError …), OSError, the builtin TimeoutError, over all
        of the handshake.  An interrupted caller may go on with it later.
        """
        if not self._connected:
            # Says ENOTCONN; but connect() may have ended meanwhile.
            self.getpeername()
        sslobj = self._tls_object()
        if self._seconds == 0 and not block:
            sslobj.do_handshake()
        else:
            self._persevere(sslobj.do_handshake, self._operation_deadline())
        # OpenSSL reads no further than it must.
        self._drained = not sslobj.pending()

    def connect(self, address: Any) -> None:
        """Connect, then do the handshake if that is wanted.

        Yields.  Raises as the plain socket's connect() and do_handshake(); an interrupted caller may connect again.
        """
        self._connect_tls(address, by_errno=False)

    def connect_ex(self, address: Any) -> int:
        """As connect(), but returns the errno of connecting."""
        return self._connect_tls(address, by_errno=True)

    def _connect_tls(self, address: Any, *, by_errno: bool) -> int:
        if self.server_side:
            raise ValueError("can't connect in server-side mode")
        if self._connected or self._sslobj is not None:
            raise ValueError("attempt to connect already-connected SSLSocket!")
        self._begin_tls()
        plain = self._without_tls()
        try:
            error: int = plain.connect_ex(address) if by_errno else plain.connect(address) or 0
            if not error:
                self._connected = True
                if self.do_handshake_on_connect:
                    self.do_handshake()
            elif error not in _CONNECTING:
                self._sslobj = None
        except BaseException:
            self._sslobj = None
            raise
        return error

    def accept(self) -> tuple[Self, Any]:
        """Accept a connection: (TLS socket, address of the peer).

        Yields, for the handshake too if that is wanted: a server that accepts in one thread for all wants
        do_handshake_on_connect=False, or coro.ssl.tls_server().  A connection whose handshake fails is closed.
        """
        plain, address = self._without_tls().accept()
        try:
            return self._wrap_accepted(plain), address
        except BaseException:
            plain.close()
            raise

    def accept_many(self, max: int = 0) -> list[tuple[Self, Any]]:
        """As accept(), in a list: the handshakes of several would wait for each other."""
        return [self.accept()]

    def _wrap_accepted(self, plain: Any) -> Any:
        wanted = self._context.sslsocket_class
        # A context of the standard library's, given to coro.ssl.wrap_socket(), wants sockets that block.
        made_by = wanted if issubclass(wanted, TLSSocket) else type(self)
        return made_by._create(
            plain,
            server_side=True,
            do_handshake_on_connect=self.do_handshake_on_connect,
            suppress_ragged_eofs=self.suppress_ragged_eofs,
            context=self._context,
        )

    # -- the end

    def unwrap(self) -> Self:
        """End TLS, and wait until the peer has ended it too; returns the socket, which is plain from then on.

        Yields.  Raises ssl.SSLError, OSError, the builtin TimeoutError: a peer may never answer, so set a timeout.
        SimultaneousError while another thread sends.  An interrupted caller has told the peer; the socket is to
        be closed then, or unwrap() called again.
        """
        sslobj = self._tls_object()
        if self._seconds == 0:
            sslobj.shutdown()
        else:
            deadline = self._operation_deadline()
            self._begin_writing(deadline)
            try:
                self._pay(sslobj, deadline)
                self._persevere(sslobj.shutdown, deadline)
            finally:
                self._end_writing()
        self._sslobj = None
        return self

    def notify_end(self) -> None:
        """Tell the peer that TLS ends, without waiting for its answer: for those who close the socket then.

        Does not yield.  A peer that is gone, or takes nothing now, is not told.
        """
        sslobj = self._sslobj
        if sslobj is None or self._owed is not None or self._writer is not None:
            return
        try:
            sslobj.shutdown()
        except OSError:
            # Most often ssl.SSLWantReadError: the answer is not there.  Else there is nobody to be told.
            return

    def _without_tls(self) -> Any:
        """The operations of the plain socket, past those of ssl.SSLSocket."""
        return super(_StandardSSLSocket, self)

    def _tls_object(self) -> Any:
        if self._sslobj is None:
            raise ValueError(f"No SSL wrapper around {self}")
        return self._sslobj


def _check_wrapping(sock: Any, server_side: bool, server_hostname: str | None, context: Any, session: Any) -> None:
    """Raise for what cannot be wrapped; the socket is the caller's still."""
    if not isinstance(sock, socket.socket):
        raise TypeError(f"TLS needs a socket to be put on, got {sock!r}")
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) != socket.SOCK_STREAM:
        raise NotImplementedError("only stream sockets are supported")
    if server_side and server_hostname:
        raise ValueError("server_hostname can only be specified in client mode")
    if server_side and session is not None:
        raise ValueError("session can only be specified in client mode")
    if context.check_hostname and not server_hostname:
        raise ValueError("check_hostname requires server_hostname")


class SSLSocket(TLSSocket, _StandardSSLSocket, sock):  # type: ignore[misc]
    """A TLS socket whose waiting parks the thread; everything that takes an `ssl.SSLSocket` takes it.

    Made by coro.ssl.wrap_socket() or by a coro.ssl.SSLContext.  As with `coro.sock`, send() sends everything, one
    thread may read while another writes, and a second reader or writer gets SimultaneousError.
    """

    def _accepted(self, fd: int) -> Any:
        # Without TLS as yet: accept() puts it on.
        try:
            return sock(self.family, self.type, self.proto, fd)
        except BaseException:
            os.close(fd)
            raise
