"""The runtime's own view of the modules whose names are replaced: copies in which nothing is.

The runtime says `os.read`, `select.epoll` or `threading.main_thread()` and means the interpreter's.  So before
anything is replaced, each module of this package gets the copies as globals of those names, and so does one that
is imported later.  `threading` is a second run of its source, so that its classes start OS threads and block them.

Knows nothing of what is put in place of the originals.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import _thread
import functools
import gc
import importlib.util
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import FunctionType, ModuleType

from coro.emulation.patching import Patcher

__all__ = ["install", "locks"]

_PACKAGE = __name__.partition(".")[0] + "."
# These replace names, so they must have the modules that everybody has.
_NOT_OURS = __name__.rpartition(".")[0]

_copies: dict[str, ModuleType] = {}
_locks: list[object] = []


def install(patcher: Patcher) -> None:
    """Give the modules of the runtime their copies, once."""
    if _copies:
        return
    for module in (_signal, _socket, _thread, os, select, signal, socket, time):
        _copies[module.__name__] = _copy(module)
    for copy in _copies.values():
        vars(copy).update(_wanted(copy))
    before = {id(each) for each in _locks_there_are()}
    _copies["threading"] = _run_again(threading)
    _locks.extend(each for each in _locks_there_are() if id(each) not in before)
    for name, module in list(sys.modules.items()):
        if _is_of_runtime(name) and isinstance(module, ModuleType):
            patcher.replace(module, **_wanted(module))
    sys.meta_path.insert(0, _Finder())


def locks() -> list[object]:
    """The locks of the second `threading`, which block OS threads."""
    return _locks


def _locks_there_are() -> list[object]:
    kinds = (_thread.LockType, _thread.RLock)
    return [each for each in gc.get_objects() if type(each) in kinds]


def _copy(module: ModuleType) -> ModuleType:
    """A copy of a module, whose functions see the copy as their module."""
    copy = ModuleType(module.__name__, module.__doc__)
    vars(copy).update(vars(module))
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__globals__ is vars(module):
            again = FunctionType(value.__code__, vars(copy), value.__name__, value.__defaults__, value.__closure__)
            functools.update_wrapper(again, value)
            again.__kwdefaults__ = value.__kwdefaults__
            vars(copy)[name] = again
    return copy


def _run_again(module: ModuleType) -> ModuleType:
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    return again


def _is_of_runtime(name: str) -> bool:
    return name.startswith(_PACKAGE) and not f"{name}.".startswith(f"{_NOT_OURS}.")


def _wanted(module: ModuleType) -> dict[str, ModuleType]:
    """The globals of a module that are to be copies."""
    return {name: copy for name, copy in _copies.items() if vars(module).get(name) is sys.modules.get(name)}


class _Loader(SourceFileLoader):
    """Loads a module of the runtime and gives it its copies."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        vars(module).update(_wanted(module))


class _Finder:
    """Finds modules of the runtime only."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_of_runtime(name):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec
