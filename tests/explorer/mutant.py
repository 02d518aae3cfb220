"""Faults that are planted on purpose, to see that a scenario finds them.

A mutant is a change of a function's source text.  It is made in the running process, in one attribute of one class
or module, and undone when the block ends.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["Mutant", "planted"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault, and the scenario that must find it.

    owner, attribute: the class or module, and the name in it, of the function (or property) that is changed.
        Where a function was imported by name, the owner is the module that calls it.
    old, new: the text that is replaced, as it stands in the file, once in the function; and what takes its place.
    scenario: what explore() runs.
    options: what else explore() is given.
    """

    name: str
    owner: type | ModuleType
    attribute: str
    old: str
    new: str
    scenario: Callable[[], object]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Run the block with the fault in place.

    Raises LookupError if the text does not stand in the function exactly once: the code has moved on.
    """
    original = vars(mutant.owner)[mutant.attribute]
    setattr(mutant.owner, mutant.attribute, _changed(mutant, original))
    try:
        yield
    finally:
        setattr(mutant.owner, mutant.attribute, original)


def _changed(mutant: Mutant, original: Any) -> Any:
    """The attribute with its text replaced, of the same kind as it was."""
    if isinstance(original, property):
        assert original.fget is not None
        return property(_compiled(mutant, original.fget), original.fset, original.fdel)
    if isinstance(original, (staticmethod, classmethod)):
        return type(original)(_compiled(mutant, original.__func__))
    return _compiled(mutant, original)


def _compiled(mutant: Mutant, function: Any) -> Any:
    if not isinstance(function, FunctionType):
        raise TypeError(f"mutant {mutant.name!r}: {mutant.attribute} is no function of Python, but {function!r}")
    source = inspect.getsource(function)
    count = source.count(mutant.old)
    if count != 1:
        raise LookupError(
            f"mutant {mutant.name!r}: {mutant.old!r} stands {count} times in {function.__qualname__}, not once"
        )
    text = textwrap.dedent(source.replace(mutant.old, mutant.new))
    name = function.__name__
    if "super()" in text:
        # An outer function gives super() the class that it looks for.
        text = (
            f"def _make(__class__):\n{textwrap.indent(text, '    ')}\n    return {name}\n{name} = _make(_owner)\n"
        )
    code = compile(text, f"<mutant {mutant.name}>", "exec", flags=annotations.compiler_flag, dont_inherit=True)
    namespace: dict[str, Any] = {"_owner": mutant.owner}
    # In the function's own globals, so that it sees what the module sees.
    exec(code, function.__globals__, namespace)
    return namespace[name]
