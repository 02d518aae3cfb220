"""Servers: one accept loop per listening socket, one thread per connection.

The accept loop survives what a daemon meets in its months: it pauses and reports when descriptors or memory run
out, goes on at once when a client vanished in the queue, and leaves connections in the kernel's queue while the cap
is reached.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, Self

from coro.clock import seconds_to_ticks, ticks_per_sec
from coro.exceptions import ClosedError, Interrupted
from coro.runtime import get_now, sleep_relative, spawn
from coro.scheduler import scheduler
from coro.server.given import Handler, check_settings, close_all, listeners_of
from coro.server.listening import BACKLOG, identity_of_bound, listen_tcp, listen_unix, remove_unix_path
from coro.socket.make import OUT_OF_RESOURCES
from coro.socket.sock import sock
from coro.stderr import print_stderr
from coro.sync import semaphore
from coro.thread import coro

__all__ = ["Server", "tcp_server", "unix_server"]

# The connection failed before it was accepted; accept(2) tells to treat these like EAGAIN.
_CONNECTION_FAILED = frozenset(
    {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.EHOSTUNREACH,
     errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EPERM, errno.ETIMEDOUT, errno.ECONNRESET}
)  # fmt: skip
# What a connection whose peer has vanished raises, apart from the ConnectionErrors.
_PEER_VANISHED = frozenset(
    {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
)
# So many of those in a row are no accident: pause between them, too.
_FAILURES_BEFORE_PAUSE = 100
_PAUSE_S = 0.1
# One line per trouble, not one per pause.
_REPORT_INTERVAL_S = 10.0
DEFAULT_DRAIN_S = 10.0
DEFAULT_GRACE_S = 3.0

Report = Callable[[str], object]


class Server:
    """A running server, made by tcp_server() and unix_server().

    connections: {thread: address} of the connections that are being handled.
    accepted, lost: how many were accepted, and how many of them ended because the peer vanished or was idle.
    accept_failures: how often accept() failed.
    """

    def __init__(
        self,
        listeners: Iterable[sock],
        handler: Handler,
        args: tuple[Any, ...],
        *,
        max_connections: int | None,
        idle_timeout: float | None,
        report: Report,
        name: str,
        unix_path: str | None = None,
    ) -> None:
        self.listeners = list(listeners)
        self.handler = handler
        self.args = args
        self.max_connections = max_connections
        self.idle_timeout = idle_timeout
        self.report = report
        self.name = name
        self.connections: dict[coro, Any] = {}
        self.accepted = 0
        self.lost = 0
        self.accept_failures = 0
        self._places = None if max_connections is None else semaphore(max_connections)
        self._unix_path = unix_path
        # A fork keeps the server; the child's end must not remove what others serve at.
        self._pid = os.getpid()
        if unix_path is not None:
            self._unix_identity = identity_of_bound(unix_path)
        self._next_report = 0
        # How many connections failed in the queue since the last one that did not.
        self._failed_in_a_row = 0
        self._acceptors = [self._start_accepting(listener) for listener in self.listeners]

    def __repr__(self) -> str:
        return f"<Server {self.name!r} at {self.addresses} connections={len(self.connections)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def addresses(self) -> list[Any]:
        """What the listening sockets are bound to; [] once the server has stopped."""
        return [listener.getsockname() for listener in self.listeners]

    @property
    def address(self) -> Any:
        """What the first listening socket is bound to.  Raises ValueError once the server has stopped."""
        if not self.listeners:
            raise ValueError(f"server {self.name!r} has stopped")
        return self.listeners[0].getsockname()

    def stop(self, drain: float = DEFAULT_DRAIN_S, grace: float = DEFAULT_GRACE_S) -> int:
        """Stop gracefully: stop accepting, let connections end by themselves, then shut the rest down.

        drain: seconds that connections get to end by themselves.
        grace: seconds that those that were shut down get to clean up.
        Returns how many had to be shut down.  Yields.  Stopping twice is harmless; a handler that stops its own
        server is left alone.  An interrupted caller has stopped the accepting, and shuts the connections down at
        once without waiting for them.
        """
        seconds_to_ticks(drain, what="drain")
        seconds_to_ticks(grace, what="grace")
        self.close()
        try:
            self._wait_until_idle(drain)
        finally:
            cut_off = [thread for thread in self.connections if thread is not scheduler.current]
            for thread in cut_off:
                thread.shutdown()
        self._wait_until_idle(grace)
        return len(cut_off)

    def close(self) -> None:
        """Stop accepting; connections go on.  Does not yield.  Closing twice is harmless."""
        acceptors, self._acceptors = self._acceptors, []
        for thread in acceptors:
            if thread is not scheduler.current:
                thread.shutdown()
        while self.listeners:
            self._close_listener(self.listeners[0])

    def join(self, timeout: float | None = None) -> None:
        """Wait until the server has been stopped.  Yields.  Raises coro.TimeoutError."""
        deadline = None if timeout is None else get_now() + seconds_to_ticks(timeout, what="timeout")
        for thread in list(self._acceptors):
            thread.join(None if deadline is None else max(0, deadline - get_now()) / ticks_per_sec)

    def _wait_until_idle(self, seconds: float) -> None:
        """Wait, `seconds` at most, until no other thread handles a connection."""
        deadline = get_now() + seconds_to_ticks(seconds)
        for thread in list(self.connections):
            left = (deadline - get_now()) / ticks_per_sec
            if thread is not scheduler.current and left > 0:
                try:
                    thread.join(left)
                except TimeoutError:
                    return

    # -- accepting

    def _start_accepting(self, listener: sock) -> coro:
        thread = spawn(self._accept_loop, listener, thread_name=f"{self.name} accept")
        # Whatever ends it, also before it ran: a listener that nobody accepts from would keep clients waiting.
        thread.joiners = [lambda ended: self._close_listener(listener, is_ours=os.getpid() == self._pid)]
        return thread

    def _close_listener(self, listener: sock, *, is_ours: bool = True) -> None:
        """Close one of the listeners, and remove the socket's file.  A failure is reported: the rest must go on.

        is_ours: False leaves the file: this process has it from its parent, and its end does not end the server.
        """
        if listener not in self.listeners:
            return
        self.listeners.remove(listener)
        path, self._unix_path = self._unix_path, None
        try:
            try:
                listener.close()
            finally:
                if path is not None and is_ours:
                    remove_unix_path(path, self._unix_identity)
        except OSError as error:
            scheduler.hook_failed(f"closing of a listener of server {self.name!r}", error)

    def _accept_loop(self, listener: sock) -> None:
        # Whoever has a place must not wait with it.
        listener.settimeout(None if self._places is None else 0)
        while True:
            try:
                if self._places is None:
                    self._begin(*listener.accept())
                else:
                    self._accept_to_place(listener, self._places)
            except ClosedError:
                return
            except OSError as error:
                if listener.fileno() < 0:
                    return
                self._accept_failed(error)

    def _accept_to_place(self, listener: sock, places: semaphore) -> None:
        """Accept a connection if there is a place for it, leave it in the kernel's queue otherwise."""
        # The place comes second: with several listeners, one at which nobody calls would sit on it.
        listener.wait_for_read()
        places.acquire()
        try:
            connection, address = listener.accept()
        except BlockingIOError:
            # Another process that shares the listener took it.
            places.release()
        except BaseException:
            places.release()
            raise
        else:
            self._begin(connection, address)

    def _begin(self, connection: sock, address: Any) -> None:
        self.accepted += 1
        self._failed_in_a_row = 0
        if self.idle_timeout is not None:
            connection.settimeout(self.idle_timeout)
        thread = spawn(self._handle, connection, address, thread_name=f"{self.name} {_address_text(address)}")
        self.connections[thread] = address
        # The end of the thread gives the place back even if it never ran.
        thread.joiners = [lambda ended: self._end(ended, connection)]

    def _end(self, thread: Any, connection: sock) -> None:
        self.connections.pop(thread, None)
        if self._places is not None:
            self._places.release()
        try:
            connection.close()
        except OSError as error:
            # It is closed all the same.  This is called where nothing may be raised, and nobody may wait.
            scheduler.hook_failed(f"closing of a connection of server {self.name!r}", error)

    def _handle(self, connection: sock, address: Any) -> None:
        try:
            self.handler(connection, address, *self.args)
        except OSError as error:
            if not self._is_lost(error):
                raise
            # Nobody's mistake, so no traceback, only a number.
            self.lost += 1

    def _is_lost(self, error: OSError) -> bool:
        """Whether this error of a handler means that its peer vanished, or was idle for too long."""
        if isinstance(error, ConnectionError) or error.errno in _PEER_VANISHED:
            return True
        # A timeout of the handler's own (a coro.TimeoutError) is its own affair.
        return (
            self.idle_timeout is not None and isinstance(error, TimeoutError) and not isinstance(error, Interrupted)
        )

    def _accept_failed(self, error: OSError) -> None:
        self.accept_failures += 1
        if error.errno in _CONNECTION_FAILED:
            self._failed_in_a_row += 1
            if self._failed_in_a_row < _FAILURES_BEFORE_PAUSE:
                return
        elif error.errno not in OUT_OF_RESOURCES:
            raise error
        now = get_now()
        if now >= self._next_report:
            self._next_report = now + seconds_to_ticks(_REPORT_INTERVAL_S)
            self._tell(
                f"server {self.name!r} cannot accept: {error.strerror} (errno {error.errno}); "
                f"{len(self.connections)} connections are open; trying again every {_PAUSE_S} s"
            )
        sleep_relative(_PAUSE_S)

    def _tell(self, message: str) -> None:
        try:
            self.report(message)
        except Exception as error:
            # A failing hook is reported once and removed; it must not end the accepting.
            self.report = _default_report
            scheduler.hook_failed(f"report function of server {self.name!r}", error)
            self.report(message)


def _address_text(address: Any) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return str(address or "peer")


def _default_report(message: str) -> None:
    print_stderr("coro:", message)


def _serve(listeners: list[sock], handler: Handler, args: tuple[Any, ...], **settings: Any) -> Server:
    """A server at these listeners; they are closed if it cannot be made."""
    try:
        return Server(listeners, handler, args, **settings)
    except BaseException:
        close_all(listeners)
        raise


def tcp_server(
    address: tuple[Any, ...] | socket.socket | Iterable[socket.socket],
    handler: Handler,
    *args: Any,
    max_connections: int | None = None,
    idle_timeout: float | None = None,
    backlog: int = BACKLOG,
    reuse_port: bool = False,
    report: Report = _default_report,
    name: str = "tcp server",
) -> Server:
    """Listen at `address` and run `handler(connection, address, *args)` in a thread for every connection.

    address: (host, port) as for listen_tcp(), or sockets that listen already, such as inherited_sockets(); they are
        the server's from then on.
    handler: its connection is closed when it ends.  A ConnectionError that it lets pass ends it quietly.
    max_connections: how many are handled at once; more wait in the kernel's queue.  None: no cap.
    idle_timeout: seconds that one operation of a connection may wait; beyond, it raises TimeoutError, which ends a
        handler that lets it pass quietly.
    report: called with a line of text, once in 10 s at most, when accepting fails for want of something.
    Returns the Server, which listens already.  Yields only if the host is a name.  Raises as listen_tcp().
    """
    check_settings(handler, max_connections, idle_timeout)
    if isinstance(address, tuple) and not any(isinstance(part, socket.socket) for part in address):
        listeners = listen_tcp(address, backlog=backlog, reuse_port=reuse_port)
    else:
        listeners = listeners_of(address)
    return _serve(
        listeners,
        handler,
        args,
        max_connections=max_connections,
        idle_timeout=idle_timeout,
        report=report,
        name=name,
    )


def unix_server(
    path: str | os.PathLike[str] | socket.socket | Iterable[socket.socket],
    handler: Handler,
    *args: Any,
    max_connections: int | None = None,
    idle_timeout: float | None = None,
    backlog: int = BACKLOG,
    mode: int | None = None,
    report: Report = _default_report,
    name: str = "unix server",
) -> Server:
    """As tcp_server(), at a path of the file system; see listen_unix() for `path` and `mode`.

    The socket's file is removed when the server stops, if it is still the server's.
    """
    check_settings(handler, max_connections, idle_timeout)
    unix_path: str | None = None
    if isinstance(path, (str, os.PathLike)):
        name_of_file = os.fspath(path)
        if isinstance(name_of_file, str) and not name_of_file.startswith("\0"):
            # Absolute: a daemon may change its directory.
            unix_path = os.path.abspath(name_of_file)
        listeners = [listen_unix(path, backlog=backlog, mode=mode)]
    else:
        listeners = listeners_of(path)
    return _serve(
        listeners,
        handler,
        args,
        max_connections=max_connections,
        idle_timeout=idle_timeout,
        report=report,
        name=name,
        unix_path=unix_path,
    )
