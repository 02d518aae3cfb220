"""The patcher: originals are remembered, and a half-done installation is undone."""

import pickle
import sys
import time
from types import ModuleType
from typing import Any

import pytest

from coro.emulation import sleeping
from coro.emulation.patching import Patcher


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with a built-in function and a Python one; and one more that has imported them."""
    made = ModuleType("made")
    vars(made).update(sleep=time.sleep, plain=_plain, number=1)
    taker = ModuleType("taker")
    vars(taker).update(sleep=time.sleep, own=2)
    monkeypatch.setitem(sys.modules, "made", made)
    monkeypatch.setitem(sys.modules, "taker", taker)
    return made


def _plain() -> str:
    return "plain"


def _new(seconds: float = 0) -> str:
    return f"new {seconds}"


def test_first_original_stays_known(module: Any) -> None:
    patcher = Patcher()

    assert patcher.original("made", "sleep") is time.sleep
    patcher.replace(module, sleep=_new)
    patcher.replace(module, sleep=lambda: None)

    assert patcher.original("made", "sleep") is time.sleep
    assert patcher.replaced() == {("made", "sleep"): time.sleep}


def test_undo_takes_back_what_was_not_committed(module: Any) -> None:
    patcher = Patcher()
    patcher.replace(module, number=2)
    patcher.commit()
    patcher.replace(module, number=3, sleep=_new)

    patcher.undo()

    assert (module.number, module.sleep) == (2, time.sleep)


def test_inherited_attribute_of_a_class_is_inherited_again(module: Any) -> None:
    class Base:
        value = 1

    class Derived(Base):
        pass

    patcher = Patcher()
    patcher.replace(Derived, value=2)
    assert Derived.value == 2
    patcher.undo()

    assert "value" not in vars(Derived)


def test_name_that_the_owner_lacks_is_left_out(module: Any) -> None:
    Patcher().replace(module, not_in_this_version=1)

    assert not hasattr(module, "not_in_this_version")


def test_function_for_a_built_in_one_does_not_become_a_method(module: Any) -> None:
    Patcher().replace(module, sleep=_new)

    class Holder:
        wait = module.sleep

    assert Holder().wait(3) == "new 3"
    assert repr(module.sleep) == "<built-in function sleep>"
    assert module.sleep.__name__ == "sleep"


def test_function_for_a_built_in_one_is_pickled_by_name() -> None:
    patcher = Patcher()
    patcher.replace(time, sleep=sleeping.sleep)
    try:
        assert pickle.loads(pickle.dumps(time.sleep)) is time.sleep
        assert time.sleep is not patcher.original("time", "sleep")
    finally:
        patcher.undo()


def test_copies_in_other_modules_are_replaced_where_that_is_wanted(module: Any) -> None:
    patcher = Patcher()
    patcher.replace_everywhere(module, sleep=_new)
    taker: Any = sys.modules["taker"]
    try:
        assert taker.sleep(1) == "new 1"
        assert taker.own == 2
    finally:
        patcher.undo()
    assert taker.sleep is time.sleep
