"""ThreadLocal: an object whose attributes are different in every thread.

The values stand with the thread, in `thread.locals`, and go when it ends.  Each of them is watched by a weak
reference to its ThreadLocal, so they also go when that does, wherever they are.

Invariant: nothing here refers to a thread or a value that nobody else refers to.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any, Self

from greenlet import getcurrent

from coro.scheduler import scheduler
from coro.state import ThreadState

__all__ = ["ThreadLocal", "share_home"]

_next_number = itertools.count(1).__next__
_MISSING: Any = object()


class _Attributes(dict[str, Any]):
    """The attributes of one ThreadLocal in one thread.

    watch: removes them when the ThreadLocal dies; alive as long as they are.
    """

    __slots__ = ("watch",)

    watch: weakref.ref[ThreadLocal]


class _Home:
    """Stands for a thread where there is none: in the main greenlet, and in every other OS thread."""

    __slots__ = ("__weakref__", "locals")

    def __init__(self) -> None:
        self.locals: dict[Any, dict[str, Any]] | None = None


class _OsThread(threading.local):
    """What an OS thread has of its own."""

    def __init__(self) -> None:
        self.home = _Home()


_os_thread = _OsThread()


def _home() -> ThreadState | _Home:
    """Where the caller's values stand."""
    thread: ThreadState | None = getattr(getcurrent(), "thread", None)
    if thread is None and scheduler.in_loop_os_thread():
        # A user's own greenlet inside a thread belongs to that thread.
        thread = scheduler.current
    return _os_thread.home if thread is None else thread


def share_home(thread: ThreadState) -> None:
    """Give a thread the values of the OS thread: its main greenlet has become that thread."""
    home = _os_thread.home
    if home.locals is None:
        home.locals = {}
    thread.locals = home.locals


def _watcher(home: ThreadState | _Home, number: int) -> Callable[[object], None]:
    home_ref = weakref.ref(home)

    def forget(_: object) -> None:
        home = home_ref()
        if home is not None and home.locals is not None:
            home.locals.pop(number, None)

    return forget


class ThreadLocal:
    """Attributes that each thread has for itself.

    In each thread, the main greenlet and other OS threads included, an attribute that was not set there raises
    AttributeError.  A thread's values are dropped when it ends, and all when the object dies.

    A subclass may add methods, properties and class attributes, which all threads share.  Its `__init__`, with the
    arguments that made the object, is called again in every other thread that first uses the object there, as for
    threading.local (Shrapnel calls it once).  `__slots__` are not supported: TypeError.
    """

    __slots__ = ("__arguments", "__number", "__weakref__")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        slots = [name for name, value in vars(cls).items() if isinstance(value, MemberDescriptorType)]
        if slots:
            raise TypeError(f"__slots__ are not supported in a ThreadLocal: {cls.__qualname__} has {slots}")

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Raises TypeError for arguments without an __init__ that takes them."""
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError(f"{cls.__qualname__}() takes no arguments: it has no __init__")
        self = super().__new__(cls)
        _set_number(self, _next_number())
        _set_arguments(self, (args, kwargs))
        # Here, and only here, Python itself calls __init__.
        _make_attributes(self, _home())
        return self

    def __getattribute__(self, name: str) -> Any:
        try:
            # The usual case without two calls, which would take half of the time.
            attributes = getcurrent().thread.locals[_get_number(self)]  # type: ignore[attr-defined]
        except (AttributeError, TypeError, KeyError):
            attributes = _attributes_of(self)
        if name == "__dict__":
            return attributes
        value = attributes.get(name, _MISSING)
        return object.__getattribute__(self, name) if value is _MISSING else value

    def __setattr__(self, name: str, value: object) -> None:
        attributes = _attributes_of(self)
        if name not in attributes and _is_of_class(self, name):
            object.__setattr__(self, name, value)
        else:
            attributes[name] = value

    def __delattr__(self, name: str) -> None:
        attributes = _attributes_of(self)
        if name in attributes:
            del attributes[name]
        elif _is_of_class(self, name):
            object.__delattr__(self, name)
        else:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r} in this thread", name=name, obj=self
            )


_get_number = vars(ThreadLocal)["_ThreadLocal__number"].__get__
_set_number = vars(ThreadLocal)["_ThreadLocal__number"].__set__
_get_arguments = vars(ThreadLocal)["_ThreadLocal__arguments"].__get__
_set_arguments = vars(ThreadLocal)["_ThreadLocal__arguments"].__set__


def _attributes_of(local: ThreadLocal) -> dict[str, Any]:
    """The attributes in the current thread; made, and __init__ called, the first time."""
    home = _home()
    number = _get_number(local)
    if home.locals is not None:
        found = home.locals.get(number)
        if found is not None:
            return found
    attributes = _make_attributes(local, home)
    cls = type(local)
    if cls.__init__ is not object.__init__:
        args, kwargs = _get_arguments(local)
        try:
            cls.__init__(local, *args, **kwargs)
        except BaseException:
            # So that the next use tries again.
            home.locals.pop(number, None)  # type: ignore[union-attr]
            raise
    return attributes


def _make_attributes(local: ThreadLocal, home: ThreadState | _Home) -> dict[str, Any]:
    number = _get_number(local)
    attributes = _Attributes()
    attributes.watch = weakref.ref(local, _watcher(home, number))
    if home.locals is None:
        home.locals = {}
    home.locals[number] = attributes
    return attributes


def _is_of_class(local: ThreadLocal, name: str) -> bool:
    """Whether setting an attribute is the business of the class: of a property, say, or of `__class__`."""
    if name == "__dict__":
        raise AttributeError(
            f"{type(local).__name__!r} object attribute '__dict__' is read-only", name=name, obj=local
        )
    for cls in type(local).__mro__:
        if name in vars(cls):
            return hasattr(type(vars(cls)[name]), "__set__")
    return False
