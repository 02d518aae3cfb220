"""The tasks of an asyncio loop, as an observer sees them.

Nothing of the application's runs here: names and coroutines are read by the functions of asyncio's own Task, and a
chain of awaits is followed through the interpreter's own types only.  Between two tasks no reference to one is
kept, so none ends its life in the observer's hands.
"""

from __future__ import annotations

import asyncio
import gc
from asyncio import tasks as asyncio_tasks
from collections.abc import Iterator
from types import AsyncGeneratorType, CodeType, CoroutineType, GeneratorType
from typing import Any
from weakref import WeakSet, ref

from coro.guests import GuestTask, TaskState

__all__ = ["views_of"]

# The outermost calls of a deeper chain are shown.
MAX_CALLS = 200
# So many tasks of other loops are passed over between two pauses.
CHUNK = 50

# type -> (attribute of its frame, attribute of what it awaits)
_AWAITERS: dict[type, tuple[str, str]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}
# What the interpreter puts between two of those, without an attribute that leads on.
_WRAPPERS = frozenset(["async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable"])
_name_of_type = type.__dict__["__name__"].__get__


def views_of(loop: asyncio.AbstractEventLoop) -> Iterator[GuestTask | None]:
    """The tasks of `loop` that have not ended, and None as a pause.  Runs none of their code; does not yield."""
    for number, reference in enumerate(_references(loop)):
        view = _view(reference, loop)
        if view is not None:
            yield view
        if view is not None or number % CHUNK == 0:
            yield None


def _references(loop: asyncio.AbstractEventLoop) -> list[ref[Any]]:
    """Weak references to the tasks of this process, other loops' and ended ones included."""
    for name in ("_all_tasks", "_scheduled_tasks"):
        registry = getattr(asyncio_tasks, name, None)
        if isinstance(registry, WeakSet):
            # Copied in one call of C; asyncio.all_tasks() would ask each task, in one go.
            return list(registry.data)  # type: ignore[attr-defined]
    return [ref(task) for task in asyncio.all_tasks(loop)]


def _view(reference: ref[Any], loop: asyncio.AbstractEventLoop) -> GuestTask | None:
    task = reference()
    if not isinstance(task, asyncio.Task) or asyncio.Task.get_loop(task) is not loop or asyncio.Task.done(task):
        return None
    name = asyncio.Task.get_name(task)
    awaited = getattr(task, "_fut_waiter", None)
    state: TaskState = "runnable" if awaited is None else "waiting"
    if asyncio.current_task(loop) is task:
        state = "running"
    return GuestTask(
        name=name if type(name) is str else "a task",
        state=state,
        waiting_for=_text(awaited) if state == "waiting" else None,
        places=_places(asyncio.Task.get_coro(task)),
    )


def _text(awaited: object) -> str:
    if isinstance(awaited, asyncio.Task):
        name = asyncio.Task.get_name(awaited)
        return f"task {name}" if type(name) is str else "a task"
    return str(_name_of_type(type(awaited))).removeprefix("_").lower()


def _places(awaiter: object) -> tuple[tuple[CodeType, int | None], ...]:
    """The calls of a coroutine, outermost first."""
    places: list[tuple[CodeType, int | None]] = []
    while awaiter is not None and len(places) < MAX_CALLS:
        kind = type(awaiter)
        attributes = _AWAITERS.get(kind)
        if attributes is not None:
            frame = getattr(awaiter, attributes[0])
            if frame is None:
                break
            places.append((frame.f_code, frame.f_lineno))
            del frame
            awaiter = getattr(awaiter, attributes[1])
        elif _name_of_type(kind) in _WRAPPERS:
            awaiter = next((inner for inner in gc.get_referents(awaiter) if type(inner) in _AWAITERS), None)
        else:
            break
    return tuple(places)
