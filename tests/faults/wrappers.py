"""Putting the shim between the runtime and the system."""

import functools
import importlib
import select
import socket
import types
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.shim import MODULES, Shim
from tests.faults.sites import LIBRARIES, SOCKET_METHODS

# Compared by identity, so not to be wrapped.
_AS_IT_IS = {"signal.default_int_handler"}
_FUNCTION_TYPES = (types.BuiltinFunctionType, types.FunctionType)


def install(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the shim in place, until the monkeypatch is undone."""
    # Sorted, so that what two libraries have has the name by which it is known: socket's, not _socket's.
    libraries = {name: importlib.import_module(name) for name in sorted(LIBRARIES)}
    proxies = {id(library): _Library(shim, library) for library in libraries.values()}
    bound = {
        id(function): (f"{name}.{attribute}", function)
        for name, library in libraries.items()
        for attribute, function in vars(library).items()
        if isinstance(function, _FUNCTION_TYPES)
    }
    c_class = libraries["_socket"].socket
    methods = {name: getattr(c_class, name) for name in SOCKET_METHODS if hasattr(c_class, name)}
    bound |= {id(method): (f"sock.{name}", method) for name, method in methods.items()}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name, thing in list(vars(module).items()):
            if id(thing) in proxies:
                monkeypatch.setattr(module, name, proxies[id(thing)])
            elif id(thing) in bound:
                monkeypatch.setattr(module, name, _wrapped(shim, *bound[id(thing)]))
    methods["_real_close"] = socket.socket._real_close  # type: ignore[attr-defined]
    for name, method in methods.items():
        method = vars(socket.socket).get(name, method)
        monkeypatch.setattr(socket.socket, name, _wrapped(shim, f"sock.{name}", method), raising=False)


def _wrapped(shim: Shim, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        return shim.call(name, function, arguments, keywords)

    return wrapper


class _Library:
    """A proxy of a library, whose functions may fail."""

    def __init__(self, shim: Shim, library: types.ModuleType) -> None:
        self._shim = shim
        self._library = library

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self._library, name)
        full_name = f"{self._library.__name__}.{name}"
        if full_name == "select.epoll":
            shim = self._shim

            def epoll() -> _Epoll:
                return _Epoll(shim)

            thing = _wrapped(shim, full_name, epoll)
        elif isinstance(thing, _FUNCTION_TYPES) and full_name not in _AS_IT_IS:
            thing = _wrapped(self._shim, full_name, thing)
        setattr(self, name, thing)
        return thing


class _Epoll:
    """A proxy of an epoll object."""

    def __init__(self, shim: Shim) -> None:
        self._epoll = epoll = select.epoll()
        for name in ("register", "modify", "unregister", "poll", "close", "fileno"):
            setattr(self, name, _wrapped(shim, f"epoll.{name}", getattr(epoll, name)))

    @property
    def closed(self) -> bool:
        return self._epoll.closed
