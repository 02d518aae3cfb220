"""One connection to the backdoor, whatever language it speaks: who it is, what it may do, what it runs now.

State: written by the session's own threads in the loop.  The sentinel reads it, and writes only `role` (by a
token), `cancelled_id`, `forgiven_interrupts` and `shows_stall`, under the connection's claim.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from coro.backdoor.connection import Connection
from coro.backdoor.host import Host
from coro.backdoor.interrupting import Line
from coro.backdoor.json_lines import RequestId
from coro.backdoor.tokens import matches
from coro.records import SessionRecord
from coro.scheduler import scheduler
from coro.thread import coro
from coro.wire.escape import printable
from coro.wire.protocol import Role, role_allows

__all__ = ["Session"]

MAX_HISTORY = 1000


class Session:
    """One connection.

    kind: "new" until the first bytes tell; "text", "rpc", "http".
    takes_slot: counts among the sessions; probes (HTTP, and RPC that only asks for checks) have slots of their own.
    role: None until a token has been shown where one is needed.
    """

    def __init__(self, host: Host, connection: Connection, role: Role | None) -> None:
        self.host = host
        self.connection = connection
        self.number = connection.number
        self.role = role
        self.kind = "new"
        self.takes_slot = False
        self.threads: list[coro] = []
        self.history: deque[str] = deque(maxlen=MAX_HISTORY)
        self.history_count = 0
        # What runs now.
        self.line: Line | None = None
        # The JSON-RPC request that the line carries out; and the last one that the sentinel found cancelled.
        self.request_id: RequestId | None = None
        self.cancelled_id: RequestId | None = None
        # Interrupts that the sentinel has seen in the socket and obeyed, and the reader will still find there.
        self.forgiven_interrupts = 0
        # The sentinel's prompt is the latest one that the peer has seen; what shows ours again, in the loop.
        self.shows_stall = False
        self.show_prompt: Callable[[], None] | None = None
        # An answer is being written piece by piece: nobody else may write in between.
        self.speaking = False
        # A client class of the application's does all the talking, over a socket of its own.
        self.talks_by_itself = False

    @property
    def name(self) -> str:
        """For people: "session 3"."""
        return f"session {self.number}"

    def may(self, needed: Role) -> bool:
        """Whether this session's role allows what needs `needed`."""
        return self.role is not None and role_allows(self.role, needed)

    def admit(self, token: object) -> bool:
        """Whether the session has a role, got by this token if it had none.  From any OS thread."""
        if self.role is None and isinstance(token, str) and matches(token, self.host.token):
            self.role = self.host.roles.role_of(self.connection.peer, True)
        return self.role is not None

    def remember(self, text: str) -> None:
        """Add a line to the history."""
        self.history_count += 1
        self.history.append(text)

    def audit(self, text: str, outcome: str, began_ns: int | None = None) -> None:
        """Log what was done.  began_ns: when, for its duration; None if it only begins.  Does not yield."""
        duration_s = None if began_ns is None else (scheduler.clock() - began_ns) / 1e9
        self.host.audit.command(
            self.number, self.connection.peer, self.role, text, outcome, duration_s, probe=not self.takes_slot
        )

    def refused(self, reason: str) -> None:
        """Log that the session was refused something.  Does not yield."""
        self.host.audit.refused(self.connection.peer, f"{reason} (session {self.number})")

    def kick(self, reason: str) -> None:
        """End the session: its reader and its line are interrupted.  Does not yield."""
        self.connection.drop(reason)
        if self.talks_by_itself:
            for thread in self.threads:
                if thread is not scheduler.current and not thread.dead:
                    thread.shutdown()

    def record(self) -> SessionRecord:
        """What `sessions` shows.  Does not yield."""
        now = scheduler.clock()
        connection = self.connection
        peer = connection.peer
        line = self.line
        return SessionRecord(
            id=self.number,
            kind=self.kind,
            peer=peer.address,
            uid=peer.uid,
            pid=peer.pid,
            role=self.role or "none",
            age_s=(now - connection.opened_ns) / 1e9,
            idle_s=(now - connection.last_input_ns) / 1e9,
            threads=tuple(thread.id for thread in self.threads if not thread.dead),
            running=None if line is None else printable(line.text[:200]),
            waiting_bytes=len(connection.pending),
        )
