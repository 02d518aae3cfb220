"""What may be observed of a server, with or without a cap and an idle timeout, that clients call at and stop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import coro
from coro.scheduler import scheduler
from coro.testing import choose
from tests.explorer.actors import ServiceModel
from tests.explorer.model import Operation
from tests.explorer.services_servers import Serving, folder_for_sockets, is_no_acceptor

__all__ = ["Servers"]

_DRAINS_S = (60, 1, 0)


class Servers(ServiceModel):
    """Each connection is handled once, and closed; there are never more than the cap, and as many as may be.

    A server that has stopped has no listener, no connection and no thread; who still calls is refused.
    """

    first_actors = 4
    descriptors = True
    path: str
    scene: Serving
    connected: int

    def __init__(self) -> None:
        super().__init__()
        self.max_connections = (1, 2, None)[choose(3)]
        self.idle_timeout = (None, 2.0)[choose(2)]
        self.scenes: list[Serving] = []

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        with folder_for_sockets() as folder:
            self.path = f"{folder}/s"
            self.start()
            yield

    def start(self) -> None:
        """Serve; again if the former server was stopped."""
        for former in self.scenes:
            former.owns_path = False
        self.scene = Serving(self.path, self.max_connections, self.idle_timeout)
        # How often connect() has succeeded.
        self.connected = 0
        self.scenes.append(self.scene)

    def operations(self) -> list[Operation]:
        me = self.me()
        if not me.frames:
            end: Operation = self.start if self.scene.is_stopping else self.stop
            return [self.call, self.call, self.call, self.call, end]
        scene, sock = me.frames
        ask = partial(self.ask, scene, sock)
        return [partial(ask, b"hello"), partial(ask, b"hello"), me.leave, partial(ask, b"fail"), self.pause]

    def stop(self) -> None:
        self.scene.stop(_DRAINS_S[choose(len(_DRAINS_S))])

    def call(self) -> None:
        """Connect, ask what one is told to, and hang up."""
        me, scene = self.me(), self.scene
        with coro.unix_sock() as sock:
            try:
                sock.connect(self.path)
                self.connected += 1
                me.frames = [scene, sock]
                me.obey()
            except (ConnectionError, FileNotFoundError, EOFError):
                assert scene.is_stopping or scene.has_cut, "a connection ended, and nobody has ended it"
            finally:
                me.frames = []

    def ask(self, scene: Serving, sock: coro.sock, question: bytes) -> None:
        """Ask, but not for ever: there may be no place."""
        try:
            coro.with_timeout(3, scene.ask, sock, question)
        except coro.TimeoutError:
            # The answer may come yet, for nobody.
            sock.close()
            self.me().leave()

    def may_be_hit(self, thread: coro.coro) -> bool:
        return is_no_acceptor(thread)

    def shut_down_thread(self, thread: coro.coro) -> None:
        # It may be handling a connection.
        for scene in self.scenes:
            scene.has_cut = True
        super().shut_down_thread(thread)

    def check(self) -> None:
        server = self.scene.server
        assert self.scene.is_stopping or os.path.exists(self.path), (
            "the end of another server took the socket's file"
        )
        assert self.scene.active <= len(server.connections) <= (self.max_connections or server.accepted)

    def check_at_rest(self) -> None:
        super().check_at_rest()
        server = self.scene.server
        assert len(server.connections) == self.scene.active, "a connection has no handler, or a handler none"
        for scene in self.scenes:
            assert scene.cut_at > scheduler.now or not scene.active, "a connection goes on when its time is over"
        if not self.scene.is_stopping and self.connected > server.accepted:
            has_place = self.max_connections is None or len(server.connections) < self.max_connections
            assert not has_place, f"{self.connected} have called, {server!r} has accepted {server.accepted}"

    def at_end(self) -> None:
        for scene in self.scenes:
            # However it was stopped before, and whoever was interrupted while he did so.
            scene.stop(60)
        super().at_end()
        for scene in self.scenes:
            scene.check_stopped()
            scene.at_end()
