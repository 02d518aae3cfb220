"""What the standard streams are while a session's line runs: each thread's own.

print() in a line goes to its session, and the daemon's goes where it always went.  The routers look up the thread
that runs, never an inherited context: what a line spawns prints to the daemon's stdout.

They stand in `sys` only while a line runs, so an idle session costs the daemon nothing, and are put back only where
they still are what stands there.  Somebody may keep a router for longer (a logging handler made in a line): then
it hands on everything to the stream that was there before.

A line or the daemon may replace a stream meanwhile.  Then the next line puts a router before the replacement, which
serves only the lines that start from then on: for those before it, the replacement is what they asked for.

Invariant: a route exists only while the line of its thread runs.  Knows nothing of sessions.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from greenlet import getcurrent

from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["InputRouter", "Route", "Sink", "StreamRouter", "abandon", "enter", "leave", "running_route"]

_STREAMS = ("stdin", "stdout", "stderr")


class Sink(Protocol):
    """Where a session's output goes."""

    def write(self, text: str, /) -> object:
        """Take text of any length; may wait for the session's reader, and raises what interrupts that."""


@dataclass(eq=False, slots=True)
class Route:
    """One running line.

    read_line: called with the prompt; returns a line without its end, raises EOFError.
    generation: that of the newest router when the line began; set by enter().
    """

    sink: Sink
    read_line: Callable[[str], str]
    generation: int = 0


# The routes of the lines that run now.  Written only by the threads of the loop.
_routes: dict[ThreadState, Route] = {}
# Counts the routers: a router serves the lines that began when it, or a later one, stood in `sys`.
_generation = 0


def running_route() -> Route | None:
    """The route of the line that calls this; None for everybody else.  Does not yield.

    A greenlet of the user's own belongs to the thread in which it runs.  Finalisers that the garbage collector
    happens to run inside a line are not the line's.
    """
    if not _routes or scheduler.collecting:
        return None
    thread = getattr(getcurrent(), "thread", None)
    if thread is None and scheduler.in_loop_os_thread():
        thread = scheduler.current
    return None if thread is None else _routes.get(thread)


def enter(thread: ThreadState, route: Route) -> Route | None:
    """Route what `thread` prints from now on; returns what leave() needs.  Does not yield."""
    global _generation
    former = _routes.get(thread)
    for name in _STREAMS:
        stream = getattr(sys, name, None)
        if not isinstance(stream, (StreamRouter, InputRouter)):
            _generation += 1
            router = InputRouter if name == "stdin" else StreamRouter
            setattr(sys, name, router(stream, _generation))
    route.generation = _generation
    _routes[thread] = route
    return former


def leave(thread: ThreadState, former: Route | None) -> None:
    """End the route of `thread`, and take away the routers that serve nobody any more.  Does not yield."""
    if former is None:
        _routes.pop(thread, None)
    else:
        _routes[thread] = former
    newest = max((route.generation for route in _routes.values()), default=-1)
    for name in _STREAMS:
        router = getattr(sys, name, None)
        if isinstance(router, (StreamRouter, InputRouter)) and router._generation > newest:
            setattr(sys, name, router._original)


def abandon() -> None:
    """Forget all routes and put the streams back: for a forked child, which keeps no session."""
    _routes.clear()
    for name in _STREAMS:
        router = getattr(sys, name, None)
        if isinstance(router, (StreamRouter, InputRouter)):
            setattr(sys, name, router._original)


class _Router:
    """What both kinds share: everything else is the original stream's.

    original: the stream that stood in `sys` before; None in a process without one.
    """

    __slots__ = ("__weakref__", "_generation", "_original")

    def __init__(self, original: Any, generation: int) -> None:
        self._original = original
        self._generation = generation

    def __getattr__(self, name: str) -> Any:
        if self._original is None:
            raise AttributeError(f"this process has no such standard stream, so it has no attribute {name!r}")
        return getattr(self._original, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} before {self._original!r}>"

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the original stream; a line cannot close the daemon's."""
        if self._route() is None and self._original is not None:
            self._original.close()

    def _route(self) -> Route | None:
        route = running_route()
        return None if route is None or route.generation < self._generation else route

    @property
    def closed(self) -> bool:
        """A line's stream is open as long as the line runs."""
        if self._route() is not None or self._original is None:
            return False
        return bool(self._original.closed)

    @property
    def encoding(self) -> Any:
        """A session speaks UTF-8."""
        return "utf-8" if self._route() is not None else getattr(self._original, "encoding", None)

    def isatty(self) -> bool:
        """A session is no terminal of this process, so no pager and no escape sequences for it."""
        if self._route() is not None or self._original is None:
            return False
        return bool(self._original.isatty())


class StreamRouter(_Router):
    """Stands in for sys.stdout or sys.stderr."""

    __slots__ = ()

    def write(self, text: str) -> int:
        """Write to the line's session, or to the original stream.  In a line it may wait for the reader."""
        route = self._route()
        if route is None:
            if self._original is None:
                return len(text)
            return self._original.write(text)  # type: ignore[no-any-return]
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            route.sink.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of some texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """A session's output is sent by itself."""
        if self._route() is None and self._original is not None:
            self._original.flush()


class InputRouter(_Router):
    """Stands in for sys.stdin, so that nothing called in a line can wait for the daemon's own stdin."""

    __slots__ = ()

    def fileno(self) -> int:
        """The original's; in a line there is none, so the interpreter's input() comes to readline()."""
        if self._route() is not None or self._original is None:
            raise io.UnsupportedOperation("a session's input has no file descriptor")
        return self._original.fileno()  # type: ignore[no-any-return]

    def readline(self, size: int = -1) -> str:
        """A line with its end; "" at the end of the session's input.  In a line it waits."""
        route = self._route()
        if route is None:
            return "" if self._original is None else self._original.readline(size)
        try:
            return route.read_line("") + "\n"
        except EOFError:
            return ""

    def read(self, size: int | None = -1) -> str:
        """All until the end of the input; a line has no input by the character."""
        route = self._route()
        if route is None:
            return "" if self._original is None else self._original.read(size)
        if size is not None and size >= 0:
            raise io.UnsupportedOperation(f"a session's input is read by the line, not by {size} characters")
        return "".join(self)

    def readlines(self, hint: int = -1) -> list[str]:
        """All lines until the end of the input."""
        if self._route() is not None or self._original is None:
            return list(self)
        return self._original.readlines(hint)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self.readline, "")

    def __next__(self) -> str:
        line = self.readline()
        if not line:
            raise StopIteration
        return line
