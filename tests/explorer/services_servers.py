"""Servers at Unix sockets: each connection is handled once and closed, the cap is kept, stopping leaves nothing."""

from __future__ import annotations

import builtins
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import coro
from coro.clock import FOREVER_TICKS
from coro.socket.base import _live
from coro.testing import ChanceInterrupt, choose
from tests.explorer.services_tools import Fault, hear, pause

__all__ = ["Serving", "folder_for_sockets", "is_no_acceptor", "server_at_its_cap", "server_stopped", "servers"]

# So much time goes by only if the schedule makes it jump; then connections may be left that could not clean up yet.
_GRACE_S = 5


class Serving:
    """A server that echoes, and its clients.

    handled: how many connections its handler was called with.  active: how many of them it is at.
    shut_down, interrupted: how many of them were ended by Shutdown, and by other interrupts.
    cut_off: how many stop() said that it had to shut down.
    owns_path: whether no other server has been started at its path since.
    cut_at: when a stop() will have shut down what was left, in ticks.
    is_stopping, has_cut: whether the server, or an interrupt, may have ended a connection that a client still used.
    """

    def __init__(self, path: str, max_connections: int | None, idle_timeout: float | None) -> None:
        self.path = path
        self.max_connections = max_connections
        self.handled = 0
        self.active = 0
        self.shut_down = self.interrupted = self.cut_off = 0
        self.connections: list[coro.sock] = []
        self.is_stopping = False
        self.owns_path = True
        self.cut_at = FOREVER_TICKS
        self.has_cut = idle_timeout is not None
        self.server = coro.unix_server(
            path, self.handle, max_connections=max_connections, idle_timeout=idle_timeout, name="server"
        )
        self.listeners = list(self.server.listeners)

    def handle(self, connection: coro.sock, address: Any) -> None:
        self.handled += 1
        self.active += 1
        self.connections.append(connection)
        assert self.max_connections is None or self.active <= self.max_connections, f"{self.active} at once"
        assert len(self.server.connections) >= self.active
        try:
            while data := connection.recv(100):
                connection.sendall(data)
                if data.startswith(b"fail"):
                    self.has_cut = True
                    raise Fault(data)
        except coro.Shutdown:
            self.shut_down += 1
            raise
        except coro.Interrupted:
            self.has_cut = True
            self.interrupted += 1
            raise
        finally:
            self.active -= 1

    def client(self) -> None:
        pause()
        with coro.unix_sock() as sock:
            try:
                sock.connect(self.path)
                for _ in range(choose(3)):
                    self.ask(sock, b"fail" if choose(4) == 3 else b"hello")
            except (ConnectionError, FileNotFoundError, EOFError):
                assert self.is_stopping or self.has_cut, "a connection ended, and nobody has ended it"

    def ask(self, sock: coro.sock, question: bytes) -> None:
        sock.sendall(question)
        answer = sock.recv_exact(len(question))
        assert answer == question
        pause()

    def stop(self, drain: float) -> None:
        """Stop the server, and see that it has stopped."""
        self.is_stopping = True
        began = coro.get_now()
        self.cut_at = min(self.cut_at, began + int(drain * coro.ticks_per_sec))
        self.cut_off = self.server.stop(drain, _GRACE_S)
        if coro.get_now() - began < _GRACE_S * coro.ticks_per_sec:
            assert not self.server.connections, f"{self.server!r} has stopped, and has connections"
            assert not self.active
        self.check_stopped()

    def check_stopped(self) -> None:
        assert not self.server.listeners
        assert all(listener.fileno() < 0 for listener in self.listeners), "a listener was left open"
        assert not (self.owns_path and os.path.exists(self.path)), "the socket's file is left"

    def at_end(self) -> None:
        """Assert what holds when all threads have ended."""
        never_begun = self.server.accepted - self.handled
        assert never_begun >= 0
        assert self.cut_off <= self.shut_down + self.interrupted + never_begun, "who was cut off was not shut down"
        assert not self.server.connections and not self.active
        assert all(connection.fileno() < 0 for connection in self.connections), "a connection was left open"
        places = self.server._places
        if places is not None:
            assert places.avail == self.max_connections, (
                f"{places.avail} of {self.max_connections} places came back"
            )


@contextmanager
def folder_for_sockets() -> Iterator[str]:
    """A directory for a socket; at the end every socket that was made meanwhile is closed.

    Asserts that there was none to close, unless the block fails.
    """
    before = set(_live)
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield folder
            assert not set(_live) - before, "a socket is left open"
        finally:
            for sock in set(_live) - before:
                sock.close()


def is_no_acceptor(thread: coro.coro) -> bool:
    """Whether an interrupt of this thread may be explored: without its accept loop a server is none."""
    return thread.name not in ("server accept", "the scenario")


def _serve(max_connections: int | None, idle_timeout: float | None, clients: int, drain: float) -> None:
    with folder_for_sockets() as folder:
        scene = Serving(f"{folder}/s", max_connections, idle_timeout)
        with hear() as heard:
            callers = [coro.spawn(scene.client, thread_name=f"client {number}") for number in range(clients)]
            pause()
            if choose(2):
                for caller in callers:
                    caller.join()
            stopper = coro.spawn(scene.stop, drain, thread_name="stopper")
            stopper.join()
            if stopper.error is not None:
                if not stopper.switches:
                    scene.server.close()
                # What was not waited for ends all the same.
                scene.server.stop(60, _GRACE_S)
            for caller in callers:
                caller.join()
        assert all(isinstance(error, (Fault, ChanceInterrupt)) for error in heard), heard
        scene.check_stopped()
        scene.at_end()


def servers() -> None:
    """One to three clients call at a server, with or without a cap and an idle timeout, while it is stopped."""
    _serve((None, 1, 2)[choose(3)], (None, 2.0)[choose(2)], 1 + choose(3), (60, 1, 0)[choose(3)])


def server_at_its_cap() -> None:
    """Two clients call at a server that handles one connection at a time; each is served, in the end."""
    with folder_for_sockets() as folder:
        scene = Serving(f"{folder}/s", 1, None)
        answers: list[bytes] = []

        def client(number: int) -> None:
            with coro.unix_sock() as sock:
                sock.connect(scene.path)
                question = b"%d" % number
                sock.sendall(question)
                answers.append(sock.recv_exact(1))
                assert answers[-1] == question

        clients = [coro.spawn(client, number, thread_name=f"client {number}") for number in range(2)]
        for one in clients:
            one.join()
        assert sorted(answers) == [b"0", b"1"]
        scene.stop(10)
        scene.at_end()


def server_stopped() -> None:
    """A server is stopped while a client asks: the client is answered, or its connection ends; nobody waits."""
    with folder_for_sockets() as folder:
        scene = Serving(f"{folder}/s", None, None)
        ends: list[str] = []

        def client() -> None:
            with coro.unix_sock() as sock:
                try:
                    sock.connect(scene.path)
                    scene.is_stopping = True
                    sock.sendall(b"hello")
                    sock.recv_exact(5)
                except (OSError, EOFError) as error:
                    assert not isinstance(error, builtins.TimeoutError)
                    ends.append("refused")
                else:
                    ends.append("answered")

        one = coro.spawn(client, thread_name="client")
        pause()
        scene.stop((0, 1)[choose(2)])
        one.join()
        assert len(ends) == 1 or isinstance(one.error, ChanceInterrupt)
        scene.at_end()
