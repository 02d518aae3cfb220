"""JSON-RPC on one connection: docs/protocol.md has what it looks like from outside.

The reader answers what is quick (hello, cancel, input, complete, subscriptions) itself, has each check done by a
thread of its own, and hands everything else to the evaluator, which does one request after the other.

Invariant: every request that has an id is answered once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit

from coro.backdoor import completion
from coro.backdoor.checking import check_parameters, health_in_time
from coro.backdoor.commands import CommandError, find
from coro.backdoor.connection import FLOOD_DUTY, FLOOD_SLICE_NS, ConnectionLost
from coro.backdoor.evaluation import LeaveSession, LineInterrupted
from coro.backdoor.executing import NotAllowed
from coro.backdoor.hello import say_hello
from coro.backdoor.inbound import Refused, RpcLine
from coro.backdoor.interrupting import strikes
from coro.backdoor.json_lines import Request, RequestError, RequestId, parse_request
from coro.backdoor.own_faults import report_own_fault
from coro.backdoor.pace import Pace
from coro.backdoor.rpc_evaluation import RpcEvaluation
from coro.backdoor.rpc_messages import answer, describe, failure
from coro.backdoor.session import Session
from coro.backdoor.speech import Speech
from coro.backdoor.subscriptions import MAX_SUBSCRIPTIONS, Subscriptions
from coro.exceptions import TimeoutError
from coro.fifo import fifo
from coro.runtime import spawn
from coro.scheduler import scheduler
from coro.wire.arguments import UsageError, check
from coro.wire.encode import DecodeError, loads_limited
from coro.wire.protocol import (
    CANCELLED,
    COMMAND_FAILED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LIMIT_REACHED,
    METHOD_NOT_FOUND,
    NOT_ALLOWED,
    PARSE_ERROR,
    PROBE_METHODS,
)

__all__ = ["RpcSession"]

MAX_WAITING_REQUESTS = 64
MAX_CHECKS = 4
MIN_PERIOD_S = 0.1
# How the audit calls what was tried and not even begun.
_OUTCOMES = {METHOD_NOT_FOUND: "unknown", INVALID_PARAMS: "usage"}


class _RpcFailure(Exception):
    """A request is refused: code and message of JSON-RPC's error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class RpcSession:
    """One connection's requests; run() is the reader."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.host = session.host
        self.connection = session.connection
        self.speech = Speech(session)
        self._evaluation = RpcEvaluation(session, self.speech)
        self._requests = fifo()
        # Requests that are not answered yet, those that wait included.
        self._open: dict[RequestId, Request] = {}
        self._cancelled: set[RequestId] = set()
        self._worker: Any = None
        self._checks = 0
        self._subscriptions = Subscriptions(session, self.speech)
        self._quick: dict[str, Callable[[dict[str, Any]], Any]] = {
            "hello": lambda params: say_hello(session, params),
            "cancel": self._cancel,
            "input": self._input_came,
            "complete": self._complete,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
        }

    # -- the reader

    def run(self) -> str:
        """Read requests until the end; returns why it ended.  Yields."""
        why = "end of input"
        interrupted = True
        try:
            self._read()
            interrupted = False
        except ConnectionLost as lost:
            why = lost.reason
        except TimeoutError:
            why = "idle for too long"
        finally:
            self._finish(patient=not interrupted)
        return why

    def _read(self) -> None:
        while True:
            try:
                found = self.connection.next_event(self.host.limits.idle)
            except TimeoutError:
                if self._open or len(self._subscriptions):
                    continue
                raise
            match found:
                case None:
                    for last in self.connection.inbound.finish():
                        if isinstance(last, RpcLine):
                            self._take(last.data)
                    return
                case RpcLine(data):
                    self._take(data)
                case Refused(reason, foreign):
                    if foreign:
                        self.session.refused(reason)
                    self._refuse(None, PARSE_ERROR, reason)
                    raise ConnectionLost(reason)

    def _finish(self, *, patient: bool) -> None:
        self._subscriptions.close()
        worker = self._worker
        if worker is None or worker.dead:
            return
        self._evaluation.end_input()
        if patient:
            self._requests.push(None)
            try:
                worker.join(self.host.limits.end_of_input)
            except TimeoutError:
                patient = False
        if not worker.dead:
            if self.session.line is not None:
                strikes.interrupt_line(self.session.line, "the end of the session")
            worker.shutdown()

    def _take(self, data: bytes) -> None:
        """One line: decode it, and do or hand on what it asks for."""
        try:
            message = loads_limited(data)
        except DecodeError as error:
            self._refuse(None, PARSE_ERROR, str(error))
            raise ConnectionLost(f"no JSON: {error}") from None
        try:
            request = parse_request(message)
            if request.id is not None and request.id in self._open:
                raise RequestError(INVALID_REQUEST, f"the request {request.id!r} is not answered yet", None)
            if request.is_notification and request.method not in ("cancel", "input"):
                return
        except RequestError as error:
            self._refuse(error.id, error.code, error.message)
            return
        self._dispatch(request)

    def _dispatch(self, request: Request) -> None:
        try:
            self._admit(request)
            quick = self._quick.get(request.method)
            if quick is not None:
                value = quick(request.params)
                if request.id is not None:
                    self.speech.send(answer(request.id, None, value))
            elif request.method == "check":
                self._start_check(request)
            else:
                self._queue(request)
        except _RpcFailure as error:
            self._refuse(request.id, error.code, error.message, request)
        except UsageError as error:
            self._refuse(request.id, INVALID_PARAMS, str(error), request)
        except NotAllowed as error:
            self._refuse(request.id, NOT_ALLOWED, str(error))
        except ConnectionLost:
            raise
        except Exception as error:
            self._own_fault(request, error)

    def _admit(self, request: Request) -> None:
        session = self.session
        if session.role is None and request.method != "hello":
            raise _RpcFailure(NOT_ALLOWED, "a token is needed: say hello with it first")
        if not session.takes_slot and request.method not in PROBE_METHODS:
            limit = self.host.limits.sessions
            if self.host.count("session") >= limit:
                raise _RpcFailure(LIMIT_REACHED, f"{limit} sessions are connected already, the most allowed")
            session.takes_slot = True

    def _queue(self, request: Request) -> None:
        if len(self._requests) >= MAX_WAITING_REQUESTS:
            raise _RpcFailure(LIMIT_REACHED, f"{MAX_WAITING_REQUESTS} requests wait already, the most allowed")
        if request.method != "eval":
            self._find(request.method)
        self._open[request.id] = request  # type: ignore[index]
        self._requests.push(request)
        if self._worker is None:
            self._worker = spawn(self._work, thread_name=f"{self.session.name} evaluator")
            self.session.threads.append(self._worker)

    def _find(self, method: str) -> Any:
        try:
            return find(method)
        except CommandError as error:
            raise _RpcFailure(METHOD_NOT_FOUND, str(error)) from None

    # -- quick methods

    def _cancel(self, params: dict[str, Any]) -> dict[str, bool]:
        number = params.get("id")
        if not isinstance(number, (int, str)):
            raise _RpcFailure(INVALID_PARAMS, "cancel needs the id of a request")
        if number not in self._open:
            # The sentinel may have interrupted it meanwhile.
            return {"cancelled": number == self.session.cancelled_id}
        self._cancelled.add(number)
        if number == self.session.request_id and self.session.line is not None:
            strikes.interrupt_line(self.session.line, "Ctrl-C")
        return {"cancelled": True}

    def _input_came(self, params: dict[str, Any]) -> dict[str, bool]:
        wanted = params.get("id") == self.session.request_id
        if wanted:
            text = params.get("text")
            self._evaluation.give_input(text if isinstance(text, str) and not params.get("eof") else None)
        return {"accepted": wanted}

    def _complete(self, params: dict[str, Any]) -> dict[str, Any]:
        text, cursor = params.get("text"), params.get("cursor")
        if not isinstance(text, str) or (cursor is not None and type(cursor) is not int):
            raise _RpcFailure(INVALID_PARAMS, "complete needs a text and, if any, a cursor")
        if not self.session.may("eval") or not self.host.eval_allowed:
            return {"start": 0, "candidates": [], "truncated": False}
        evaluator = self._evaluation.evaluator
        found = completion.complete(
            text, len(text) if cursor is None else cursor, evaluator.namespace, evaluator.names
        )
        return {
            "start": found.start,
            "candidates": [{"text": candidate, "kind": kind} for candidate, kind in found.candidates],
            "truncated": found.truncated,
        }

    # -- checks

    def _start_check(self, request: Request) -> None:
        if self._checks >= MAX_CHECKS:
            raise _RpcFailure(LIMIT_REACHED, f"{MAX_CHECKS} checks are under way already, the most allowed")
        if not self.session.may("observe"):
            raise _RpcFailure(NOT_ALLOWED, "check needs the role observe")
        parameters = check_parameters(request.params)
        self._checks += 1
        self._open[request.id] = request  # type: ignore[index]
        thread = spawn(self._check, request, parameters, thread_name=f"{self.session.name} check")
        self.session.threads.append(thread)

    def _check(self, request: Request, parameters: dict[str, Any]) -> None:
        began = scheduler.clock()
        try:
            health_in_time(
                self.session,
                parameters,
                lambda health: answer(request.id, "coro.health/1", health, health["answered_by"]),
                self.speech.send,
            )
            self.session.audit("check", "ok", began)
        except CommandError as error:
            self._refuse(request.id, COMMAND_FAILED, str(error))
        except ConnectionLost:
            # Nobody is left to be told; the reader sees it too.
            return
        except Exception as error:
            self._own_fault(request, error)
        finally:
            self._checks -= 1
            self._open.pop(request.id, None)  # type: ignore[arg-type]
            self._cancelled.discard(request.id)
            self.session.threads = [thread for thread in self.session.threads if thread is not scheduler.current]

    # -- the evaluator

    def _work(self) -> None:
        try:
            pace = Pace(FLOOD_SLICE_NS, FLOOD_DUTY)
            while True:
                if len(self._requests):
                    pace.breathe()
                    request = self._requests.pop()
                else:
                    request = self._requests.pop()
                    pace.restart()
                if request is None:
                    return
                self.session.request_id = request.id
                try:
                    self._answer(request)
                finally:
                    self.session.request_id = None
                    self._open.pop(request.id, None)
                    self._cancelled.discard(request.id)
        except ConnectionLost as lost:
            self.connection.drop(lost.reason)
        except (LeaveSession, GreenletExit):
            self.connection.drop("quit")
        finally:
            if os.getpid() != self.host.pid:
                # The code forked, and this is the child, with nobody to talk to.
                os._exit(0)
            self._evaluation.close()

    def _answer(self, request: Request) -> None:
        try:
            if request.id in self._cancelled:
                raise LineInterrupted("Ctrl-C")
            self._evaluation.answer(request)
        except UsageError as error:
            self._refuse(request.id, INVALID_PARAMS, str(error), request)
        except CommandError as error:
            self._refuse(request.id, COMMAND_FAILED, str(error))
        except NotAllowed as error:
            self._refuse(request.id, NOT_ALLOWED, str(error))
        except LineInterrupted as error:
            self._refuse(request.id, CANCELLED, str(error))
        except ConnectionLost:
            raise
        except Exception as error:
            self._own_fault(request, error)

    # -- subscriptions

    def _subscribe(self, params: dict[str, Any]) -> dict[str, int]:
        method, every, given = params.get("method"), params.get("every", 1.0), params.get("params", {})
        if not isinstance(method, str) or not isinstance(given, dict):
            raise _RpcFailure(INVALID_PARAMS, "subscribe needs a method, and its params as an object")
        if not isinstance(every, (int, float)) or isinstance(every, bool) or not MIN_PERIOD_S <= every <= 86_400:
            raise _RpcFailure(INVALID_PARAMS, f"every must be {MIN_PERIOD_S} to 86400 s, got {every!r}")
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise _RpcFailure(LIMIT_REACHED, f"{MAX_SUBSCRIPTIONS} subscriptions run already, the most allowed")
        implementation = self._find(method)
        command = implementation.command
        if command.group != "look" and command.name != "sessions":
            raise _RpcFailure(INVALID_PARAMS, f"{method} cannot be subscribed to: it does not only look")
        return {"subscription": self._subscriptions.add(implementation, check(command, given), float(every))}

    def _unsubscribe(self, params: dict[str, Any]) -> dict[str, bool]:
        return {"ended": self._subscriptions.remove(params.get("subscription"))}

    # -- output

    def _own_fault(self, request: Request, error: Exception) -> None:
        message = report_own_fault(f"the request {describe(request)}", error)
        self._refuse(request.id, INTERNAL_ERROR, message)

    def _refuse(self, number: RequestId | None, code: int, message: str, tried: Request | None = None) -> None:
        """Tell the peer; and audit it: a refusal as such, or what was `tried` and never begun."""
        if code in (NOT_ALLOWED, LIMIT_REACHED):
            self.session.refused(message)
        elif tried is not None and code in _OUTCOMES:
            self.session.audit(describe(tried), _OUTCOMES[code])
        self.speech.send(failure(number, code, message))
