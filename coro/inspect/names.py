"""Names of threads and functions without running any code of the application's."""

from __future__ import annotations

import functools
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from coro.state import ThreadState

__all__ = ["safe_function_name", "safe_name", "type_name"]

_qualname_of_type = type.__dict__["__qualname__"].__get__


def safe_name(thread: ThreadState) -> str:
    """The name of a thread, as its `name`, but for one whose function is an object of a class of the user's.

    For any OS thread: `name` may look up attributes of the function, which may be anybody's code.
    """
    name = thread._name
    if name is not None:
        return name
    function = thread.function
    return f"thread-{thread.id}" if function is None else safe_function_name(function)


def safe_function_name(function: Any) -> str:
    """The qualified name of a function, method, class or partial of one; else that of the object's type."""
    kind = type(function)
    if kind is functools.partial:
        return safe_function_name(function.func)
    if kind is MethodType:
        return safe_function_name(function.__func__)
    if kind is FunctionType or kind is BuiltinFunctionType:
        return str(function.__qualname__)
    return type_name(function if issubclass(kind, type) else kind)


def type_name(kind: type) -> str:
    """The qualified name of a class, also where its metaclass would interfere."""
    return str(_qualname_of_type(kind))
