"""EmulatedThread: a coroutine thread that `threading` knows.  It has the same name there, who ever sets it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from coro.thread import coro

__all__ = ["EmulatedThread"]


class EmulatedThread(coro):
    """A thread that _thread.start_new_thread() made.

    python_thread: the threading.Thread that it runs; None for a bare function, and once it has ended.
    on_end: what is to be called at its end, for whoever joins it.
    """

    __slots__ = ("on_end", "python_thread")

    python_thread: threading.Thread | None
    on_end: Callable[[], object] | None

    def set_name(self, name: str) -> Self:
        """Set the name, also the threading.Thread's; returns the thread."""
        super().set_name(name)
        if self.python_thread is not None:
            self.python_thread.name = name
        return self

    def part(self) -> None:
        """The thread has ended: tell those who join it."""
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()
        self.python_thread = None
