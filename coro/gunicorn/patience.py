"""Waiting for a request: not for ever, and not when the worker is about to end."""

from __future__ import annotations

from types import TracebackType

from coro.exceptions import Shutdown, TimeoutError
from coro.runtime import current
from coro.thread import coro
from coro.timeouts import TimeoutScope

__all__ = ["Patience"]


class Patience(TimeoutScope):
    """For `with`: a block that waits for a client, and is left in silence when that takes too long.

    waiting: the threads that are in such a block, kept up to date.
    was_lost: whether the block was left that way.
    The block is also left in silence when its thread is shut down: an idle connection has nothing to say about it.
    """

    __slots__ = ("_me", "_waiting", "was_lost")

    def __init__(self, seconds: float, waiting: set[coro]) -> None:
        super().__init__(seconds)
        self._waiting = waiting
        self.was_lost = False

    def __enter__(self) -> Patience:
        self._me = current()
        self._waiting.add(self._me)
        return super().__enter__()

    def __exit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._waiting.discard(self._me)
        try:
            super().__exit__(kind, error, traceback)
        except TimeoutError:
            self.was_lost = True
            return True
        self.was_lost = isinstance(error, Shutdown)
        return self.was_lost
