"""The audit trail: who connected, what each did, who was refused.  One line each, at the logger `coro.audit`.

A line is `EVENT key=value ...`, always the same keys in the same order; what a peer chose stands in quotes,
escaped, cut, and without the backdoor's token.

A handler that raises, be it for a full disk, is reported once on the process's real stderr and hurts nobody; a
handler that blocks blocks the loop, as any logging there does: a daemon's handlers should hang on a QueueHandler.
Lines are not handed to an OS thread here, since what comes before os._exit() must have been written when it runs.

What is done while the loop is stuck is kept, and written when it goes on: logging takes locks, which the stuck
thread may hold.  Such a line ends with `late_s`, how long before it was written this happened.

Invariant: of refusals, which strangers cause, only so many lines a second; the rest are counted, and the count is
logged.  Called in the loop's OS thread only, but for keep_command(), keep_refusal() and write_kept_elsewhere().
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from coro.backdoor.peers import Peer
from coro.stderr import default_hook_failed
from coro.wire.escape import printable
from coro.wire.protocol import Role

__all__ = ["LOGGER_NAME", "MAX_COMMAND_CHARACTERS", "MAX_KEPT", "MAX_REFUSALS_PER_S", "Audit"]

LOGGER_NAME: Final = "coro.audit"
# Of a command; what is cut is counted.
MAX_COMMAND_CHARACTERS: Final = 500
MAX_REFUSALS_PER_S: Final = 10
# How many different peers are told apart in the count of the lines left out.
_MAX_COUNTED = 8
# Lines kept for the end of a stall, some 300 bytes each; those beyond are counted.
MAX_KEPT: Final = 10_000
# So many of them are written at a time, in some 0.5 ms.
_KEPT_AT_A_TIME = 20


class Audit:
    """The trail of one backdoor.

    token: is replaced wherever it appears in a text.  logger: default `coro.audit`.  clock: seconds.
    No method yields, and none raises what its handlers raise, as far as that is an Exception.
    """

    __slots__ = (
        "_clock",
        "_counted",
        "_failed",
        "_kept",
        "_kept_refusals",
        "_logged",
        "_logger",
        "_lost",
        "_omitted",
        "_token",
        "_window_began",
    )

    def __init__(
        self,
        *,
        token: str | None = None,
        logger: logging.Logger | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token
        self._logger = logger if logger is not None else logging.getLogger(LOGGER_NAME)
        self._clock = clock
        # Of the present window of one second: lines logged, refusals left out, and those by peer.
        self._window_began = clock()
        self._logged = 0
        self._omitted = 0
        self._counted: dict[str, int] = {}
        # Of a stall: (when, level, line), and refusals, whose number is bounded when they are written.
        self._kept: deque[tuple[float, int, str]] = deque()
        self._kept_refusals: deque[tuple[Peer, str]] = deque()
        # How many there was no room for.
        self._lost = 0
        # A failure of the logger has been told.
        self._failed = False

    def connection(
        self,
        session: int,
        peer: Peer,
        role: Role | None,
        outcome: str,
        duration_s: float | None = None,
        *,
        probe: bool = False,
    ) -> None:
        """A session began or ended: outcome "opened", "closed", "dropped: the peer read nothing for 10 s".

        probe: it only asks for checks or metrics; then at DEBUG, else at INFO.
        """
        self._log("connection", session, peer, role, None, outcome, duration_s, probe)

    def command(
        self,
        session: int,
        peer: Peer,
        role: Role | None,
        text: str,
        outcome: str,
        duration_s: float | None = None,
        *,
        probe: bool = False,
    ) -> None:
        """A command or piece of Python ran, or begins and may not return: outcome "ok", "failed", "begins".

        probe: as connection().
        """
        self._log("command", session, peer, role, text, outcome, duration_s, probe)

    def refused(self, peer: Peer, reason: str) -> None:
        """A connection was refused.  At WARNING; of more than ten in a second the number only."""
        self._turn_window()
        if self._logged < MAX_REFUSALS_PER_S:
            self._logged += 1
            line = f"refused {_who(peer)} role=- session=- outcome={self._told(reason)}"
            self._write(logging.WARNING, line)
            return
        self._omitted += 1
        key = f"{peer.kind}:uid={_shown(peer.uid)}"
        if key not in self._counted and len(self._counted) >= _MAX_COUNTED:
            key = "others"
        self._counted[key] = self._counted.get(key, 0) + 1

    def flush(self, *, now: bool = False) -> None:
        """Log how many refusals were left out, if their second is over, or `now`; then also whatever was kept.

        Every other line does so too; the server calls this now and then, and at its end.
        """
        if self._omitted:
            self._turn_window()
        if now:
            while self.write_kept():
                pass
            self._tell_omitted()

    # -- from other OS threads

    def keep_command(
        self,
        session: int,
        peer: Peer,
        role: Role | None,
        text: str,
        outcome: str,
        duration_s: float,
        *,
        probe: bool = False,
    ) -> None:
        """As command(), while the loop is stuck: kept until write_kept() is called.

        Safe from any OS thread: takes no lock, calls no handler, and never blocks.
        """
        if len(self._kept) >= MAX_KEPT:
            self._lost += 1
            return
        # Not asked whether the level is on: that takes a lock, too.
        line = self._line("command", session, peer, role, text, outcome, duration_s)
        self._kept.append((self._clock(), logging.DEBUG if probe else logging.INFO, line))

    @property
    def has_kept(self) -> bool:
        """Whether something waits for write_kept().  From any OS thread."""
        return bool(self._kept or self._kept_refusals or self._lost)

    def keep_refusal(self, peer: Peer, reason: str) -> None:
        """As refused(), while the loop is stuck: kept until write_kept() is called.  As keep_command()."""
        if len(self._kept_refusals) >= MAX_KEPT:
            self._lost += 1
            return
        self._kept_refusals.append((peer, reason))

    def write_kept_elsewhere(self) -> None:
        """Write the commands that were kept, in an OS thread that may wait for logging's locks, and for handlers.

        What a handler refuses there (it may need the loop) is kept on.  Each line is written by one caller only.
        """
        while True:
            try:
                kept = self._kept.popleft()
            except IndexError:
                return
            if self._try_kept(kept) is not None:
                self._kept.appendleft(kept)
                return

    def write_kept(self) -> bool:
        """Write some of what was kept; whether there is more.  In the loop; takes some 0.5 ms.  Does not yield."""
        for _ in range(_KEPT_AT_A_TIME):
            try:
                kept = self._kept.popleft()
            except IndexError:
                break
            self._tell_failure(self._try_kept(kept))
        for _ in range(min(_KEPT_AT_A_TIME, len(self._kept_refusals))):
            self.refused(*self._kept_refusals.popleft())
        if self._kept or self._kept_refusals:
            return True
        if self._lost:
            lost, self._lost = self._lost, 0
            self._write(logging.WARNING, f"lost … {lost} lines: more than {MAX_KEPT} came while the loop was stuck")
        return False

    def _try_kept(self, kept: tuple[float, int, str]) -> Exception | None:
        at, level, line = kept
        if not self._logger.isEnabledFor(level):
            return None
        return self._try(level, f"{line} late_s={self._clock() - at:.6f}")

    def forget_kept(self) -> None:
        """In a forked child: what was kept is the parent's business."""
        self._kept.clear()
        self._kept_refusals.clear()
        self._lost = 0

    # -- lines

    def _turn_window(self) -> None:
        now = self._clock()
        if now - self._window_began >= 1.0:
            self._tell_omitted()
            self._window_began = now
            self._logged = 0

    def _tell_omitted(self) -> None:
        if not self._omitted:
            return
        peers = " ".join(f"{key}:{count}" for key, count in self._counted.items())
        self._write(logging.WARNING, f"refused … and {self._omitted} more, from {peers}")
        self._omitted = 0
        self._counted.clear()

    def _log(
        self,
        event: str,
        session: int,
        peer: Peer,
        role: Role | None,
        text: str | None,
        outcome: str,
        duration_s: float | None,
        probe: bool,
    ) -> None:
        self.flush()
        level = logging.DEBUG if probe else logging.INFO
        if self._logger.isEnabledFor(level):
            self._write(level, self._line(event, session, peer, role, text, outcome, duration_s))

    def _line(
        self,
        event: str,
        session: int,
        peer: Peer,
        role: Role | None,
        text: str | None,
        outcome: str,
        duration_s: float | None,
    ) -> str:
        parts = [event, _who(peer), f"role={_shown(role)}", f"session={session}"]
        if text is not None:
            parts.append(f"command={self._told(text)}")
        parts.append(f"outcome={self._told(outcome)}")
        if duration_s is not None:
            parts.append(f"duration_s={duration_s:.6f}")
        return " ".join(parts)

    def _told(self, text: str) -> str:
        """A text without the token, cut, escaped, in quotes."""
        # Before it is cut, or half of a token might stay.
        if self._token:
            text = text.replace(self._token, "[token]")
        left = len(text) - MAX_COMMAND_CHARACTERS
        if left > 0:
            return f"{_quoted(text[:MAX_COMMAND_CHARACTERS])}…+{left}"
        return _quoted(text)

    def _write(self, level: int, line: str) -> None:
        self._tell_failure(self._try(level, line))

    def _try(self, level: int, line: str) -> Exception | None:
        try:
            self._logger.log(level, "%s", line)
        except Exception as error:
            # Handlers catch their own errors (logging.raiseExceptions); this one, or a filter, did not.
            return error
        return None

    def _tell_failure(self, error: Exception | None) -> None:
        if error is not None and not self._failed:
            self._failed = True
            default_hook_failed("audit log", error)


def _who(peer: Peer) -> str:
    return f"pid={_shown(peer.pid)} uid={_shown(peer.uid)} peer={_quoted(peer.address)}"


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def _quoted(text: str) -> str:
    """Escaped; in quotes unless it is one plain word, so that no value can look like the next key."""
    if text and text.isascii() and all(char.isalnum() or char in "._:/[]-" for char in text):
        return text
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'
