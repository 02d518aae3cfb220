"""What the sentinel answers while the loop is stuck: the requests that only look, `interrupt`, and hello.

Bytes and text in, bytes and text out; must not know sockets.  Called by the sentinel's OS thread alone: it takes no
lock that the stuck thread may hold, so what is done here is kept for the audit and written later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coro.backdoor.commands.act import exception_named
from coro.backdoor.commands.registry import CommandError
from coro.backdoor.commands.talk import thresholds_of
from coro.backdoor.executing import NotAllowed
from coro.backdoor.hello import say_hello
from coro.backdoor.host import Host
from coro.backdoor.http import HttpRequest
from coro.backdoor.http_session import healthz_response
from coro.backdoor.interrupting import strikes
from coro.backdoor.json_lines import Request, RequestError, parse_request
from coro.backdoor.rpc_messages import answer, describe, failure
from coro.backdoor.session import Session
from coro.inspect import outside
from coro.inspect.health import judge
from coro.records import ActionRecord, StallRecord
from coro.scheduler import scheduler
from coro.wire.arguments import UsageError, check, parse_line
from coro.wire.commands import COMMANDS, Command, schema_of
from coro.wire.encode import DecodeError, loads_limited, to_plain
from coro.wire.present import present
from coro.wire.protocol import COMMAND_FAILED, INVALID_PARAMS, NOT_ALLOWED, PROBE_METHODS

__all__ = ["NotNow", "StalledAnswers"]


class NotNow(Exception):
    """The loop has to do this.  request: the JSON-RPC request, if it is one."""

    def __init__(self, request: Request | None = None) -> None:
        super().__init__()
        self.request = request


class StalledAnswers:
    """The sentinel's mouth.

    gives_way: whether the loop turns again, so that it should answer.
    acted: called when something was ordered, not only looked at, and was kept for the audit.
    """

    def __init__(self, host: Host, gives_way: Callable[[], bool], acted: Callable[[], object]) -> None:
        self._host = host
        self._gives_way = gives_way
        self._acted = acted

    # -- languages

    def rpc(self, session: Session, data: bytes, stall: StallRecord) -> bytes:
        """The answer to a line of JSON-RPC.  Raises NotNow."""
        try:
            request = parse_request(loads_limited(data))
        except (DecodeError, RequestError):
            raise NotNow from None
        if request.id is None:
            raise NotNow
        if request.method == "hello":
            return self._hello(session, request)
        command = COMMANDS.get(request.method)
        if command is None or not command.by_sentinel:
            raise NotNow(request)
        text = describe(request)
        if session.role is None:
            self.keep_refusal(session, "a token is needed: say hello with it first")
            return failure(request.id, NOT_ALLOWED, "a token is needed: say hello with it first")
        try:
            parameters, value = self._carry_out(
                session, command, text, lambda: check(command, request.params), stall
            )
        except NotAllowed as error:
            return failure(request.id, NOT_ALLOWED, str(error))
        except UsageError as error:
            return failure(request.id, INVALID_PARAMS, str(error))
        except CommandError as error:
            return failure(request.id, COMMAND_FAILED, str(error))
        return answer(request.id, schema_of(command, parameters), value, "sentinel")

    def _hello(self, session: Session, request: Request) -> bytes:
        try:
            return answer(request.id, None, say_hello(session, request.params), "sentinel")
        except NotAllowed as error:
            self.keep_refusal(session, str(error))
            return failure(request.id, NOT_ALLOWED, str(error))

    def text(self, session: Session, line: str, stall: StallRecord) -> str:
        """The answer to a line of a text session, which has a role.  Raises NotNow."""
        name, _, rest = line.removeprefix(":").partition(" ")
        command = COMMANDS.get(name)
        if not line.startswith(":") or command is None or not command.by_sentinel:
            raise NotNow
        try:
            parameters, value = self._carry_out(session, command, line, lambda: parse_line(command, rest), stall)
            return "".join(shown + "\n" for shown in present(command, parameters, value) if shown is not None)
        except (NotAllowed, UsageError, CommandError) as error:
            return f"{error}\n"

    def healthz(self, session: Session, request: HttpRequest, stall: StallRecord) -> bytes:
        """The answer to GET /healthz.  Raises NotNow."""
        if not session.may("observe"):
            raise NotNow
        began = scheduler.clock()
        health = self.health(check(COMMANDS["check"], {}), stall)
        self._keep(session, "GET /healthz", "ok", began, probe=True)
        return healthz_response(health, head_only=request.method == "HEAD", close=not request.keep_alive)

    def health(self, parameters: dict[str, Any], stall: StallRecord | None) -> dict[str, Any]:
        """The daemon's health, as seen from outside the loop, as JSON can carry it."""
        facts = outside.facts_from_outside(
            tuple(parameters.get("require") or ()),
            stall_s=self._host.stall_threshold,
            who=stall.culprits[0] if stall is not None and stall.culprits else None,
        )
        return to_plain(judge(facts, thresholds_of(parameters)))  # type: ignore[no-any-return]

    # -- audit

    def keep_refusal(self, session: Session, reason: str) -> None:
        """As Session.refused(), kept until the loop turns."""
        self._host.audit.keep_refusal(session.connection.peer, f"{reason} (session {session.number})")

    def _keep(self, session: Session, text: str, outcome: str, began: int, *, probe: bool) -> None:
        duration_s = (scheduler.clock() - began) / 1e9
        peer = session.connection.peer
        self._host.audit.keep_command(session.number, peer, session.role, text, outcome, duration_s, probe=probe)

    # -- commands

    def _carry_out(
        self,
        session: Session,
        command: Command,
        text: str,
        parse: Callable[[], dict[str, Any]],
        stall: StallRecord,
    ) -> tuple[dict[str, Any], Any]:
        """A command's parameters, and its result in JSON's types; audited unless it is left to the loop."""
        # A session that has come during the stall has no slot yet, whatever it asks for.
        is_probe = not session.takes_slot and session.connection.inbound.language != "text"
        began = scheduler.clock()
        outcome: str | None = "failed"
        try:
            if not session.may(command.role):
                outcome = "refused"
                raise NotAllowed(f"{command.name} needs the role {command.role}")
            outcome = "usage"
            parameters = parse()
            outcome = "failed"
            value = to_plain(self._look(command, parameters, stall))
            outcome = "ok"
            return parameters, value
        except NotNow:
            outcome = None
            raise
        finally:
            if outcome is not None:
                self._keep(session, text, outcome, began, probe=is_probe and command.name in PROBE_METHODS)
                if command.group == "act":
                    self._acted()

    def _look(self, command: Command, parameters: dict[str, Any], stall: StallRecord) -> Any:
        try:
            return _LOOKS[command.name](self, parameters, stall)
        except KeyError as error:
            if str(error.args[0]) not in (str(parameters.get("id")), str(parameters.get("target"))):
                # Something was in motion.
                raise
            raise CommandError(f"there is no thread {error.args[0]}") from None
        except outside.GivenUp:
            raise NotNow from None

    def _ps(self, parameters: dict[str, Any], stall: StallRecord) -> Any:
        return outside.threads(self._gives_way)

    def _where(self, parameters: dict[str, Any], stall: StallRecord) -> Any:
        target = parameters["target"]
        if target != "all":
            return [outside.stack(int(target))]
        if parameters.get("group"):
            return outside.stack_groups(self._gives_way)
        return outside.stacks(self._gives_way)

    def _info(self, parameters: dict[str, Any], stall: StallRecord) -> Any:
        return outside.info(parameters["id"])

    def _lag(self, parameters: dict[str, Any], stall: StallRecord) -> Any:
        return outside.lag()

    def _stalls(self, parameters: dict[str, Any], stall: StallRecord) -> Any:
        return outside.stalls()

    def _check(self, parameters: dict[str, Any], stall: StallRecord) -> Any:
        return self.health(parameters, stall)

    def _interrupt(self, parameters: dict[str, Any], stall: StallRecord) -> Any:
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


_LOOKS: dict[str, Callable[[StalledAnswers, dict[str, Any], StallRecord], Any]] = {
    "ps": StalledAnswers._ps,
    "where": StalledAnswers._where,
    "info": StalledAnswers._info,
    "lag": StalledAnswers._lag,
    "stalls": StalledAnswers._stalls,
    "check": StalledAnswers._check,
    "interrupt": StalledAnswers._interrupt,
}
