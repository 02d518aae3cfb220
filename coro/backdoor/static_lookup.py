"""Looking at objects without running any code of theirs.

No getattr, dir, isinstance or hash of what is looked at: a `__getattr__`, a property, a metaclass, a `__class__`
that lies, a key with an `__eq__` of its own would run.  Instance dictionaries, slots and classes are read through
the interpreter's own descriptors, dictionaries are searched by iterating, types are compared by identity.

Searches are bounded: what stands behind the first MAX_ITEMS of a dictionary is not found.

Invariant: nothing here calls what an application wrote.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

__all__ = ["MAX_ITEMS", "UNKNOWN", "Names", "attribute", "find", "item", "kind_of", "names_of", "string_items"]

# A search through so many takes about a millisecond.
MAX_ITEMS: Final = 20_000

# What cannot be known without running code.
UNKNOWN: Any = type("Unknown", (), {"__slots__": (), "__repr__": lambda self: "UNKNOWN"})()

# The names of an object, in the order of look-up; a name may come more than once.
Names = Iterator[tuple[str, Any]]

_mro_of: Final[Callable[[type], tuple[type, ...]]] = type.__dict__["__mro__"].__get__
_dict_of_class: Final[Callable[[type], types.MappingProxyType[str, Any]]] = type.__dict__["__dict__"].__get__
_name_of_class: Final[Callable[[type], str]] = type.__dict__["__name__"].__get__
_class_descriptor: Final = object.__dict__["__class__"]

_FUNCTIONS: Final = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
)
# Their __func__ is a member of theirs, read without a look-up.
_WRAPPERS: Final = (staticmethod, classmethod)


def _is_one_of(kind: type, kinds: tuple[type, ...]) -> bool:
    """By identity: `in` would ask the metaclass's __eq__."""
    for other in kinds:
        if kind is other:
            return True
    return False


def _is_class(value: object) -> bool:
    return _is_one_of(type, _mro_of(type(value)))


def string_items(mapping: Any) -> Names:
    """The items of a dict whose keys are true strings.  Nothing for what is no dict."""
    if _is_one_of(dict, _mro_of(type(mapping))):
        for key, value in dict.items(mapping):
            if type(key) is str:
                yield key, value


def _class_items(kind: type) -> Names:
    """What stands in a class itself.  Its dictionary is a true one, whatever its metaclass says."""
    for key, value in _dict_of_class(kind).items():
        if type(key) is str:
            yield key, value


def _search(names: Names, name: str) -> Any:
    """The value of a name, or UNKNOWN.  A look-up by hash might ask a hostile key's __eq__."""
    for key, value in islice(names, MAX_ITEMS):
        if key == name:
            return value
    return UNKNOWN


def find(mapping: Any, name: str) -> Any:
    """The value of a string key of a dict; UNKNOWN if it is not there, or this is no dict."""
    return _search(string_items(mapping), name)


def item(container: object, index: int | str) -> Any:
    """container[index] of a dict, list or tuple; UNKNOWN where it is not there or another class."""
    kind = type(container)
    if kind is list or kind is tuple:
        sequence: Any = container
        return sequence[index] if type(index) is int and index < len(sequence) else UNKNOWN
    if not _is_one_of(dict, _mro_of(kind)):
        return UNKNOWN
    mapping: Any = container
    for key, value in islice(dict.items(mapping), MAX_ITEMS):
        if type(key) is type(index) and key == index:
            return value
    return UNKNOWN


def names_of(value: object) -> Names:
    """The attributes of an object with what stands for them: values, or descriptors as they are."""
    if _is_class(value):
        for base in _mro_of(value):  # type: ignore[arg-type]
            yield from _class_items(base)
        return
    yield from string_items(_instance_dict(value))
    for base in _mro_of(type(value)):
        for name, found in _class_items(base):
            yield name, _member(found, value) if type(found) is types.MemberDescriptorType else found


def attribute(value: object, name: str) -> Any:
    """value.name as far as it can be told without running code; UNKNOWN for properties and the like."""
    if _is_class(value):
        return _class_attribute(value, name)
    found = _in_classes(type(value), name)
    kind = type(found)
    if found is _class_descriptor:
        return type(value)
    if kind is types.MemberDescriptorType:
        return _member(found, value)
    if found is not UNKNOWN and _defines(kind, "__set__", "__delete__"):
        return UNKNOWN
    own = find(_instance_dict(value), name)
    return _bound(found) if own is UNKNOWN else own


def kind_of(value: object) -> str:
    """A word for what a name stands for: module, class, function, property, or its class's name."""
    kind = type(value)
    if value is UNKNOWN or kind is property:
        return "property"
    if kind is types.ModuleType:
        return "module"
    if _is_class(value):
        return "class"
    if _is_one_of(kind, _FUNCTIONS) or _is_one_of(kind, _WRAPPERS):
        return "function"
    if kind is types.GetSetDescriptorType or kind is types.MemberDescriptorType:
        return "property"
    return _name_of_class(kind)[:64]


def _instance_dict(value: object) -> Any:
    """An object's own dictionary, or UNKNOWN.  A `__dict__` of the class's own making is not run."""
    descriptor = _in_classes(type(value), "__dict__")
    kind = type(descriptor)
    if kind is not types.GetSetDescriptorType and kind is not types.MemberDescriptorType:
        return UNKNOWN
    if descriptor.__name__ != "__dict__":
        return UNKNOWN
    return _member(descriptor, value)


def _member(descriptor: Any, value: object) -> Any:
    """What one of the interpreter's own descriptors reads from an object."""
    try:
        return descriptor.__get__(value)
    except (AttributeError, TypeError):
        # An empty slot; or a descriptor that was taken from another class.
        return UNKNOWN


def _in_classes(kind: type, name: str) -> Any:
    for base in _mro_of(kind):
        found = _search(_class_items(base), name)
        if found is not UNKNOWN:
            return found
    return UNKNOWN


def _class_attribute(kind: Any, name: str) -> Any:
    of_metaclass = _in_classes(type(kind), name)
    if of_metaclass is not UNKNOWN and _defines(type(of_metaclass), "__set__", "__delete__"):
        return type(kind) if of_metaclass is _class_descriptor else UNKNOWN
    return _bound(_in_classes(kind, name))


def _bound(found: Any) -> Any:
    """What stands in a class, as an attribute: functions as they are, unknown what only its __get__ could tell."""
    kind = type(found)
    if _is_one_of(kind, _FUNCTIONS) or _is_class(found):
        return found
    if _is_one_of(kind, _WRAPPERS):
        return kind.__dict__["__func__"].__get__(found)
    return UNKNOWN if found is UNKNOWN or _defines(kind, "__get__") else found


def _defines(kind: type, *names: str) -> bool:
    for name in names:
        if _in_classes(kind, name) is not UNKNOWN:
            return True
    return False
