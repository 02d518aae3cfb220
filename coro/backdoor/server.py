"""The server: accepts, finds out who has come, and runs a session for each.

Invariant: nobody's byte is read before it is known who he is.  What a peer does short of running code of its own
costs the other threads nothing that they notice: connections are accepted at an observer's pace, in slots.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from typing import Any, Literal

from coro.backdoor.connection import CLAIM_RETRY_S, Connection, ConnectionLost
from coro.backdoor.host import Host
from coro.backdoor.http_session import HttpSession
from coro.backdoor.inbound import Refused
from coro.backdoor.interrupting import strikes
from coro.backdoor.listening import ListeningSocket
from coro.backdoor.pace import Pace
from coro.backdoor.peers import Peer, tcp_peer, unix_peer
from coro.backdoor.rpc_messages import failure
from coro.backdoor.rpc_session import RpcSession
from coro.backdoor.sentinel import Sentinel
from coro.backdoor.session import Session
from coro.backdoor.text_session import TextSession
from coro.exceptions import ClosedError, Interrupted, Shutdown, TimeoutError
from coro.runtime import spawn
from coro.scheduler import scheduler
from coro.socket.sock import sock
from coro.thread import coro
from coro.timed import sleep_relative
from coro.wire.protocol import LIMIT_REACHED, NOT_ALLOWED, Role

__all__ = ["Backdoor"]

logger = logging.getLogger("coro.backdoor")

# accept(2) fails like this when the peer has gone already, or the network is in trouble; the listener is fine.
_PASSING = {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EINTR}
# Out of descriptors or memory: others need them more; come again later.
_SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
SHORTAGE_PAUSE_S = 0.5
# How soon to look again whether a slot has become free.
SLOT_PAUSE_S = 0.05


class Backdoor:
    """A running backdoor.  `address` is its first listener's; close() ends it, also as a context manager."""

    def __init__(self, host: Host, listeners: list[ListeningSocket]) -> None:
        self.host = host
        self.listeners = listeners
        self.closed = False
        self._threads: list[coro] = []
        # Functions to call with this backdoor when it was closed; they must neither raise nor park.
        self.at_close: list[Callable[[Backdoor], object]] = []
        self.sentinel = Sentinel(host, self)

    # -- for users

    @property
    def addresses(self) -> list[str | tuple[str, int]]:
        """Where it listens: paths and (host, port)."""
        return [listener.address for listener in self.listeners]

    @property
    def address(self) -> str | tuple[str, int]:
        """Where it listens first: the path of its Unix socket, or (host, port)."""
        return self.listeners[0].address

    def close(self) -> None:
        """End all sessions, stop listening, remove the socket's file.  Twice is harmless.  Does not yield."""
        if self.closed:
            return
        self.closed = True
        self.sentinel.stop()
        for session in list(self.host.sessions.values()):
            session.kick("the backdoor is closed")
        for thread in self._threads:
            # In the current thread shutdown() would raise here and now.
            if thread is not scheduler.current:
                thread.shutdown()
        for listener in self.listeners:
            try:
                listener.close()
            except OSError as error:
                logger.error("the backdoor's socket %s was not removed: %s", listener.address, error)
        self.host.audit.flush(now=True)
        self._give_back()

    def forget(self) -> None:
        """In a forked child: close the descriptors and touch nothing else; the parent goes on serving."""
        self.closed = True
        self.sentinel.forget()
        self.host.audit.forget_kept()
        self._give_back()
        for listener in self.listeners:
            listener.close(forget=True)
        for session in list(self.host.sessions.values()):
            session.connection.lost = "the process was forked"
            session.connection.sock.close()
        self.host.sessions.clear()

    def _give_back(self) -> None:
        strikes.uninstall(self)
        for function in self.at_close:
            function(self)

    def __enter__(self) -> Backdoor:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else ", ".join(str(address) for address in self.addresses)
        return f"<backdoor {state}>"

    def keep_house(self) -> None:
        """What is to be done now and then; the sentinel has it called once a minute.  Does not yield."""
        self.host.audit.flush()
        for listener in self.listeners:
            bound = listener.bound
            if bound is None or self.closed:
                continue
            if bound.in_place():
                # What clears old files out of /tmp spares young ones.
                bound.touch()
            elif not listener.is_lost:
                listener.is_lost = True
                logger.error("the backdoor's socket %s is gone: nobody can connect there any more", bound.path)

    # -- accepting

    def open(self) -> None:
        """Start accepting: a thread for each listener.  The sentinel starts when the loop runs."""
        strikes_fault = strikes.install(self)
        if strikes_fault is not None:
            logger.warning("backdoor: %s", strikes_fault)
        for listener in self.listeners:
            self._threads.append(spawn(self._accept, listener, thread_name="backdoor"))

    def join(self) -> None:
        """Wait until it is closed.  Yields."""
        for thread in self._threads:
            thread.join()

    def _accept(self, listener: ListeningSocket) -> None:
        self.sentinel.start()
        try:
            while not self.closed:
                try:
                    self._accept_all(listener)
                except (ClosedError, Shutdown):
                    return
                except Interrupted:
                    # Somebody mistook this thread for another: the door stays open.
                    logger.warning("the backdoor's thread was interrupted, and goes on")
        finally:
            # Also when the loop ends: the file is removed, nobody is left waiting in the backlog.
            self.close()

    def _accept_all(self, listener: ListeningSocket) -> None:
        pace = Pace()
        while not self.closed:
            self._await_slot()
            accepted = self._accept_one(listener, pace)
            if accepted is not None:
                self.admit(listener, accepted)
            pace.breathe()

    def _await_slot(self) -> None:
        while self.host.count("new") >= self.host.limits.new and not self.closed:
            sleep_relative(SLOT_PAUSE_S)

    def _accept_one(self, listener: ListeningSocket, pace: Pace) -> socket.socket | None:
        """The next connection; None if it has gone before it was accepted, or was the sentinel's."""
        try:
            return listener.sock.accept()[0]
        except BlockingIOError:
            listener.descriptor.wait_readable(None)
            # Who comes after a pause does not pay for it.
            pace.restart()
            return None
        except OSError as error:
            if self.closed or error.errno == errno.EBADF:
                raise ClosedError("the backdoor was closed") from None
            if error.errno in _PASSING:
                return None
            if error.errno not in _SHORTAGE:
                raise
            logger.error("the backdoor cannot accept: %s", error)
            sleep_relative(SHORTAGE_PAUSE_S)
            return None

    def admit(self, listener: ListeningSocket, accepted: socket.socket) -> Session | None:
        """See who has come, and start a session or send him away.  In the loop.  Does not yield."""
        session = self.enter(listener, accepted)
        if isinstance(session, Session):
            self.begin(session)
            return session
        peer, reason = session
        self.host.audit.refused(peer, reason)
        return None

    def enter(self, listener: ListeningSocket, accepted: socket.socket) -> Session | tuple[Peer, str]:
        """A new session for a connection, not yet running; or who is refused, and why.  Also for the sentinel."""
        try:
            return self._enter(listener, accepted)
        except OSError as error:
            # It broke while it was looked at; nobody else is to suffer for it.
            accepted.close()
            kind: Literal["unix", "tcp"] = "unix" if listener.is_unix else "tcp"
            return Peer(kind, None, None, None, (), kind), f"the connection broke: {error.strerror or error}"

    def _enter(self, listener: ListeningSocket, accepted: socket.socket) -> Session | tuple[Peer, str]:
        accepted.setblocking(False)
        peer = unix_peer(accepted) if listener.is_unix else tcp_peer(accepted)
        role = self.host.roles.role_of(peer, False)
        reason = None
        if role is None and not (self.host.token is not None and self.host.roles.needs_token(peer)):
            reason = f"uid {peer.uid} has no role here" if peer.uid is not None else "it is not known who you are"
        elif self.host.count("new") >= self.host.limits.new:
            reason = f"{self.host.limits.new} connections are new already, the most allowed"
        if reason is not None:
            _send_away(accepted, NOT_ALLOWED if role is None else LIMIT_REACHED, reason)
            return peer, reason
        if not listener.is_unix:
            # telnet's commands keep their place in the stream; and replies are not held back for an ACK.
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(accepted, peer, self.host.next_number(), progress_s=self.host.limits.progress)
        session = Session(self.host, connection, role)
        self.host.sessions[session.number] = session
        return session

    def begin(self, session: Session) -> None:
        """Run a session that enter() made, in a thread of its own.  In the loop.  Does not yield."""
        if self.closed:
            self.host.sessions.pop(session.number, None)
            session.connection.close()
            return
        thread = spawn(self._run, session, thread_name=session.name)
        session.threads.append(thread)

    # -- one session

    def _run(self, session: Session) -> None:
        why = "ended"
        try:
            why = self._converse(session)
        except ConnectionLost as lost:
            why = lost.reason
        finally:
            self.host.sessions.pop(session.number, None)
            for thread in session.threads[1:]:
                if not thread.dead:
                    thread.shutdown()
            session.connection.close()
            outcome = "closed" if why in ("end of input", "quit", "served", "idle") else f"dropped: {why}"
            self._audit(session, outcome)

    def _converse(self, session: Session) -> str:
        """Find out the language, and speak it; returns why it ended.  Yields."""
        language = self._language(session)
        if language is None:
            return "nothing was said"
        session.kind = language
        if language != "text":
            self._make_room(session)
            return HttpSession(session).run() if language == "http" else RpcSession(session).run()
        if self.host.count("session") >= self.host.limits.sessions:
            return self._full(session, "sessions", self.host.limits.sessions)
        session.takes_slot = True
        self._audit(session, "opened")
        if self.host.client_class is not None:
            return self._run_client_class(session, self.host.client_class)
        return TextSession(session).run()

    def finish_writing(self, session: Session) -> None:
        """Send what the sentinel could not send.  In the loop; does not yield."""
        connection = session.connection
        if connection.pending and not connection.flushing and connection.lost is None:
            session.threads.append(spawn(_flush, connection, thread_name=f"{session.name} writer"))

    def _language(self, session: Session) -> str | None:
        """Wait for the first bytes, or a silence.  Yields."""
        connection = session.connection
        inbound = connection.inbound
        while inbound.language is None:
            try:
                if not connection.await_input(self.host.limits.silence):
                    if not connection.settle(inbound.finish):
                        sleep_relative(CLAIM_RETRY_S)
                        continue
                    # What was said is all that will be said.
                    return inbound.language if connection.backlog else None
            except TimeoutError:
                connection.settle(inbound.silence)
                continue
            found = next(iter(tuple(connection.backlog)), None)
            if inbound.language is None and isinstance(found, Refused):
                session.refused(found.reason)
                return None
        return inbound.language

    def _make_room(self, session: Session) -> None:
        """If there are too many probes, end the quietest: idle ones starve no check.  Does not yield."""
        probes = [
            other
            for other in list(self.host.sessions.values())
            if other is not session and other.kind in ("rpc", "http") and not other.takes_slot
        ]
        if len(probes) >= self.host.limits.probes:
            quietest = min(probes, key=lambda other: other.connection.last_input_ns)
            quietest.kick(f"{self.host.limits.probes} probes are connected already, and this one was the quietest")

    def _full(self, session: Session, what: str, limit: int) -> str:
        reason = f"{limit} {what} are connected already, the most allowed"
        session.refused(reason)
        if session.kind == "rpc":
            session.connection.enqueue(failure(None, LIMIT_REACHED, reason))
        else:
            session.connection.enqueue(f"refused: {reason}\n".encode())
        return reason

    def _run_client_class(self, session: Session, client_class: Callable[..., Any]) -> str:
        """Shrapnel's hook: an object made of the socket that does all the talking."""
        connection = session.connection
        # It gets the names, and asks for no token.
        needed: Role = "eval" if self.host.eval_allowed else "operate"
        if not session.may(needed):
            reason = f"the role {needed} is needed"
            session.refused(reason)
            connection.enqueue(f"refused: {reason}\n".encode())
            return reason
        accepted = connection.sock.dup()
        connection.close()
        session.talks_by_itself = True
        with sock(accepted.family, accepted.type, accepted.proto, accepted.detach()) as talker:
            client = client_class(talker, "\r\n", self.host.welcome_message, self.host.namespace)
            client.read_eval_print_loop()
        return "ended by its client class"

    def _audit(self, session: Session, outcome: str) -> None:
        connection = session.connection
        self.host.audit.connection(
            session.number,
            connection.peer,
            session.role,
            outcome,
            session.record().age_s,
            probe=not session.takes_slot,
        )


def _flush(connection: Connection) -> None:
    try:
        connection.flush()
    except ConnectionLost as lost:
        connection.drop(lost.reason)


def _send_away(accepted: socket.socket, code: int, reason: str) -> None:
    """A last line, which programs and people can read, as far as it fits; then close."""
    try:
        accepted.send(failure(None, code, f"refused: {reason}"))
    except OSError:
        # Nobody is left to be told.
        pass
    accepted.close()
