"""HTTP on a Unix socket, read only: /healthz and /metrics."""

from __future__ import annotations

from typing import Any

from coro import inspect
from coro.backdoor.checking import health_in_time
from coro.backdoor.connection import ConnectionLost
from coro.backdoor.http import HttpError, HttpRequest, response
from coro.backdoor.own_faults import report_own_fault
from coro.backdoor.session import Session
from coro.exceptions import TimeoutError
from coro.scheduler import scheduler
from coro.wire.encode import dumps

__all__ = ["HttpSession", "healthz_response"]

IDLE_S = 15.0
JSON_TYPE = "application/json"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HttpSession:
    """The requests of one connection, one after the other."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self) -> str:
        """Serve until the end; returns why it ended.  Yields."""
        connection = self.session.connection
        while True:
            try:
                found = connection.next_event(IDLE_S)
            except TimeoutError:
                return "idle"
            except ConnectionLost as lost:
                return lost.reason
            match found:
                case None:
                    return "end of input"
                case HttpError():
                    connection.write(response(found.status, f"{found.text}\n".encode(), "text/plain", close=True))
                    return found.text
                case HttpRequest():
                    self._serve_safely(found)
                    if not found.keep_alive:
                        return "served"

    def _serve_safely(self, request: HttpRequest) -> None:
        try:
            self._serve(request)
        except ConnectionLost:
            raise
        except Exception as error:
            told = f"{report_own_fault(f'{request.method} {request.path}', error)}\n".encode()
            head_only = request.method == "HEAD"
            self.session.connection.write(
                response(500, told, "text/plain", head_only=head_only, close=not request.keep_alive)
            )

    def _serve(self, request: HttpRequest) -> None:
        began = scheduler.clock()
        connection = self.session.connection
        head_only = request.method == "HEAD"
        close = not request.keep_alive
        outcome = "ok"
        if not self.session.may("observe"):
            status, body, kind = 403, b"the role observe is needed\n", "text/plain"
        elif request.path == "/healthz":
            # The sentinel may answer in our place.
            health_in_time(
                self.session,
                {},
                lambda health: healthz_response(health, head_only=head_only, close=close),
                connection.write,
            )
            self.session.audit("GET /healthz", outcome, began)
            return
        elif request.path == "/metrics":
            status, body, kind = 200, inspect.metrics_text(inspect.metrics()).encode(), METRICS_TYPE
        else:
            status, body, kind, outcome = 404, b"there are /healthz and /metrics\n", "text/plain", "not found"
        connection.write(response(status, body, kind, head_only=head_only, close=close))
        self.session.audit(f"{request.method} {request.path}", outcome, began)


def healthz_response(health: dict[str, Any], *, head_only: bool = False, close: bool = False) -> bytes:
    """The answer to /healthz: 503 if the status is critical."""
    status = 503 if health["status"] == "critical" else 200
    return response(status, (dumps(health) + "\n").encode(), JSON_TYPE, head_only=head_only, close=close)
