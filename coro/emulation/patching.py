"""Replacing names of modules and classes, all or none.

Whoever replaces a name tells the patcher, so that the first original of each stays known, before the installation
and after it, and an installation that fails half-way can be undone.

Knows nothing of what is put in place.
"""

from __future__ import annotations

import importlib
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

__all__ = ["BuiltIn", "Patcher", "copies_out_of_reach", "original", "patcher"]

_PACKAGE = __name__.partition(".")[0]
_MISSING: Any = type("Missing", (), {"__slots__": (), "__repr__": lambda self: "MISSING"})()


class BuiltIn(staticmethod):  # type: ignore[type-arg]
    """A function in place of a built-in one: in the body of a class it does not become a method.

    As in `lock_class = threading.Lock`.  It is pickled by its name, as the built-in one is.
    """

    def __reduce__(self) -> str:
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"


class Patcher:
    """Everything that was replaced, and by what.  There is one, `patcher`; tests make their own."""

    __slots__ = ("_log", "_originals", "_wrapped")

    def __init__(self) -> None:
        # (owner's full name, attribute) -> what was there before the first replacement.
        self._originals: dict[tuple[str, str], Any] = {}
        # (owner, attribute, what was there before), in order, since the last commit().
        self._log: list[tuple[Any, str, Any]] = []
        # Function -> the staticmethod that it is put in place as.
        self._wrapped: dict[Any, Any] = {}

    def replace(self, owner: ModuleType | type, /, **names: Any) -> None:
        """Put new objects in place of a module's or a class's attributes.

        A name that the owner does not have (in this version of Python) is left out.  Replacing a name by what is
        there already does nothing; replacing it twice keeps the first original.  Does not yield.
        A Python function in place of a built-in one becomes a BuiltIn.
        """
        for name, plain in names.items():
            new = self._as_builtin(plain, getattr(owner, name, None))
            # Not getattr: a descriptor of a class is to come back as it was.
            former = vars(owner).get(name, _MISSING)
            if former is new or (former is _MISSING and not hasattr(owner, name)):
                continue
            self._originals.setdefault((_full_name(owner), name), getattr(owner, name))
            self._log.append((owner, name, former))
            setattr(owner, name, new)

    def _as_builtin(self, new: Any, former: object) -> Any:
        if not isinstance(new, FunctionType):
            return new
        if isinstance(former, FunctionType) and new.__module__.startswith(f"{_PACKAGE}."):
            # Pickled, and shown, as what it stands for.
            new.__module__, new.__name__, new.__qualname__ = former.__module__, former.__name__, former.__qualname__
        if not isinstance(former, (BuiltinFunctionType, BuiltIn)):
            return new
        wrapped = self._wrapped.get(new)
        if wrapped is None:
            self._wrapped[new] = wrapped = BuiltIn(new)
            if new.__module__.startswith(f"{_PACKAGE}."):
                wrapped.__module__ = former.__module__
            wrapped.__name__ = wrapped.__qualname__ = former.__name__
            wrapped.__doc__ = former.__doc__
        return wrapped

    def replace_everywhere(self, owner: ModuleType, /, **names: Any) -> None:
        """As replace(), and also where other modules have the same objects as globals: imported from `owner`.

        Not in this package's own modules, which need the originals.
        """
        new_of = {id(vars(owner)[name]): new for name, new in names.items() if name in vars(owner)}
        self.replace(owner, **names)
        for module in list(sys.modules.values()):
            if isinstance(module, ModuleType) and module.__name__.partition(".")[0] != _PACKAGE:
                found = {
                    name: new_of[id(value)] for name, value in list(vars(module).items()) if id(value) in new_of
                }
                self.replace(module, **found)

    def original(self, module_name: str, name: str) -> Any:
        """What `module_name.name` was before anything was replaced; the module is imported if need be.

        module_name: of a class too, as "ssl.SSLContext".
        Raises ImportError or AttributeError.
        """
        try:
            return self._originals[module_name, name]
        except KeyError:
            return getattr(_find(module_name), name)

    def replaced(self) -> dict[tuple[str, str], Any]:
        """{(owner's full name, attribute): original} of everything that was replaced; a copy."""
        return dict(self._originals)

    def commit(self) -> None:
        """Keep what was replaced since the last commit."""
        self._log.clear()

    def undo(self) -> None:
        """Take back what was replaced since the last commit."""
        while self._log:
            owner, name, former = self._log.pop()
            if former is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, former)


def copies_out_of_reach(patcher: Patcher) -> list[str]:
    """Functions that modules have taken from others before they were replaced, as `from time import sleep` does."""
    originals = {
        id(former): f"{owner}.{name}"
        for (owner, name), former in patcher.replaced().items()
        if isinstance(former, BuiltinFunctionType)
    }
    found = {
        f"{originals[id(value)]} as {name} in module {module.__name__}, imported from there before the installation"
        for module in list(sys.modules.values())
        # The interpreter's own modules are where the originals come from.
        if (
            isinstance(module, ModuleType)
            and module.__name__.partition(".")[0] not in sys.stdlib_module_names | {_PACKAGE}
        )
        or getattr(module, "__name__", None) == "__main__"
        for name, value in list(vars(module).items())
        if id(value) in originals
    }
    return sorted(found)


def _full_name(owner: ModuleType | type) -> str:
    return owner.__name__ if isinstance(owner, ModuleType) else f"{owner.__module__}.{owner.__qualname__}"


def _find(name: str) -> Any:
    """The module of this name, or the class in it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        if not module:
            raise
        return getattr(_find(module), attribute)


patcher = Patcher()
original = patcher.original
