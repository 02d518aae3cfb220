"""The audit trail: who connected, what each did, who was refused.  One line each, at the logger `coro.audit`.

A line is `EVENT key=value ...`, always the same keys in the same order; what a peer chose stands in quotes,
escaped, cut, and without the backdoor's token.

A handler that raises, be it for a full disk, is reported once on the process's real stderr and hurts nobody; a
handler that blocks blocks the loop, as any logging there does: a daemon's handlers should hang on a QueueHandler.
Lines are not handed to an OS thread here, since what comes before os._exit() must have been written when it runs.

Invariant: of refusals, which strangers cause, only so many lines a second; the rest are counted, and the count is
logged.  Called in the loop's OS thread only: logging takes locks, so the sentinel must not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from coro.backdoor.peers import Peer
from coro.stderr import default_hook_failed
from coro.wire.escape import printable
from coro.wire.protocol import Role

__all__ = ["LOGGER_NAME", "MAX_COMMAND_CHARACTERS", "MAX_REFUSALS_PER_S", "Audit"]

LOGGER_NAME: Final = "coro.audit"
# Of a command; what is cut is counted.
MAX_COMMAND_CHARACTERS: Final = 500
MAX_REFUSALS_PER_S: Final = 10
# How many different peers are told apart in the count of the lines left out.
_MAX_COUNTED = 8


class Audit:
    """The trail of one backdoor.

    token: is replaced wherever it appears in a text.  logger: default `coro.audit`.  clock: seconds.
    No method yields, and none raises what its handlers raise, as far as that is an Exception.
    """

    __slots__ = ("_clock", "_counted", "_failed", "_logged", "_logger", "_omitted", "_token", "_window_began")

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
        """Log how many refusals were left out, if their second is over, or `now`.

        Every other line does so too; the server calls this now and then, and at its end.
        """
        if self._omitted:
            self._turn_window()
        if now:
            self._tell_omitted()

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
        if not self._logger.isEnabledFor(level):
            return
        parts = [event, _who(peer), f"role={_shown(role)}", f"session={session}"]
        if text is not None:
            parts.append(f"command={self._told(text)}")
        parts.append(f"outcome={self._told(outcome)}")
        if duration_s is not None:
            parts.append(f"duration_s={duration_s:.6f}")
        self._write(level, " ".join(parts))

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
        try:
            self._logger.log(level, "%s", line)
        except Exception as error:
            # Handlers catch their own errors (logging.raiseExceptions); this one, or a filter, did not.
            if not self._failed:
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
