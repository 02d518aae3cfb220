"""The decorator for an application's own health checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from coro.inspect import register_check

__all__ = ["check"]

F = TypeVar("F", bound=Callable[[], object])


@overload
def check(function: F, /) -> F: ...


@overload
def check(*, name: str | None = None) -> Callable[[F], F]: ...


def check(function: Callable[[], object] | None = None, /, *, name: str | None = None) -> Any:
    """Make a function a part of the daemon's health: `coro check`, /healthz, `:check`.

    name: None takes the function's name, with hyphens for underscores.
    function(): None or True is well; False, or a text that says what is wrong, is critical; ("warning", text) says
        which status.  What it raises is critical.  It runs in a thread of its own and may block, for 0.2 s.
    Returns the function.  Raises TypeError, ValueError as coro.inspect.register_check().
    """

    def decorate(function: F) -> F:
        if not callable(function):
            raise TypeError(f"a check must be a function, got {function!r}")
        register_check(function, getattr(function, "__name__", "").replace("_", "-") if name is None else name)
        return function

    return decorate if function is None else decorate(function)
