"""Completion: what is offered, what bounds it, and that no code of the daemon's runs for it."""

from __future__ import annotations

import builtins
import collections
import itertools
import os
import sys
import time
import types
from typing import Any, NoReturn

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import coro
from coro.backdoor.completion import MAX_CANDIDATES, Completion, complete
from coro.backdoor.static_lookup import UNKNOWN, attribute, find, item, kind_of
from tests.backdoor.prompt import Prompt, in_loop


class Point:
    """With slots, of which one is empty."""

    __slots__ = ("x", "y")

    def __init__(self) -> None:
        self.x = os


class Plain:
    size = 5

    def __init__(self) -> None:
        self.module = os
        self._private = 1
        self.__dict__["not a name"] = 1

    @property
    def lazy(self) -> object:
        raise AssertionError("a property was run")

    def method(self) -> None: ...

    @staticmethod
    def static() -> None: ...


NAMES: dict[str, Any] = {
    "coro": coro,
    "os": os,
    "point": Point(),
    "plain": Plain(),
    "Plain": Plain,
    "table": {"key": 1, 'double"': 2, "single'": 3, "line\n": 4, 5: os, "nested": {"inner": os}},
    "row": [1, os, (os,)],
    "größe": 1,
    "_hidden": 1,
}


def completed(text: str, names: dict[str, Any] | None = None, **options: Any) -> Completion:
    options = {"seconds": 60, **options}
    return complete(text, len(text), NAMES if names is None else names, vars(builtins), **options)


def offered(text: str, names: dict[str, Any] | None = None) -> list[str]:
    return [name for name, _ in completed(text, names).candidates]


# -- what is offered


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cor", [("coro", "module")]),
        ("x = cor", [("coro", "module")]),
        ("f(a, cor", [("coro", "module")]),
        ("isins", [("isinstance", "function")]),
        ("whi", [("while", "keyword")]),
        ("Plai", [("Plain", "class")]),
        ("grö", [("größe", "int")]),
        ("_hid", [("_hidden", "int")]),
        ("coro.all_thr", [("all_threads", "dict")]),
        ("coro . all_thr", [("all_threads", "dict")]),
        ("os.path.jo", [("join", "function")]),
        ("plain.mo", [("module", "module")]),
        ("plain.module.path.joi", [("join", "function")]),
        ("plain.me", [("method", "function")]),
        ("plain.la", [("lazy", "property")]),
        ("plain.si", [("size", "int")]),
        ("plain.st", [("static", "function")]),
        ("Plain.st", [("static", "function")]),
        ("plain.no", []),
        ("point.x.path.joi", [("join", "function")]),
        ("point.", [("x", "module"), ("y", "property")]),
        ("point.y.", []),
        ("plain.lazy.", []),
        ("plain._p", [("_private", "int")]),
        ("row[1].path.joi", [("join", "function")]),
        ("row[2][0].path.joi", [("join", "function")]),
        ("row[9].", []),
        ("row['key'].", []),
        ("table[5].path.joi", [("join", "function")]),
        ("table['nested']['inner'].path.joi", [("join", "function")]),
        ("table.item", [("items", "function")]),
        ("plain.__class__.siz", [("size", "int")]),
        ("plain.method.__nam", [("__name__", "property")]),
        ("os.\\\n  path.joi", [("join", "function")]),
        ("f().pat", []),
        ("f(os).pat", []),
        ("'text'.upp", []),
        ("1.rea", []),
        ("1_0o", []),
        ("missing.x", []),
        ("os..pat", []),
        ("'coro", []),
        ('"""coro\nos.', []),
        ("# coro", []),
        ("x # os.", []),
        ("'a' 'b", []),
        ("'closed' + cor", [("coro", "module")]),
        ("# comment\ncor", [("coro", "module")]),
        ("'it''s' + os.path.joi", [("join", "function")]),
    ],
)
def test_candidates(text: str, expected: list[tuple[str, str]]) -> None:
    assert list(completed(text).candidates) == expected


def test_start_is_where_the_candidates_go() -> None:
    assert completed("x = coro.all_th").start == 9
    assert completed("x = coro.").start == 9
    assert completed("cor").start == 0
    assert completed("table['ke").start == 6


def test_text_behind_the_cursor_does_not_count() -> None:
    assert complete("cor.path", 3, NAMES, vars(builtins), seconds=60) == completed("cor")
    assert complete("cor", 99, NAMES, vars(builtins), seconds=60) == completed("cor")
    assert complete("cor", -1, NAMES, vars(builtins), seconds=60) == completed("cor")


def test_private_names_are_offered_when_they_are_asked_for() -> None:
    assert "_private" not in offered("plain.")
    assert "_private" in offered("plain._")
    assert "__class__" not in offered("plain._")
    assert "__class__" in offered("plain.__")
    assert "__import__" not in offered("")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("table['ke", ["'key'"]),
        ('table["ke', ['"key"']),
        ("table[ 'ke", ["'key'"]),
        ("table['", ["'double\"'", "'key'", "'nested'", "'single\\''"]),
        ("table['nested']['", ["'inner'"]),
        ("row['", []),
        ("missing['", []),
        ("['", []),
        ("table['\\", []),
        ("f(table)['", []),
    ],
)
def test_keys_of_a_dictionary(text: str, expected: list[str]) -> None:
    assert offered(text) == expected


@pytest.mark.parametrize(
    ("text", "some", "none"),
    [
        ("import o", ["os", "operator"], ["object"]),
        ("import os.pa", ["path"], ["pardir"]),
        ("import os, collec", ["collections"], []),
        ("from o", ["os", "operator"], ["object"]),
        ("from os ", ["import"], ["path"]),
        ("from os.", ["path"], ["pardir"]),
        ("from os import pa", ["path", "pardir"], ["pass"]),
        ("from os import path, pa", ["path", "pardir"], []),
        ("from os import (pa", ["path", "pardir"], []),
        ("from coro.sync import mut", ["mutex"], []),
        ("x = 1; import o", ["os"], ["object"]),
        ("x = 1\nfrom os import pa", ["path"], []),
        ("import os as o", [], ["os", "object"]),
        ("from os import path as p", [], ["pass", "path"]),
        ("from missing_module import x", [], ["x"]),
        ("from . import x", [], ["x"]),
    ],
)
def test_imports_are_completed_from_what_is_imported(text: str, some: list[str], none: list[str]) -> None:
    names = offered(text)

    assert set(some) <= set(names)
    assert not set(none) & set(names)


def test_completing_imports_nothing() -> None:
    before = set(sys.modules)

    offered("import xml.")
    offered("from xml.dom import ")

    assert set(sys.modules) == before


@in_loop
def test_names_of_a_session_are_completed() -> None:
    prompt = Prompt()
    prompt.value("mine = 5")
    prompt.value("'last'")

    evaluator = prompt.evaluator
    found = complete("", 0, evaluator.namespace, evaluator.names, seconds=60).candidates

    assert ("mine", "int") in found
    assert ("quit", "_Leave") in found
    found = complete("__", 2, evaluator.namespace, evaluator.names, seconds=60).candidates
    assert not [name for name, _ in found if name.startswith("__coro")]
    assert ("__import__", "function") in found
    assert complete("_", 1, evaluator.namespace, evaluator.names, seconds=60).candidates[0] == ("_", "str")


# -- bounds


def test_too_many_candidates_are_cut() -> None:
    names = {f"name_{n:05}": n for n in range(5000)}

    found = completed("name", names)

    assert found.truncated
    assert len(found.candidates) == MAX_CANDIDATES
    assert not completed("name_0001", names).truncated


def test_search_ends_when_the_time_is_over() -> None:
    ticks = itertools.count()
    names = {f"name_{n:05}": n for n in range(180)}

    found = completed("name", names, seconds=3, clock=lambda: next(ticks))

    assert found.truncated
    assert 50 < len(found.candidates) < 180
    assert not completed("name", names).truncated


def test_only_a_part_of_a_giant_dictionary_is_searched() -> None:
    giant = dict.fromkeys(range(1_000_000), os)

    assert item(giant, 10) is os
    assert item(giant, 999_999) is UNKNOWN
    named = {str(number): number for number in giant}
    assert find(named, "10") == 10
    assert find(named, "999999") is UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "x" * 65_000,
        "(" * 65_000,
        "'" * 65_000,
        '"""' * 20_000,
        "\\" * 65_000,
        "a." * 32_000,
        "a[1]." * 13_000,
        "\n" * 65_000,
    ],
)
def test_long_text_is_looked_at_in_linear_time(text: str) -> None:
    names = {f"name_{n:06}": n for n in range(100_000)}

    took = []
    for _ in range(5):
        began = time.thread_time()
        complete(text, len(text), names, vars(builtins))
        took.append(time.thread_time() - began)

    # 5 ms for the search; reading the text and sorting come on top.
    assert min(took) < 0.02


def test_long_and_odd_names_are_not_offered() -> None:
    names: dict[Any, Any] = {"long_" * 100: 1, "no name": 1, "control\x1b": 1, 5: 1, "long_ok": 1}

    assert offered("long", names) == ["long_ok"]
    assert offered("no na", names) == []
    assert offered("control", names) == []


# -- no code of the daemon's runs


def trap(*arguments: Any, **options: Any) -> NoReturn:
    raise AssertionError("code of the daemon's was run")


SPECIAL = [
    "__getattr__",
    "__getattribute__",
    "__dir__",
    "__eq__",
    "__hash__",
    "__repr__",
    "__str__",
    "__bool__",
    "__len__",
    "__iter__",
    "__getitem__",
    "__contains__",
    "__instancecheck__",
    "__subclasscheck__",
    "__call__",
    "__lt__",
    "__get__",
    "__set__",
    "__delete__",
    "__format__",
    "keys",
    "items",
    "values",
    "get",
]


class HashLikeFound:
    """A key that stands where "found" is looked for, and fails when it is compared."""

    def __hash__(self) -> int:
        return hash("found")

    def __eq__(self, other: object) -> bool:
        trap()


def hostile_names() -> dict[Any, Any]:
    """Objects of classes all of whose special methods fail."""
    lies = {name: property(trap) for name in ("__mro__", "__name__", "__dict__", "__class__", "__bases__")}
    meta: Any = type("Meta", (type,), lies)
    trap_class = meta("Trap", (), {"found": os})
    liar_class = meta("Liar", (trap_class,), {"__dict__": property(trap), "__class__": property(trap)})
    dict_class: Any = type("TrapDict", (dict,), {})
    module_class: Any = type("TrapModule", (types.ModuleType,), {})
    key_class: Any = type("TrapKey", (str,), {})
    descriptor: Any = type("TrapDescriptor", (), {})()
    key = HashLikeFound()
    names: dict[Any, Any] = {
        key: os,
        "trap": trap_class(),
        "Trap": trap_class,
        "liar": liar_class(),
        "mapping": dict_class(found=os),
        "module": module_class("module"),
        "keys": {key: os, key_class("found_not"): os},
        "holder": types.SimpleNamespace(d=descriptor),
        "Holder": type("Holder", (), {"d": descriptor, "found": os}),
        "proxy": types.MappingProxyType(collections.UserDict(found=os)),
        "user_dict": collections.UserDict(found=os),
    }
    vars(names["module"])["found"] = os
    for name in ("trap", "liar"):
        object.__setattr__(names[name], "own", os)
    # Only now: making the objects asks for some of these.
    for kind in (trap_class, dict_class, module_class, key_class, type(descriptor)):
        for name in SPECIAL:
            type.__setattr__(kind, name, trap)
    for name in SPECIAL:
        type.__setattr__(meta, name, trap)
    return names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trap.fou", ["found"]),
        ("trap.own.path.joi", ["join"]),
        ("trap.found.path.joi", ["join"]),
        ("Trap.found.path.joi", ["join"]),
        ("Trap.fou", ["found"]),
        ("liar.fou", ["found"]),
        ("liar.ow", []),
        ("liar.__class__.fou", []),
        ("mapping.ite", ["items"]),
        ("mapping['fou", ["'found'"]),
        ("mapping['found'].path.joi", ["join"]),
        ("module.fou", ["found"]),
        ("module.found.path.joi", ["join"]),
        ("keys['fou", []),
        ("keys['found'].", []),
        ("holder.d.x", []),
        ("Holder.d.x", []),
        ("Holder.found.path.joi", ["join"]),
        ("proxy['fou", []),
        ("proxy['found'].", []),
        ("user_dict['fou", []),
        ("fou", []),
        ("trap.missing.x", []),
        ("Trap.missing.x", []),
    ],
)
def test_hostile_objects_are_completed_without_running_their_code(text: str, expected: list[str]) -> None:
    assert offered(text, hostile_names()) == expected


def test_every_name_of_hostile_objects_can_be_listed() -> None:
    names = hostile_names()
    for name in names:
        if type(name) is str:
            for suffix in (".", ".__", "['", "[0].", ".x.", ".__dict__.", ".__class__.", ".__mro__."):
                offered(name + suffix, names)
    assert "trap" in offered("", names)


def test_hostile_modules_among_the_imported_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hostile_module", hostile_names()["trap"])
    monkeypatch.setitem(sys.modules, "hostile_too", None)  # type: ignore[arg-type]

    assert offered("import hostile") == ["hostile_module", "hostile_too"]
    assert "found" in offered("from hostile_module import ")
    assert offered("from hostile_too import x") == []


def test_dict_descriptor_of_another_class_is_not_believed() -> None:
    class Other:
        pass

    class Borrower:
        __slots__ = ("a",)
        vars()["__dict__"] = Other.__dict__["__dict__"]

    class Misnamed(Point):
        __slots__ = ()
        vars()["__dict__"] = Point.__dict__["x"]

    misnamed = Misnamed()
    misnamed.x = {"b": 1}
    assert attribute(Borrower(), "a") is UNKNOWN
    assert attribute(misnamed, "b") is UNKNOWN


def test_dictionary_that_another_os_thread_changes_is_survived() -> None:
    class Changing(dict[str, int]):
        pass

    names: dict[str, Any] = {f"n{i}": i for i in range(1000)}
    ticks = itertools.count()

    def clock() -> float:
        names[f"more{next(ticks)}"] = 1
        return 0

    found = completed("n", names, clock=clock)

    assert found.truncated


def test_values_found_are_the_real_ones() -> None:
    class Base:
        of_base = 1

        @property
        def data(self) -> int:
            return 2

    class Derived(Base):
        of_base = 3

        @classmethod
        def of_class(cls) -> None: ...

    derived = Derived()
    vars(derived)["data"] = "shadowed by the property"
    vars(derived)["of_base"] = "own"

    assert attribute(derived, "of_base") == "own"
    assert attribute(Derived, "of_base") == 3
    assert attribute(derived, "data") is UNKNOWN
    assert attribute(derived, "__class__") is Derived
    assert attribute(Derived, "__class__") is type
    assert attribute(derived, "of_class") is vars(Derived)["of_class"].__func__
    assert find({"a": 1}, "b") is UNKNOWN
    assert find([], "b") is UNKNOWN
    assert kind_of(derived) == "Derived"


@given(st.text(alphabet="os.co[]()'\"#\\ \n;1a_,import from as@é\x00", max_size=60), st.integers(-1, 70))
@settings(deadline=None)
@example("from", 4)
@example("import", 6)
@example("from import ", 12)
@example("import ,", 8)
def test_any_text_can_be_completed(text: str, cursor: int) -> None:
    found = complete(text, cursor, NAMES, vars(builtins), seconds=60)

    assert 0 <= found.start <= len(text)
    assert list(found.candidates) == sorted(found.candidates)
    assert len(found.candidates) <= MAX_CANDIDATES
