"""The emulated `threading.local`: attributes that each thread has for itself, coroutine threads included."""

from __future__ import annotations

from typing import Any

from coro.local import ThreadLocal

__all__ = ["local"]


class local(ThreadLocal):
    """What threading.local is; the interpreter's documentation of it holds, `__slots__` included."""

    __slots__ = ()

    # As the original's: slots of a subclass are shared by all threads.
    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Does not look for slots, as ThreadLocal does."""


def _pass_for_original() -> None:
    made: Any = local
    made.__module__ = "_thread"
    made.__name__ = made.__qualname__ = "_local"


_pass_for_original()
