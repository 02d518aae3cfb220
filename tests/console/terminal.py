"""A program on a pseudo-terminal, driven by its keys, read as text without control sequences."""

import os
import re
import sys
import time
from types import TracebackType
from typing import Self

import pexpect

CORO = [sys.executable, "-m", "coro.console"]
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>])")


class Terminal:
    """`coro` on a terminal.

    all: everything that came.  seen: what came since the last expect(), without control sequences.
    """

    def __init__(
        self, *arguments: str, environ: dict[str, str] | None = None, size: tuple[int, int] = (30, 110)
    ) -> None:
        self.all = ""
        self.seen = ""
        self._unread = ""
        self.process = pexpect.spawn(
            CORO[0],
            [*CORO[1:], *arguments],
            # A question for the cursor's position would wait for an answer that nobody gives.
            env={
                **os.environ,
                "TERM": "xterm",
                "PROMPT_TOOLKIT_NO_CPR": "1",
                **(environ or {}),
            },
            dimensions=size,
            encoding="utf-8",
            codec_errors="replace",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.close(force=True)

    def type(self, text: str) -> None:
        """Press keys; "\r" is Enter."""
        self.process.send(text)

    def expect(self, pattern: str, timeout: float = 10.0) -> str:
        """Wait until the pattern is seen; returns what came before and with it, and forgets that."""
        deadline = time.monotonic() + timeout
        while (match := re.search(pattern, self.seen)) is None:
            try:
                self._read(deadline)
            except (pexpect.TIMEOUT, pexpect.EOF) as error:
                raise AssertionError(f"no {pattern!r} in {self.seen!r} ({type(error).__name__})") from None
        found, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return found

    def _read(self, deadline: float) -> None:
        data = self.process.read_nonblocking(65536, max(0.0, deadline - time.monotonic()))
        self.all += data
        text = self._unread + data
        # A sequence may have come in two pieces.
        cut = text.rfind("\x1b")
        cut = cut if cut >= 0 and not _SEQUENCE.match(text, cut) else len(text)
        self.seen += _SEQUENCE.sub("", text[:cut])
        self._unread = text[cut:]

    def wait_end(self, timeout: float = 10.0) -> int:
        """Read to the end; returns the exit code."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._read(deadline)
            except pexpect.EOF:
                break
            except pexpect.TIMEOUT:
                raise AssertionError(f"it does not end; seen: {self.seen!r}") from None
        self.process.close()
        code = self.process.exitstatus
        assert code is not None, f"ended by signal {self.process.signalstatus}"
        return code
