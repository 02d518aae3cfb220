"""Answering while the loop is stuck: what the sentinel does with connections.

New connections are accepted, waiting ones served, as far as a request only looks.  Everything else stays where it
is, in the connection's backlog: the loop goes on with it when it turns again.  A session whose line runs is only
peeked at, for Ctrl-C.

Called by the sentinel's OS thread alone.  It holds a connection's claim while it touches it, and gives way at once
when the loop turns.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import Any

from coro.backdoor.commands.act import exception_named
from coro.backdoor.commands.registry import CommandError
from coro.backdoor.commands.talk import thresholds_of
from coro.backdoor.connection import Connection
from coro.backdoor.host import Host
from coro.backdoor.http import HttpRequest
from coro.backdoor.http_session import healthz_response
from coro.backdoor.inbound import InboundEvent, RpcLine
from coro.backdoor.interrupting import strikes
from coro.backdoor.json_lines import Request, RequestError, parse_request
from coro.backdoor.lines import Line
from coro.backdoor.peeking import cancel_typed, interrupts_typed
from coro.backdoor.rpc_messages import answer, failure, hello_value, notification
from coro.backdoor.session import Session
from coro.backdoor.tokens import matches
from coro.inspect import outside
from coro.inspect.health import judge
from coro.loop import loop
from coro.records import ActionRecord, StallRecord
from coro.scheduler import scheduler
from coro.state import ThreadState
from coro.wire.arguments import UsageError, check, parse_line
from coro.wire.commands import COMMANDS, Command
from coro.wire.encode import DecodeError, loads_limited, to_plain
from coro.wire.present import present
from coro.wire.protocol import COMMAND_FAILED, INVALID_PARAMS, NOT_ALLOWED

__all__ = ["StalledService"]

# A check that has waited so long is answered by the sentinel, also when the loop turns.
CHECK_PATIENCE_NS = 250_000_000
MAX_ACCEPTS = 16


class _NotNow(Exception):
    """The loop has to do this."""


class StalledService:
    """The sentinel's hands."""

    def __init__(self, host: Host, server: Any) -> None:
        self._host = host
        self._server = server
        # Sessions that were told that the loop is stuck.
        self._told: set[int] = set()
        self._turn: int = 0

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
        """One round: accept who comes, answer who asks."""
        self._turn = loop.iterations
        self._accept()
        for session in list(self._host.sessions.values()):
            if self._gives_way():
                return
            connection = session.connection
            if not connection.claim.acquire(False):
                continue
            try:
                # Under the claim: from now on the loop does not begin to speak.
                if connection.busy or connection.closed or connection.flushing or session.speaking:
                    continue
                before = _progress(connection)
                self._serve_session(session, now, stall)
            finally:
                connection.claim.release()
            # Only for news: a long stall must not pile up calls for the loop.
            if _progress(connection) != before:
                loop.post(connection.nudge)

    def hand_back(self) -> None:
        """The loop turns again: what was not sent yet is its business now."""
        self._told.clear()
        for session in list(self._host.sessions.values()):
            if session.connection.pending and not session.connection.flushing:
                loop.post(self._server.finish_writing, session)

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
                if connection.pending or connection.lost or ticket.session.speaking:
                    continue
                if self._host.tickets.pop(number, None) is None:
                    continue
                connection.pending += ticket.encode(self._health(ticket.params, None))
                connection.send_pending()
            finally:
                connection.claim.release()
            if connection.pending and not is_stalled:
                loop.post(self._server.finish_writing, ticket.session)

    # -- connections

    def _gives_way(self) -> bool:
        return loop.iterations != self._turn

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
                    loop.post(self._host.audit.refused, *entered)

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
        while connection.backlog and not connection.pending and not self._gives_way():
            found = connection.backlog.popleft()
            try:
                self._answer(session, found, stall)
            except _NotNow:
                connection.backlog.appendleft(found)
                return

    def _greet(self, session: Session, stall: StallRecord) -> None:
        self._told.add(session.number)
        who = stall.culprits[0].name if stall.culprits else "nobody in particular"
        text = (
            f"\nthe loop has not turned for {stall.duration_s:.1f} s, held up by {who!r}: "
            "until it does, :ps, :where, :info, :lag, :stalls, :check and :interrupt work\nstalled> "
        )
        self._send(session, session.connection.inbound.encode(text))

    def _send(self, session: Session, data: bytes) -> None:
        session.connection.pending += data
        session.connection.send_pending()

    def _answer(self, session: Session, found: InboundEvent, stall: StallRecord) -> None:
        match found:
            case RpcLine(data):
                self._send(session, self._rpc(session, data, stall))
            case Line(text):
                if session.role is None:
                    # It may be the token, which is asked for by the loop.
                    raise _NotNow
                lines = self._text(session, text.strip())
                self._send(session, session.connection.inbound.encode(lines + "stalled> "))
            case HttpRequest(method, "/healthz"):
                if not session.may("observe"):
                    raise _NotNow
                health = self._health(_defaults(), stall)
                self._send(
                    session, healthz_response(health, head_only=method == "HEAD", close=not found.keep_alive)
                )
            case _:
                raise _NotNow

    # -- languages

    def _rpc(self, session: Session, data: bytes, stall: StallRecord) -> bytes:
        try:
            request = parse_request(loads_limited(data))
        except (DecodeError, RequestError):
            raise _NotNow from None
        if request.id is None:
            raise _NotNow
        if request.method == "hello":
            return self._hello(session, request)
        command = COMMANDS.get(request.method)
        if command is None or not command.by_sentinel:
            return self._put_off(session, request, stall)
        if not session.may(command.role):
            return failure(request.id, NOT_ALLOWED, f"{command.name} needs the role {command.role}")
        try:
            parameters = check(command, request.params)
            value = to_plain(self._look(command, parameters, stall))
        except UsageError as error:
            return failure(request.id, INVALID_PARAMS, str(error))
        except CommandError as error:
            return failure(request.id, COMMAND_FAILED, str(error))
        schema = "coro.stack-group/1" if command.name == "where" and parameters.get("group") else command.schema
        return answer(request.id, schema, value, "sentinel")

    def _hello(self, session: Session, request: Request) -> bytes:
        token = request.params.get("token")
        if session.role is None and isinstance(token, str) and matches(token, self._host.token):
            session.role = self._host.roles.role_of(session.connection.peer, True)
        if session.role is None:
            return failure(request.id, NOT_ALLOWED, "the token is wrong" if token else "a token is needed")
        names = [command.name for command in COMMANDS.values() if session.may(command.role)]
        return answer(request.id, None, hello_value(session, names), "sentinel")

    def _put_off(self, session: Session, request: Request, stall: StallRecord) -> bytes:
        """Tell once that the request waits; then leave it."""
        if session.number in self._told:
            raise _NotNow
        self._told.add(session.number)
        who = stall.culprits[0].name if stall.culprits else None
        params = {"id": request.id, "stalled_s": stall.duration_s, "culprit": who}
        self._send(session, notification("stalled", params))
        raise _NotNow

    def _text(self, session: Session, text: str) -> str:
        name, _, rest = text.removeprefix(":").partition(" ")
        command = COMMANDS.get(name)
        if not text.startswith(":") or command is None or not command.by_sentinel:
            raise _NotNow
        if not session.may(command.role):
            return f"{name} needs the role {command.role}\n"
        try:
            parameters = parse_line(command, rest)
            value = to_plain(self._look(command, parameters, None))
            return "".join(line + "\n" for line in present(command, parameters, value) if line is not None)
        except (UsageError, CommandError) as error:
            return f"{error}\n"

    # -- looking

    def _look(self, command: Command, parameters: dict[str, Any], stall: StallRecord | None) -> Any:
        try:
            return _LOOKS[command.name](self, parameters, stall)
        except KeyError as error:
            raise CommandError(f"there is no thread {error.args[0]}") from None
        except outside.GivenUp:
            raise _NotNow from None

    def _ps(self, parameters: dict[str, Any], stall: StallRecord | None) -> Any:
        return outside.threads(self._gives_way)

    def _where(self, parameters: dict[str, Any], stall: StallRecord | None) -> Any:
        target = parameters["target"]
        if target != "all":
            return [outside.stack(int(target))]
        if parameters.get("group"):
            return outside.stack_groups(self._gives_way)
        return outside.stacks(self._gives_way)

    def _info(self, parameters: dict[str, Any], stall: StallRecord | None) -> Any:
        return outside.info(parameters["id"])

    def _lag(self, parameters: dict[str, Any], stall: StallRecord | None) -> Any:
        return outside.lag()

    def _stalls(self, parameters: dict[str, Any], stall: StallRecord | None) -> Any:
        return outside.stalls()

    def _check(self, parameters: dict[str, Any], stall: StallRecord | None) -> Any:
        return self._health(parameters, stall)

    def _health(self, parameters: dict[str, Any], stall: StallRecord | None) -> dict[str, Any]:
        facts = outside.facts_from_outside(
            tuple(parameters.get("require") or ()),
            stall_s=self._host.stall_threshold,
            who=stall.culprits[0] if stall is not None and stall.culprits else None,
        )
        return to_plain(judge(facts, thresholds_of(parameters)))  # type: ignore[no-any-return]

    def _interrupt(self, parameters: dict[str, Any], stall: StallRecord | None) -> Any:
        thread = scheduler.all_threads.get(parameters["id"])
        if thread is None:
            raise KeyError(parameters["id"])
        error = exception_named(parameters["exception"])
        if thread is not scheduler.current:
            raise CommandError(
                f"thread {thread.id} does not run; in a stall only the thread that runs can be interrupted"
            )
        if not strikes.installed:
            raise CommandError(
                "the loop is not in the main OS thread, or SIGURG is taken: nothing can interrupt it"
            )
        strikes.interrupt_thread(thread, error)
        name = outside.culprit().name
        return ActionRecord("interrupt", thread.id, name, f"interrupting thread {thread.id} {name!r} where it runs")


_LOOKS: dict[str, Callable[[StalledService, dict[str, Any], StallRecord | None], Any]] = {
    "ps": StalledService._ps,
    "where": StalledService._where,
    "info": StalledService._info,
    "lag": StalledService._lag,
    "stalls": StalledService._stalls,
    "check": StalledService._check,
    "interrupt": StalledService._interrupt,
}


def _progress(connection: Connection) -> tuple[object, ...]:
    return connection.received_bytes, len(connection.backlog), connection.eof, connection.lost


def _defaults() -> dict[str, Any]:
    return check(COMMANDS["check"], {})
