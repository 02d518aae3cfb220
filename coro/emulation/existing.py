"""Locks, thread-locals and queues that were made before the installation: found, and replaced where they are held.

All of them are known to the collector, and it knows who refers to them.  A reference that cannot be changed (from a
tuple, a frame, an object in C) is reported, with its owner: what stands there goes on blocking the loop, and a
re-entrant lock of that kind would be *acquired* by a second thread, since both run in one OS thread.

The runtime's own stay what they are.
"""

from __future__ import annotations

import _queue
import _thread
import gc
import threading
from collections import deque
from collections.abc import Iterable
from functools import partial
from types import BuiltinMethodType, CellType, FrameType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

from coro.emulation import pristine
from coro.emulation.locks import Lock, RLock, Sentinel, allocate_lock, allocate_sentinel
from coro.emulation.queues import SimpleQueue
from coro.emulation.thread_locals import local

__all__ = ["find", "held", "replace"]

_PACKAGE = __name__.partition(".")[0]
# Bound at import, before anything is replaced.
_OSLock: type = _thread.LockType
_OSRLock: type = _thread.RLock
_OSLocal: type = _thread._local
_CQueue: type = _queue.SimpleQueue
# They pass for the originals by name.
_EMULATED: tuple[Any, ...] = (Lock, Sentinel, RLock, local, SimpleQueue)
_KINDS: tuple[Any, ...] = (_OSLock, _OSRLock, _OSLocal, _CQueue)


def find() -> list[Any]:
    """All locks, thread-locals and simple queues of the interpreter's kinds that are not the runtime's own."""
    found = [each for each in gc.get_objects() if type(each) in _KINDS]
    own = {id(each) for each in pristine.locks()}
    for referrer in _referrers(found):
        if _is_own(referrer):
            own.update(map(id, gc.get_referents(referrer)))
    return [each for each in found if id(each) not in own]


def held(found: Iterable[Any]) -> list[str]:
    """Which of the locks are held, and by whom they are referred to."""
    sentinel = getattr(threading.main_thread(), "_tstate_lock", None)
    return [f"{each!r}, {_owners(each)}" for each in found if _is_held(each) and each is not sentinel]


def _is_held(each: Any) -> bool:
    kind = type(each)
    return bool((kind is _OSLock and each.locked()) or (kind is _OSRLock and each._is_owned()))


def replace(found: list[Any]) -> list[str]:
    """Put emulated ones in their place wherever they are referred to; what is out of reach, one text each."""
    new_of = {id(old): _make(old) for old in found}
    out_of_reach = _replace_in_referrers(found, new_of)
    # A cached `lock.acquire` refers to its lock; it is replaced where it is held itself.
    methods = [
        each
        for each in gc.get_referrers(*found)
        if isinstance(each, BuiltinMethodType) and id(each.__self__) in new_of
    ]
    new_methods = {id(method): getattr(new_of[id(method.__self__)], method.__name__) for method in methods}
    if methods:
        out_of_reach += _replace_in_referrers(methods, new_methods)
    return out_of_reach + _subclass_instances()


def _make(old: Any) -> Any:
    kind = type(old)
    if kind is _OSRLock:
        return RLock()
    if kind is _OSLock:
        if not old.locked():
            return allocate_lock()
        # Only the main thread's sentinel can be.
        new: Any = allocate_sentinel()
        new.acquire()
        return new
    if kind is _OSLocal:
        new = local()
        vars(new).update(vars(old))
        return new
    new = SimpleQueue()
    while not old.empty():
        new.put(old.get_nowait())
    return new


def _subclass_instances() -> list[str]:
    return [
        f"{type(each).__module__}.{type(each).__qualname__} at {id(each):#x}, made before the installation, is the "
        f"same in all threads, {_owners(each)}"
        for each in gc.get_objects()
        if isinstance(type(each), type)
        and issubclass(type(each), _OSLocal)
        and type(each) is not _OSLocal
        and type(each).__module__.partition(".")[0] != _PACKAGE
    ]


# -- who refers to what


def _referrers(objects: list[Any]) -> list[Any]:
    """Who refers to one of the objects, but for frames of this package and what is at work here."""
    # The call's arguments refer to them, too.
    arguments = tuple(objects)
    return [
        each
        for each in gc.get_referrers(*arguments)
        if each is not objects and each is not arguments and not _is_frame_of_ours(each)
    ]


def _is_frame_of_ours(referrer: object) -> bool:
    return isinstance(referrer, FrameType) and str(referrer.f_globals.get("__name__")).startswith(f"{_PACKAGE}.")


def _is_own(referrer: Any) -> bool:
    """Whether a referrer is the runtime's, or an OS thread's that the runtime has started."""
    if isinstance(referrer, dict):
        module = referrer.get("__name__")
        return isinstance(module, str) and module.partition(".")[0] in (_PACKAGE, "greenlet")
    if isinstance(referrer, threading.Thread):
        return referrer is not threading.main_thread()
    return type(referrer) in _EMULATED or type(referrer).__module__.partition(".")[0] == _PACKAGE


def _owners(held_object: Any) -> str:
    """Where an object is held, for people."""
    places = {_place(each) for each in _referrers([held_object])}
    # Who looks refers to it, too.
    named = places - {"a builtins.cell", "a builtins.list"} or places
    return "held by " + (", ".join(sorted(named)) if named else "nobody that can be named")


def _place(referrer: Any) -> str:
    if isinstance(referrer, dict):
        name = referrer.get("__name__")
        return f"module {name}" if isinstance(name, str) else "a dict"
    if isinstance(referrer, FrameType):
        return f"a local variable of {referrer.f_code.co_qualname}() in module {referrer.f_globals.get('__name__')}"
    if isinstance(referrer, ModuleType):
        return f"module {referrer.__name__}"
    return f"a {type(referrer).__module__}.{type(referrer).__qualname__}"


# -- changing references


def _replace_in_referrers(olds: list[Any], new_of: dict[int, Any]) -> list[str]:
    out_of_reach = []
    for referrer in _referrers(olds):
        if referrer is new_of or _is_builtin_method(referrer, new_of):
            continue
        if not _replace_in(referrer, new_of):
            names = sorted({repr(old) for old in olds if any(each is old for each in gc.get_referents(referrer))})
            out_of_reach.append(f"{', '.join(names)}, held by {_place(referrer)}{_holder_of(referrer)}")
    return out_of_reach


def _is_builtin_method(referrer: Any, new_of: dict[int, Any]) -> bool:
    return isinstance(referrer, BuiltinMethodType) and id(referrer.__self__) in new_of


def _holder_of(referrer: Any) -> str:
    """Where the holder itself is held, if that says more."""
    if not isinstance(referrer, (tuple, dict, frozenset)):
        return ""
    places = {_place(each) for each in _referrers([referrer])}
    return f", {_owners(referrer)}" if places else ""


def _replace_in(referrer: Any, new_of: dict[int, Any]) -> bool:
    """Have a container or an instance refer to the new objects; False if it cannot be changed."""
    if isinstance(referrer, dict):
        return _replace_items(referrer, referrer.items(), new_of)
    if isinstance(referrer, (list, deque)):
        return _replace_items(referrer, enumerate(referrer), new_of)
    if isinstance(referrer, set):
        olds = [each for each in referrer if id(each) in new_of]
        referrer.difference_update(olds)
        referrer.update(new_of[id(old)] for old in olds)
        return True
    if isinstance(referrer, CellType):
        referrer.cell_contents = new_of[id(referrer.cell_contents)]
        return True
    if isinstance(referrer, tuple):
        return _replace_defaults(referrer, new_of)
    return _replace_attributes(referrer, new_of)


def _replace_items(container: Any, items: Iterable[tuple[Any, Any]], new_of: dict[int, Any]) -> bool:
    changes = [(key, new_of[id(value)]) for key, value in list(items) if id(value) in new_of]
    for key, new in changes:
        container[key] = new
    return bool(changes)


def _replace_defaults(values: tuple[Any, ...], new_of: dict[int, Any]) -> bool:
    """A tuple of the default values of functions, or of the arguments of partials, which can have another."""
    new_values = tuple(new_of.get(id(value), value) for value in values)
    changed = False
    for each in gc.get_referrers(values):
        if isinstance(each, FunctionType) and each.__defaults__ is values:
            each.__defaults__ = new_values
            changed = True
        elif isinstance(each, partial) and each.args is values:
            each.__setstate__((each.func, new_values, each.keywords, vars(each)))  # type: ignore[attr-defined]
            changed = True
    return changed


def _replace_attributes(instance: Any, new_of: dict[int, Any]) -> bool:
    changed = False
    attributes = getattr(instance, "__dict__", None)
    if isinstance(attributes, dict):
        changed = _replace_items(attributes, attributes.items(), new_of)
    for cls in type(instance).__mro__:
        for member in vars(cls).values():
            if isinstance(member, MemberDescriptorType):
                try:
                    new = new_of.get(id(member.__get__(instance)))
                    if new is not None:
                        member.__set__(instance, new)
                        changed = True
                except (AttributeError, TypeError):
                    # Not set, or not to be set from Python.
                    continue
    return changed
