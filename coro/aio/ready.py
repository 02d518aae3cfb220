"""The queue of an asyncio loop's callbacks, which looks at the clock between two of them.

asyncio runs everything that is ready in one turn: with a thousand connections, for tens of milliseconds.  To the
other threads that would be one slice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from coro.scheduler import scheduler

__all__ = ["PausingQueue"]


class PausingQueue(deque[Any]):
    """What stands in an asyncio loop's `_ready`.

    pause: called before a callback once half a millisecond has passed since the last poll of our loop; what it
        raises leaves the queue as it is.
    """

    __slots__ = ("pause",)

    def __init__(self, pause: Callable[[], object]) -> None:
        super().__init__()
        self.pause = pause

    def popleft(self) -> Any:
        """The next callback.  Yields.  Raises what interrupted the thread."""
        if scheduler.clock() >= scheduler.poll_due:
            self.pause()
        return super().popleft()
