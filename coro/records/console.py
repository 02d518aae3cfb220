"""What the console does and knows: actions, settings, sessions, evaluations, daemons."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ActionRecord", "DaemonRecord", "EvaluationRecord", "HistoryRecord", "SessionRecord", "SettingRecord"]


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """What a command did, and to whom.  id: the thread or session; None for the daemon itself."""

    action: str
    id: int | None
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class SettingRecord:
    """A live setting.  old: what it was before the command; None if it was not changed."""

    name: str
    value: float
    old: float | None
    unit: str
    text: str


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One connection to the backdoor.

    kind: "text", "rpc", "http", or "new" before the first bytes.  threads: ids of its coroutine threads.
    running: the line or command that runs, None if none.  uid, pid: the peer's; None where it cannot be known.
    """

    id: int
    kind: str
    peer: str
    uid: int | None
    pid: int | None
    role: str
    age_s: float
    idle_s: float
    threads: tuple[int, ...]
    running: str | None
    waiting_bytes: int


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """One line that was typed in a session."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """What a piece of Python did.  What it printed came before, as output.

    value: the repr of an expression's value; None for none, or for a statement.
    error: the traceback; None if it did not raise.  incomplete: more lines are needed.
    """

    value: str | None
    error: str | None
    incomplete: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """A daemon that listens.

    name, version, uptime_s, role: as it says itself; None if it did not answer in time.  role: what we may do.
    uid: the owner of the socket.  fault: why it told nothing; None if it did.
    """

    pid: int | None
    name: str | None
    version: str | None
    uptime_s: float | None
    role: str | None
    uid: int
    socket: str
    fault: str | None
