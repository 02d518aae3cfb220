"""Answering while the loop is stuck: what the sentinel does with connections.

New connections are accepted, waiting ones served, as far as a request only looks.  Everything else stays where it
is, in the connection's backlog: the loop goes on with it when it turns again.  A session whose line runs is only
peeked at, for Ctrl-C.

Called by the sentinel's OS thread alone.  It holds a connection's claim while it touches it, and gives way at once
when the loop turns.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from typing import Any

from coro.backdoor.connection import Connection
from coro.backdoor.host import Host
from coro.backdoor.http import HttpRequest
from coro.backdoor.inbound import InboundEvent, RpcLine
from coro.backdoor.json_lines import Request
from coro.backdoor.lines import Line
from coro.backdoor.peeking import cancel_typed, interrupts_typed
from coro.backdoor.rpc_messages import notification
from coro.backdoor.session import Session
from coro.backdoor.stalled_answers import NotNow, StalledAnswers
from coro.loop import loop
from coro.records import StallRecord
from coro.state import ThreadState

__all__ = ["StalledService"]

# A check that has waited so long is answered by the sentinel, also when the loop turns.
CHECK_PATIENCE_NS = 250_000_000
MAX_ACCEPTS = 16
PROMPT = "stalled> "


class StalledService:
    """The sentinel's hands."""

    def __init__(self, host: Host, server: Any) -> None:
        self._host = host
        self._server = server
        self._answers = StalledAnswers(host, self._gives_way, self._write_audit)
        # Sessions that were told that the loop is stuck.
        self._told: set[int] = set()
        self._turn: int = 0
        # The loop was asked to write down what was kept for the audit.
        self._audit_is_posted = False
        self._audit_writer: threading.Thread | None = None

    # -- for the sentinel

    def wanted(self) -> Iterator[tuple[int, int]]:
        """(descriptor, events) that are worth waking up for."""
        for listener in self._server.listeners:
            fd = listener.sock.fileno()
            if fd >= 0:
                yield fd, select.POLLIN
        for session in list(self._host.sessions.values()):
            connection = session.connection
            fd = connection.sock.fileno()
            if fd < 0 or connection.lost or connection.eof:
                continue
            if connection.busy or connection.flushing or session.speaking:
                # The loop's: it would be ready all the time, and nobody here would serve it.
                continue
            if connection.pending:
                yield fd, select.POLLOUT
            elif not connection.backlog:
                yield fd, select.POLLIN

    def serve(self, now: int, stall: StallRecord) -> None:
        """One round: accept who comes, answer who asks.

        Raises what went wrong with one of them, when all others have been served.
        """
        self._turn = loop.iterations
        self._accept()
        fault: Exception | None = None
        for session in list(self._host.sessions.values()):
            if self._gives_way():
                break
            try:
                self._serve_if_free(session, now, stall)
            except Exception as error:
                fault = fault or error
        self._post_audit()
        if fault is not None:
            raise fault

    def hand_back(self) -> None:
        """The loop turns again: what was not sent yet is its business now, and the sessions' prompts are."""
        self._told.clear()
        for session in list(self._host.sessions.values()):
            show_prompt = session.show_prompt
            if session.shows_stall and show_prompt is not None:
                loop.post(show_prompt)
            if session.shows_stall or session.connection.pending:
                loop.post(self._server.finish_writing, session)
        self._post_audit()

    def interrupt_typed(self, thread: ThreadState | None) -> bool:
        """Whether the session whose line runs in `thread` has been sent an interrupt that nobody has read."""
        for session in list(self._host.sessions.values()):
            line = session.line
            if line is None or line.thread is not thread:
                continue
            claim = session.connection.claim
            if not claim.acquire(False):
                # The reader is at it, so the loop turns.
                return False
            try:
                if session.kind == "rpc":
                    if not cancel_typed(session.connection, session.request_id):
                        return False
                    session.cancelled_id = session.request_id
                    return True
                # The reader will find them when it reads: they have done their work.
                typed = session.forgiven_interrupts = interrupts_typed(session.connection)
                return typed > 0
            finally:
                claim.release()
        return False

    def answer_late_checks(self, now: int, is_stalled: bool) -> None:
        """Answer checks that the loop has not got round to."""
        for number, ticket in list(self._host.tickets.items()):
            if now - ticket.since_ns < CHECK_PATIENCE_NS:
                continue
            connection = ticket.session.connection
            if not connection.claim.acquire(False):
                continue
            try:
                if connection.pending or connection.lost or connection.closed or ticket.session.speaking:
                    continue
                # Before the ticket is taken: should this fail, the loop still answers.
                data = ticket.encode(self._answers.health(ticket.params, None))
                if self._host.tickets.pop(number, None) is None:
                    continue
                self._send(ticket.session, data)
            finally:
                connection.claim.release()
            if connection.pending and not is_stalled:
                loop.post(self._server.finish_writing, ticket.session)

    # -- audit

    def _post_audit(self) -> None:
        """Have the loop write what was kept, when it turns."""
        if self._host.audit.has_kept and not self._audit_is_posted:
            self._audit_is_posted = True
            loop.post(self._audit_in_loop)

    def _audit_in_loop(self) -> None:
        self._audit_is_posted = False
        if self._host.audit.write_kept():
            # Some at a time: the others go first.
            self._post_audit()

    def _write_audit(self) -> None:
        """Something was ordered: it is to be in the audit also if the process is killed while it is stuck.

        In an OS thread of its own, since logging may wait for a lock that the stuck thread holds.
        """
        if self._audit_writer is not None and self._audit_writer.is_alive():
            # It waits, or has not come to this line yet; else the loop writes it.
            return
        writer = threading.Thread(target=self._host.audit.write_kept_elsewhere, name="coro audit", daemon=True)
        try:
            writer.start()
        except RuntimeError:
            # No OS thread is to be had: the loop writes it.
            return
        self._audit_writer = writer

    # -- connections

    def _gives_way(self) -> bool:
        # A loop that closes the backdoor waits for us.
        return loop.iterations != self._turn or self._server.closed

    def _accept(self) -> None:
        for listener in self._server.listeners:
            for _ in range(MAX_ACCEPTS):
                if self._server.closed or self._gives_way():
                    return
                try:
                    accepted = listener.sock.accept()[0]
                except OSError:
                    # Nobody there, or no descriptor left: the loop will tell.
                    break
                entered = self._server.enter(listener, accepted)
                if isinstance(entered, Session):
                    loop.post(self._server.begin, entered)
                else:
                    self._host.audit.keep_refusal(*entered)

    def _serve_if_free(self, session: Session, now: int, stall: StallRecord) -> None:
        """Serve a session, unless the loop is at it."""
        connection = session.connection
        if not connection.claim.acquire(False):
            return
        before = _progress(connection)
        try:
            # Under the claim: from now on the loop does not begin to speak.
            if not (connection.busy or connection.closed or connection.flushing or session.speaking):
                self._serve_session(session, now, stall)
        finally:
            connection.claim.release()
            # Only for news: a long stall must not pile up calls for the loop.
            if _progress(connection) != before:
                loop.post(connection.nudge)

    def _serve_session(self, session: Session, now: int, stall: StallRecord) -> None:
        """Read what came, and answer what can be answered.  Under the claim."""
        connection = session.connection
        if connection.pending:
            connection.send_pending()
            return
        while connection.lost is None and not connection.eof and not connection.backlog and connection.receive():
            if self._gives_way():
                return
        inbound = connection.inbound
        if inbound.language is None and now - connection.opened_ns >= self._host.limits.silence * 1e9:
            connection.backlog.extend(inbound.silence())
        if inbound.language == "text" and session.number not in self._told and session.role is not None:
            self._greet(session, stall)
        while not connection.pending and not self._gives_way():
            try:
                found = connection.backlog.popleft()
            except IndexError:
                # All is done, or the loop has dropped the connection meanwhile.
                return
            try:
                self._answer(session, found, stall)
            except NotNow as put_off:
                connection.backlog.appendleft(found)
                if put_off.request is not None:
                    self._tell_once(session, put_off.request, stall)
                return
            except Exception:
                # The loop does better, with nothing in motion.
                connection.backlog.appendleft(found)
                raise

    def _greet(self, session: Session, stall: StallRecord) -> None:
        self._told.add(session.number)
        who = stall.culprits[0].name if stall.culprits else "nobody in particular"
        self._prompt(
            session,
            f"\nthe loop has not turned for {stall.duration_s:.1f} s, held up by {who!r}: "
            "until it does, :ps, :where, :info, :lag, :stalls, :check and :interrupt work\n",
        )

    def _prompt(self, session: Session, text: str) -> None:
        session.shows_stall = True
        self._send(session, session.connection.inbound.encode(text + PROMPT))

    def _send(self, session: Session, data: bytes) -> None:
        session.connection.pending += data
        session.connection.send_pending()

    def _answer(self, session: Session, found: InboundEvent, stall: StallRecord) -> None:
        """Answer one piece of input.  Raises NotNow."""
        match found:
            case RpcLine(data):
                self._send(session, self._answers.rpc(session, data, stall))
            case Line(text) if session.role is not None:
                self._prompt(session, self._answers.text(session, text.strip(), stall))
            case HttpRequest(path="/healthz"):
                self._send(session, self._answers.healthz(session, found, stall))
            case _:
                # A line without a role may be the token, which is asked for by the loop.
                raise NotNow

    def _tell_once(self, session: Session, request: Request, stall: StallRecord) -> None:
        """Say that the request waits, and what for."""
        if session.number in self._told:
            return
        self._told.add(session.number)
        who = stall.culprits[0].name if stall.culprits else None
        params = {"id": request.id, "stalled_s": stall.duration_s, "culprit": who}
        self._send(session, notification("stalled", params))


def _progress(connection: Connection) -> tuple[object, ...]:
    return connection.received_bytes, len(connection.backlog), connection.eof, connection.lost
