"""Telling a client that its answer is being worked on, while there is nothing of it to send yet."""

from __future__ import annotations

from coro.backdoor.connection import ConnectionLost
from coro.backdoor.rpc_messages import notification
from coro.backdoor.session import Session
from coro.scheduler import scheduler

__all__ = ["PERIOD_S", "Progress"]

# Clients give up after some seconds of silence, coro's own after ten.
PERIOD_S = 0.25


class Progress:
    """One command's progress; to be called at its pauses, as long as nothing of the answer was sent."""

    __slots__ = ("_began", "_due", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._began = scheduler.clock()
        self._due = self._began + int(PERIOD_S * 1e9)

    def __call__(self) -> None:
        """Send a notification if it is time for one.  Does not yield.

        Raises ConnectionLost when nobody is left to be told: the work is for nothing then.
        """
        session = self._session
        connection = session.connection
        if connection.lost is not None:
            raise ConnectionLost(connection.lost)
        now = scheduler.clock()
        if now < self._due:
            return
        self._due = now + int(PERIOD_S * 1e9)
        line = session.line
        # A subscription's look is no request, and people see in the text console that they wait.
        if session.kind == "rpc" and line is not None and line.thread is scheduler.current:
            params = {"id": session.request_id, "elapsed_s": round((now - self._began) / 1e9, 3)}
            connection.enqueue(notification("progress", params))
