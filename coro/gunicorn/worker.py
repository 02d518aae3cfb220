"""CoroWorker: what gunicorn's arbiter forks, watches and ends.

The arbiter speaks by signals and listens by a heartbeat: a file that the worker touches.  The heart here is a
thread of coro, so it stops when the loop is stuck, and the arbiter kills the worker.  Signal handlers run in the
main OS thread in the middle of anything, so they only note what happened; the worker's main thread does the rest.

Invariant: while `alive`, every listener accepts; once it is false, no connection gets more than the request that it
is at, and the worker ends within the graceful timeout.
"""

from __future__ import annotations

import errno
import os
import traceback
from datetime import datetime
from ssl import SSLError
from types import FrameType
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.sock import ssl_context
from gunicorn.workers.base_async import AsyncWorker

from coro import backdoor
from coro.clock import seconds_to_ticks, ticks_per_sec
from coro.emulation import install_thread_emulation
from coro.exceptions import Interrupted, Shutdown, TimeoutError
from coro.gunicorn.patience import Patience
from coro.gunicorn.request import RequestParser
from coro.gunicorn.response import Response
from coro.loop import loop
from coro.runtime import current, get_now, run, set_print_exit_string, sleep_relative, spawn
from coro.scheduler import scheduler
from coro.server import Server, tcp_server
from coro.socket.sock import sock
from coro.ssl import wrap_socket
from coro.sync.event import event
from coro.thread import coro
from coro.timeouts import with_timeout

__all__ = ["CoroWorker"]

# How often the heart beats at least, in seconds.
BEAT_S = 1.0
# A stopping worker keeps idle connections this long at most: a request may be on its way already.
LINGER_S = 2.0
# What a client gets to agree on keys, in seconds.
HANDSHAKE_S = 30.0
# What threads that are shut down get to clean up, in seconds.
GRACE_S = 1.0
_PEER_VANISHED = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)
# Environment variables that switch something off.
BACKDOOR, EMULATION = "CORO_BACKDOOR", "CORO_EMULATION"


class CoroWorker(AsyncWorker):
    """A gunicorn worker whose connections are threads of coro.

    Settings: worker_connections (how many are handled at once, of each address; more wait in the kernel's queue),
    keepalive, timeout, graceful_timeout, max_requests and the rest as with gunicorn's own workers.
    """

    _alive = True
    # Set by SIGINT and SIGQUIT: no patience with anybody.
    _in_a_hurry = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Set when `alive` becomes false.
        self._told = event()
        # The threads whose connection waits for a request.
        self._waiting: set[coro] = set()
        self._tls: Any = None
        # Whether connections speak HTTP/1 in the usual way, which is written out here; the rest is gunicorn's.
        self._is_plain = False
        super().__init__(*arguments, **options)

    # -- from the arbiter

    @property
    def alive(self) -> bool:
        """Whether to go on; false wakes the main thread.  May be set from signal handlers and other OS threads."""
        return self._alive

    @alive.setter
    def alive(self, value: bool) -> None:
        self._alive = value
        if not value:
            loop.post(self._told.set)

    def init_process(self) -> None:
        """In the new process: have blocking calls wait as threads, load the application, and run."""
        if self._is_on(EMULATION):
            install_thread_emulation()
        super().init_process()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT, SIGQUIT: end now."""
        self._in_a_hurry = True
        self.alive = False

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """SIGUSR1: reopen the log files, in a thread: here their locks may be held."""
        loop.post(spawn, self.log.reopen_files)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """SIGABRT: the heart has stopped, for somebody does not yield.  Say who, and end him."""
        stack = "".join(traceback.format_stack(frame))
        self.log.critical("Worker %s has not yielded for %s s; it is here:\n%s", self.pid, self.cfg.timeout, stack)
        self.alive = False
        self.cfg.worker_abort(self)
        if scheduler.current is not None and _is_users(frame):
            # As gunicorn's own workers: the request fails, and what it has to clean up is done.
            raise SystemExit(1)

    # -- the main thread

    def run(self) -> None:
        """Serve until told to end."""
        set_print_exit_string(False)
        if self.cfg.is_ssl:
            self._tls = ssl_context(self.cfg)
        speaks_http1 = self.cfg.protocol == "http" and "h2" not in self.cfg.http_protocols
        self._is_plain = speaks_http1 and self.cfg.keepalive > 0
        # Here, not in a thread: emulated, only this is the main thread to `signal`, and the door needs a signal.
        self._open_backdoor()
        run(self._serve)

    def _serve(self) -> None:
        spawn(self._beat, thread_name="heartbeat")
        servers = [self._serve_at(listener) for listener in self.sockets]
        try:
            while self.alive:
                if self.ppid != os.getppid():
                    self.log.info("Parent changed, shutting down: %s", self)
                    break
                self._wait(BEAT_S)
        finally:
            for server in servers:
                server.close()
        if self._in_a_hurry:
            self.cfg.worker_int(self)
        else:
            self._drain(servers)
        for server in servers:
            server.stop(drain=0, grace=GRACE_S)

    def _wait(self, seconds: float) -> None:
        """Sleep, but not longer than until `alive` is false."""
        try:
            self._told.wait(seconds)
        except TimeoutError:
            return

    def _beat(self) -> None:
        pause = min(BEAT_S, self.cfg.timeout / 5) if self.cfg.timeout else BEAT_S
        while True:
            self.notify()
            sleep_relative(pause)

    def _serve_at(self, listener: Any) -> Server:
        # The arbiter's object is of no use here any more.
        ours = sock(fileno=listener.sock.detach())
        name = ours.getsockname()
        return tcp_server(
            ours,
            self._handle,
            _Place(name),
            max_connections=self.worker_connections,
            report=self.log.error,
            name="gunicorn",
        )

    def _drain(self, servers: list[Server]) -> None:
        """Wait until the connections have ended by themselves, for the graceful timeout at most."""
        now = get_now()
        # The arbiter kills at the end of that time: what is shut down must have had its time to clean up then.
        patience = self.cfg.graceful_timeout - min(GRACE_S, self.cfg.graceful_timeout / 4)
        end = now + seconds_to_ticks(patience)
        linger_end = now + seconds_to_ticks(min(self.cfg.keepalive, LINGER_S))
        while any(server.connections for server in servers):
            now = get_now()
            if now >= end or self._in_a_hurry:
                self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
                return
            if now >= linger_end:
                for thread in list(self._waiting):
                    thread.shutdown()
            sleep_relative(min(0.05, (end - now) / ticks_per_sec))

    def _open_backdoor(self) -> None:
        """Open the door for `coro ls` and the rest; it closes with the loop."""
        if not self._is_on(BACKDOOR):
            return
        try:
            door = backdoor.start(welcome_message=f"gunicorn worker {os.getpid()}")
        except OSError as error:
            # Serving is more important than being looked at.
            self.log.error("no backdoor: %s", error)
        else:
            self.log.info("Backdoor at %s", door.address)

    def _is_on(self, variable: str) -> bool:
        text = (self.cfg.env or {}).get(variable, os.environ.get(variable, ""))
        return text.lower() not in ("0", "off", "no", "false")

    # -- connections

    def timeout_ctx(self) -> Patience:  # type: ignore[override]
        """For `with`: the time that a client gets to send its next request."""
        return Patience(self.cfg.keepalive, self._waiting)

    def _handle(self, client: sock, address: Any, place: _Place) -> None:
        if self._tls is None:
            self._converse(client, address, place)
            return
        connection = wrap_socket(
            client,
            self._tls,
            server_side=True,
            suppress_ragged_eofs=self.cfg.suppress_ragged_eofs,
            do_handshake_on_connect=False,
        )
        with connection:
            try:
                with Patience(HANDSHAKE_S, self._waiting) as patience:
                    connection.do_handshake()
            except OSError as error:
                self.log.debug("TLS handshake with %s failed: %s", address, error)
                return
            if patience.was_lost:
                self.log.debug("TLS handshake with %s took too long", address)
                return
            self._converse(connection, address, place)

    def _converse(self, client: Any, address: Any, place: _Place) -> None:
        """Answer the requests of one connection, until either side has had enough."""
        if not self._is_plain:
            self.handle(place, client, address)  # type: ignore[arg-type]
            return
        parser = RequestParser(self.cfg, client, address)
        name, seconds = place.getsockname(), self.cfg.keepalive
        me, waiting = current(), self._waiting
        proxy_info = None
        request: Any = None
        try:
            while True:
                request = None
                waiting.add(me)
                try:
                    request = with_timeout(seconds, parser.__next__)
                except TimeoutError:
                    return
                finally:
                    waiting.discard(me)
                # It comes with a connection's first request, and holds for all of them.
                proxy_info = request.proxy_protocol_info = request.proxy_protocol_info or proxy_info
                self.handle_request(name, request, client, address)
        except (StopIteration, NoMoreData, Shutdown) as reason:
            self.log.debug("Closing connection: %r", reason)
        except (Exception, SystemExit, Interrupted) as error:
            if _is_clients(error):
                self._lost(error)
            else:
                self.handle_error(request, client, address, error)
                # What is left unread would have the kernel take back what was just sent.
                util.close_graceful(client)
        finally:
            util.close(client)

    def _lost(self, error: BaseException) -> None:
        if getattr(error, "errno", None) in _PEER_VANISHED or isinstance(error, SSLError):
            self.log.debug("Client has gone: %s", error)
        else:
            self.log.error("Socket error processing request.", exc_info=error)

    def handle_request(self, listener_name: Any, req: Any, client: Any, addr: Any) -> bool:
        """Have the application answer one request.  Raises StopIteration if it was the connection's last."""
        begun = datetime.now()
        # A Response, once there is one.
        response: Any = None
        environ: Any = {}
        try:
            self.cfg.pre_request(self, req)
            response, environ = wsgi.create(req, client, addr, listener_name, self.cfg, response_class=Response)
            environ["wsgi.multithread"] = True
            self._count_request()
            if not self.alive or not self.cfg.keepalive:
                response.force_close()
            if not self._respond(response, environ, req, begun):
                return False
        except Shutdown:
            self.log.warning("Request cut off by the end of the worker: %s %s", req.method, req.uri)
            raise StopIteration from None
        except StopIteration as error:
            # To the caller it would mean that all is well.
            raise RuntimeError("the application raised StopIteration") from error
        except (Exception, SystemExit, Interrupted) as error:
            if _is_clients(error) or response is None or not response.has_begun:
                raise
            # An error page in the middle of a response would pass for the rest of it.
            self.log.exception("Error handling request")
            raise StopIteration from None
        finally:
            self._after_request(req, environ, response)
        if response.should_close():
            raise StopIteration
        return True

    def _respond(self, response: Response, environ: Any, req: Any, begun: datetime) -> bool:
        """Call the application and send what it answers; False if it has done that itself."""
        answer: Any = self.wsgi(environ, response.start_response)  # type: ignore[arg-type]
        if self.is_already_handled(answer):
            return False
        if not self.alive:
            # Told so while the application was at it.
            response.force_close()
        try:
            if isinstance(answer, environ["wsgi.file_wrapper"]):
                response.write_file(answer)
            else:
                for piece in answer:
                    response.write(piece)
            response.close()
        finally:
            self.log.access(response, req, environ, datetime.now() - begun)
            if hasattr(answer, "close"):
                answer.close()
        return True

    def _count_request(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False

    def _after_request(self, req: Any, environ: Any, response: Any) -> None:
        try:
            self.cfg.post_request(self, req, environ, response)
        except Exception:
            self.log.exception("Exception in post_request hook")

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that failed; say nothing about a connection that the worker's end closes."""
        if not isinstance(exc, Shutdown):
            super().handle_error(req, client, addr, exc)


def _is_clients(error: BaseException) -> bool:
    """Whether the client's connection has failed; a timeout of coro's is the application's."""
    return isinstance(error, OSError) and not isinstance(error, Interrupted)


def _is_users(frame: FrameType | None) -> bool:
    """Whether this is code of the application: what is raised in the runtime's own could hit anybody."""
    return frame is not None and not str(frame.f_globals.get("__name__")).startswith("coro.")


class _Place:
    """Stands for a listener that may be closed already: gunicorn asks it for its name, at each connection."""

    __slots__ = ("_name",)

    def __init__(self, name: Any) -> None:
        self._name = name

    def getsockname(self) -> Any:
        """What the listener is bound to."""
        return self._name
